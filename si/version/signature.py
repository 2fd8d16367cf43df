"""Signatures by the site's key, in OpenSSH's form (ssh-keygen -Y; PROTOCOL.sshsig).

Stage 3. In: bytes; out: a signature, or the error that names what is spoiled. OpenSSH's form, for
`ssh-keygen -Y verify` checks it on any machine that can be logged in to. The key is Ed25519, made
when it is first needed, and belongs to the site: all images are signed with it.
"""

from __future__ import annotations

import base64
import binascii
import tempfile
from pathlib import Path

from si.config import Settings
from si.errors import CommandFailed, VersionSpoiled
from si.system.files import locked
from si.system.run import find_tool, run

SIGNER = "si"
NAMESPACE = "si-version"
INSTALL = "si-install"
"""The namespace of what one client is told to do, so that none of it passes for a version."""
MAX_BYTES = 4096
_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"
_COLUMNS = 70


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


def allowed_signers(public_key: str, namespaces: tuple[str, ...] = (NAMESPACE,)) -> str:
    """The file that `ssh-keygen -Y verify -f` wants: this key, for this product's files alone."""
    kind, key = public_key.split()[:2]
    return f'{SIGNER} namespaces="{",".join(namespaces)}" {kind} {key}\n'


def check_signature(settings: Settings, what: str, data: bytes, signature: bytes) -> None:
    """Raise VersionSpoiled, naming `what`, unless `signature` is the site's of `data`."""
    check_form(what, signature)
    try:
        public_key = public_key_path(settings).read_text(encoding="ascii")
        signers = allowed_signers(public_key)
    except (OSError, ValueError) as error:
        raise VersionSpoiled(
            f"{what} cannot be checked: {public_key_path(settings)} is no public key ({error})",
            hint=f"ssh-keygen -y -f {settings.site_key} prints it",
        ) from None
    with tempfile.TemporaryDirectory(prefix="si-verify-") as folder:
        allowed, signed = Path(folder) / "signers", Path(folder) / "signature"
        allowed.write_text(signers, encoding="ascii")
        signed.write_bytes(signature)
        try:
            run(["ssh-keygen", "-q", "-Y", "verify", "-n", NAMESPACE, "-I", SIGNER,
                 "-f", allowed, "-s", signed], stdin=data)  # fmt: skip
        except CommandFailed:
            raise VersionSpoiled(
                f"{what} is not what this site signed",
                hint=f"it was changed, or it was signed with another key than {settings.site_key}",
            ) from None


def check_form(what: str, signature: bytes) -> None:
    """Raise VersionSpoiled unless the text is exactly as ssh-keygen writes it.

    ssh-keygen itself forgives other line ends and spare bits, so a flipped bit could hide there.
    """
    body = signature.removeprefix(_BEGIN).removesuffix(_END)
    try:
        raw = base64.b64decode(body.replace(b"\n", b""), validate=True)
    except binascii.Error:
        raw = b""
    text = base64.b64encode(raw)
    lines = [text[at : at + _COLUMNS] for at in range(0, len(text), _COLUMNS)]
    if not raw or signature != _BEGIN + b"".join(line + b"\n" for line in lines) + _END:
        raise VersionSpoiled(f"the signature of {what} is no signature of OpenSSH")
