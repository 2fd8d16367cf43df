"""A seeder that can be reached over a link alone, and a tracker that knows of what a test says."""

from __future__ import annotations

import contextlib
import shutil
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote_from_bytes

from si.config import Settings
from si.version.store import TORRENT
from si.version.torrent import read_info_hash
from tests.integration import server_kit, version_kit
from tests.integration.boel.breaking_link import SOURCE


@contextlib.contextmanager
def seeder(settings: Settings, root: Path) -> Iterator[int]:
    """A server beside that of `settings` that seeds its versions, and answers a BreakingLink alone;
    the port. No tracker knows of it, and who finds it by itself gets nothing."""
    beside = server_kit.make_store(root, networks=(f"{SOURCE}/32",))
    beside.versions.symlink_to(settings.versions)
    shutil.copy(settings.site_key.with_name("site.key.pub"), beside.etc)
    with server_kit.running_server(beside, "--only", "torrent"):
        yield beside.server.torrent_port


def announce(settings: Settings, port: int, *, gone: Sequence[int] = ()) -> None:
    """Tell the tracker of a peer with web@1 on `port`, and that those on the ports `gone` left."""
    info_hash = read_info_hash((version_kit.version(settings, 1).path / TORRENT).read_bytes())
    # Not urlencode, which writes a space as +: that stands for itself here.
    query = (
        f"http://127.0.0.1:{settings.server.http_port}/announce"
        f"?info_hash={quote_from_bytes(info_hash, safe='')}&peer_id={'x' * 20}&left=0"
    )
    for left in gone:
        urllib.request.urlopen(f"{query}&port={left}&event=stopped").close()
    urllib.request.urlopen(f"{query}&port={port}").close()
