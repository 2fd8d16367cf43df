"""The line that fetches the client commands: `si-server --client-line` prints it.

Stage 7. It goes by a way that people trust - a terminal, a ticket, their own configuration - onto a
machine that has nothing of ours. So it carries the fingerprint of the site's key: key, program and
signature come over plain HTTP, and nothing of them is run before all three fit. ssh-keygen checks
the signature, as for all that the site signs; a client needs that program for its updates anyway.
"""

from __future__ import annotations

import hashlib
import shlex

from si.config import Settings
from si.errors import ConfigInvalid
from si.system.interfaces import default_gateway, read_interfaces
from si.version.signature import CLIENT, ensure_public_key
from si.version.signed import SIGNER

APP = "si-client.pyz"
KEY = "site-key.pub"
SIGNATURE = f"{APP}.sig"

# One command after the other under `set -e`: whatever fails ends it. The key's line is hashed as a
# whole, so that nothing that ssh-keygen might read otherwise stands beside it. No proxy: the server
# is on this network.
_SCRIPT = r"""
for t in python3 sha256sum ssh-keygen; do command -v $t >/dev/null || {{
echo "si-client: error: there is no $t here" >&2; exit 19; }}; done
d=$(mktemp -d); trap "rm -rf \"\$d\"" EXIT; cd "$d"
get() {{ if command -v curl >/dev/null; then curl --noproxy "*" -fsS -o "$1" "{base}/client/$1"
else wget --no-proxy -q -O "$1" "{base}/client/$1"; fi; }}
get {key}; get {app}; get {signature}
echo "{fingerprint}  {key}" | sha256sum -c --status || {{
echo "si-client: error: this is not the key of the site, nothing was run" >&2; exit 61; }}
echo "{signer} namespaces=\"{namespace}\" $(cat {key})" >signers
ssh-keygen -q -Y verify -n {namespace} -I {signer} -f signers -s {signature} <{app} || {{
echo "si-client: error: the site did not sign this program, nothing was run" >&2; exit 61; }}
python3 -IB {app} install --site-key {key}
"""


def client_line(settings: Settings) -> str:
    """The line, for this site. Raises ConfigInvalid, CommandFailed, ToolMissing."""
    key = ensure_public_key(settings)
    base = f"http://{_own_address(settings)}:{settings.server.http_port}"
    return render_client_line(base, key_fingerprint(key))


def key_fingerprint(public_key: str) -> str:
    """SHA-256 of the file that holds the key, in hex: what `sha256sum` says of site.key.pub."""
    return hashlib.sha256(public_key.encode("ascii")).hexdigest()


def render_client_line(base: str, fingerprint: str) -> str:
    """A POSIX shell command without line ends. base: URL of the server."""
    script = _SCRIPT.format(
        base=base, fingerprint=fingerprint, key=KEY, app=APP, signature=SIGNATURE,
        signer=SIGNER, namespace=CLIENT,
    )  # fmt: skip
    return f"sh -euc {shlex.quote(_join_lines(script))}"


def _join_lines(script: str) -> str:
    """Lines of a script as one; those that are not complete by themselves go on in the next."""
    joined = ""
    for line in script.strip().splitlines():
        joined += line + (" " if line.endswith("{") else "; ")
    return joined.removesuffix("; ")


def _own_address(settings: Settings) -> str:
    """server.address, else that of the interface with the default route, else the first there is.

    Raises ConfigInvalid where there is none.
    """
    if settings.server.address is not None:
        return settings.server.address
    gateway = default_gateway()
    cards = [card for card in read_interfaces() if card.addresses]
    cards.sort(key=lambda card: gateway is None or card.name != gateway[0])
    if not cards:
        raise ConfigInvalid(
            "this machine has no IPv4 address that clients could use",
            hint="set server.address in si.toml",
        )
    return str(cards[0].addresses[0].ip)
