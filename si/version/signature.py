"""Signatures by the site's key, in OpenSSH's form (ssh-keygen -Y; PROTOCOL.sshsig).

Stage 3. In: bytes; out: a signature, or the error that names what is spoiled. OpenSSH's form, for
`ssh-keygen -Y verify` checks it on any machine that can be logged in to. The key is Ed25519, made
when it is first needed, and belongs to the site: all images are signed with it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from si.config import Settings
from si.errors import VersionSpoiled
from si.system.files import locked
from si.system.run import find_tool, run
from si.version.delta import split_seal
from si.version.signed import NAMESPACE, check_signed

INSTALL = "si-install"
"""The namespace of what one client is told to do, so that none of it passes for a version."""
CLIENT = "si-client"
"""The namespace of the client commands, for the same reason."""


def ensure_site_key(settings: Settings) -> Path:
    """The site's private key (mode 0600), made when there is none; its public half is beside it."""
    key = settings.site_key
    if key.exists():
        return key
    find_tool("ssh-keygen", package="openssh-client")
    with locked(key.parent):
        if key.exists():
            return key
        with tempfile.TemporaryDirectory(prefix=".site-key-", dir=key.parent) as folder:
            fresh = Path(folder) / "key"
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "si site key", "-f", fresh])
            fresh.with_suffix(".pub").replace(public_key_path(settings))
            fresh.replace(key)
    return key


def ensure_public_key(settings: Settings) -> str:
    """The text of the site's public key, made when there is none."""
    ensure_site_key(settings)
    return public_key_path(settings).read_text(encoding="ascii")


def public_key_path(settings: Settings) -> Path:
    """Where the public half of the site's key lies."""
    return settings.site_key.with_name(settings.site_key.name + ".pub")


def sign(settings: Settings, data: bytes, namespace: str = NAMESPACE) -> bytes:
    """The site's signature of `data`. The same data give the same signature."""
    key = ensure_site_key(settings)
    return run(["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", key], stdin=data).stdout


def check_signature(settings: Settings, what: str, data: bytes, signature: bytes) -> None:
    """Raise VersionSpoiled, naming `what`, unless `signature` is the site's of `data`."""
    public = public_key_path(settings)
    try:
        key = public.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise VersionSpoiled(
            f"{what} cannot be checked: {public} is no public key ({error})",
            hint=f"ssh-keygen -y -f {settings.site_key} prints it",
        ) from None
    with tempfile.TemporaryFile() as signed:
        signed.write(data)
        signed.seek(0)
        check_signed(what, signed, signature, key=key, place=public)


def read_sealed(settings: Settings, path: Path) -> bytes:
    """The text of a file that ends with the site's signature of it. Raises VersionSpoiled."""
    try:
        text, signature = split_seal(path.read_bytes())
    except OSError as error:
        raise VersionSpoiled(f"{path.name}: {error.strerror}") from None
    check_signature(settings, path.name, text, signature)
    return text
