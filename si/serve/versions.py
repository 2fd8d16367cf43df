"""HTTP requests for published versions: manifest, signature, pack, deltas, blocks, torrent, script.

Stage 7, one server process. A version never changes, so its files may be kept by any cache in
between; what was removed gets 404 that names it. A pack is sent by the kernel, whole or in ranges.
"""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from si.names_check import parse_version_name
from si.serve.web import SITE, Refused
from si.version.blocks import INDEX, LISTS
from si.version.store import MANIFEST, PACK, SCRIPT, SIGNATURE, TORRENT, version_path

FILES: Final = frozenset((MANIFEST, PACK, SCRIPT, SIGNATURE, TORRENT, LISTS, INDEX))
"""Names a version hands out; anything else in its folder, but for deltas, is the server's own."""
_DELTA: Final = re.compile(r"delta-[1-9][0-9]{0,8}(\.index)?", re.ASCII)
_HEADERS: Final = {
    "Content-Type": "application/octet-stream",
    "Cache-Control": "private, max-age=31536000, immutable",
}


def add_routes(app: web.Application) -> None:
    """Add GET and HEAD /versions/NAME/N/FILE."""
    app.router.add_get("/versions/{image}/{number}/{file}", _version_file)


async def _version_file(request: web.Request) -> web.StreamResponse:
    match = request.match_info
    name = parse_version_name(f"{match['image']}@{match['number']}")
    is_handed_out = match["file"] in FILES or _DELTA.fullmatch(match["file"])
    if not is_handed_out or name.number is None:
        raise Refused(404, "a version has no such file")
    path = version_path(request.app[SITE].settings, name.image, name.number) / match["file"]
    if not path.parent.is_dir():
        raise Refused(404, f"there is no version {name} here")
    if not path.is_file():
        raise Refused(404, f"there is no {match['file']} of {name} here")
    return web.FileResponse(path, chunk_size=1 << 20, headers=_HEADERS)
