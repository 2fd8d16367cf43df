"""What an armed client is given: which version of its image, and which master script.

Stage 6, getting BOEL onto a machine. In go names, out come a `Version` and a script's path. Arming
asks first and the bundle again, since a version may have been removed or spoiled in between.
"""

from __future__ import annotations

from pathlib import Path

from si.cluster import Client
from si.config import Settings
from si.errors import VersionNotFound, VersionSpoiled
from si.image.store import script_path
from si.names_check import VersionName
from si.version.manifest import FileSum
from si.version.signature import check_signature
from si.version.store import (
    MANIFEST,
    SCRIPT,
    SIGNATURE,
    Version,
    list_numbers,
    load_version,
    read_manifest,
)
from si.version.verify import sum_of


def choose_version(
    settings: Settings, wanted: VersionName, *, live: bool, transport: str
) -> Version | None:
    """The version that `wanted` names, the current one when it has no number.

    None for the image as it stands: with `live`, and when nothing of it was published yet. Only
    rsync can carry that. Raises VersionNotFound, ManifestInvalid, VersionSpoiled.
    """
    if not live and (wanted.number is not None or list_numbers(settings, wanted.image)):
        version = load_version(settings, wanted)
        check_script(settings, version)
        return version
    if transport != "rsync":
        raise VersionNotFound(
            f"{transport} carries versions, and this is image {wanted.image} as it stands",
            hint=f"si-publish {wanted.image} makes a version; --transport rsync does without",
        )
    return None


def check_script(settings: Settings, version: Version) -> None:
    """Raise VersionSpoiled unless manifest and script of a version are what the site signed."""
    manifest = read_manifest(version)
    try:
        signature = (version.path / SIGNATURE).read_bytes()
    except OSError as error:
        raise VersionSpoiled(f"{error.filename}: {error.strerror}") from None
    check_signature(settings, str(version.path / MANIFEST), manifest, signature)
    expected = version.head.script
    if expected is not None and _sum_of(version.path / SCRIPT) != expected:
        raise VersionSpoiled(
            f"{version.path / SCRIPT} is not what was published",
            hint="remove the version (si-rmimage), or bring its files back from a copy",
        )


def layout_name(client: Client, image: str) -> str:
    """Whose layout and master script a client gets: its own of cluster.xml, else the image's."""
    return client.layout or image


def choose_script(settings: Settings, client: Client, image: str, version: Version | None) -> Path:
    """The master script of a client.

    That of its own layout, where cluster.xml names one. Else the image's, as it stands: a layout
    may be mended without publishing again. A version older than the latest brings its own.
    """
    if client.layout is None and version is not None and version.head.script is not None:
        latest = list_numbers(settings, image)[-1:]
        if latest != (version.name.number,):
            return version.path / SCRIPT
    return script_path(settings, layout_name(client, image))


def _sum_of(path: Path) -> FileSum | None:
    try:
        return sum_of(path.read_bytes())
    except OSError:
        return None
