"""Is this what the site signed? The half of the signatures that clients need as well.

Stage 3, effects: runs ssh-keygen, which any machine has that can be logged in to. Python 3.9 and
the standard library only. In: bytes, a signature in OpenSSH's form (PROTOCOL.sshsig) and the site's
public key; out: nothing, or the error that names what is spoiled.
"""

from __future__ import annotations

import base64
import binascii
import tempfile
from pathlib import Path
from typing import IO

from si.errors import CommandFailed, VersionSpoiled
from si.system.run import find_tool, run

SIGNER = "si"
NAMESPACE = "si-version"
MAX_BYTES = 4096
_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"
_COLUMNS = 70


def allowed_signers(public_key: str, namespaces: tuple[str, ...] = (NAMESPACE,)) -> str:
    """The file that `ssh-keygen -Y verify -f` wants: this key, for this product's files alone.

    Raises ValueError for what is no line of a public key.
    """
    words = public_key.split()
    if len(words) < 2 or len(public_key.splitlines()) != 1:
        raise ValueError("not one line KIND KEY")
    return f'{SIGNER} namespaces="{",".join(namespaces)}" {words[0]} {words[1]}\n'


def check_signed(what: str, data: IO[bytes], signature: bytes, *, key: str, place: Path) -> None:
    """Raise VersionSpoiled, naming `what`, unless `signature` is that of `data` by `key`.

    data: a file, read from where it stands. place: where the public key was found, for people.
    """
    check_form(what, signature)
    find_tool("ssh-keygen", package="openssh-client")
    with tempfile.TemporaryDirectory(prefix="si-verify-") as folder:
        allowed, signed = Path(folder) / "signers", Path(folder) / "signature"
        try:
            allowed.write_text(allowed_signers(key), encoding="ascii")
        except ValueError as error:
            raise VersionSpoiled(
                f"{what} cannot be checked: {place} is no public key ({error})"
            ) from None
        signed.write_bytes(signature)
        try:
            run(["ssh-keygen", "-q", "-Y", "verify", "-n", NAMESPACE, "-I", SIGNER,
                 "-f", allowed, "-s", signed], stdin=data)  # fmt: skip
        except CommandFailed:
            raise VersionSpoiled(
                f"{what} is not what this site signed",
                hint=f"it was changed, or it was signed with another key than that of {place}",
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
