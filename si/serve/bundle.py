"""What one client fetches before it installs: bundle.tar and, later, update.json.

Stage 7, one server process. Everything that the server decides for a client is put together here at
the moment it asks: header with its constants, master script, pre- and post-install scripts with
their running order, and the identity files that BOEL lays over the new system.
"""

from __future__ import annotations

import contextlib
import io
import platform
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from si.boot.arming import Arming
from si.boot.chosen import choose_script, choose_version, layout_name
from si.boot.identity import File, render_identity
from si.client.hooks import choose_scripts, is_script
from si.cluster import Client
from si.config import Settings
from si.errors import KeyNotFound, ScriptNotFound
from si.image.metadata import read_inside
from si.image.store import Image, layout_path, load_image
from si.layout.document import load_layout
from si.names_check import VersionName
from si.script.demands import Demands, read_demands
from si.script.header import render_header
from si.script.identifiers import Identifier, identifiers
from si.serve.transport import choose_way
from si.version.signature import INSTALL, ensure_public_key, sign
from si.version.store import SIGNATURE, current_number, version_path

MAX_SCRIPT = 4 * 1024 * 1024
_MAX_HOSTS = 256 * 1024
INSTALL_TAR = "install.tar"
STAGES = ("pre-install", "post-install")


@dataclass(frozen=True, slots=True)
class Bases:
    """Where this client reaches this server."""

    http: str
    rsync: str


def build_bundle(settings: Settings, client: Client, arming: Arming, bases: Bases) -> bytes:
    """What BOEL fetches: a tar of install.tar and the site's signature of it, install.tar.sig.

    In install.tar are header.sh, master.sh, scripts, identity/. All members belong to root and have
    the time of the arming. Signed when it is asked for, since a script may come from a version, be
    made for a group's layout, or be edited by hand. Raises ImageNotFound,
    VersionNotFound, VersionSpoiled, ScriptNotFound, KeyNotFound, DocumentInvalid, FactsInvalid.
    """
    image = load_image(settings, arming.image)
    version = choose_version(
        settings, arming.what, live=arming.version is None, transport=arming.transport
    )
    armed_s = int(datetime.fromisoformat(arming.armed).timestamp())
    with _new_tar(armed_s) as writer:
        script = _read_script(choose_script(settings, client, image.name, version))
        demands = read_demands(script.decode("utf-8", "surrogateescape"))
        header = _header(settings, client, arming, image, bases, demands)
        writer.add("header.sh", 0o600, header)
        writer.add("master.sh", 0o755, script)
        for key in demands.keys:
            writer.add(f"keys/{key}", 0o600, _read_key(settings.keys / key, client.name))
        for stage in STAGES:
            _add_scripts(writer, settings.scripts / stage, stage, client, image.name)
        for file in _identity(settings, client, arming, image, bases):
            writer.add(f"identity/{file.path}", file.mode, file.text.encode())
    install = writer.data
    with _new_tar(armed_s) as outer:
        outer.add(INSTALL_TAR, 0o600, install)
        outer.add(f"{INSTALL_TAR}.sig", 0o600, sign(settings, install, INSTALL))
    return outer.data


def describe_update(
    settings: Settings, client: Client, name: VersionName, bases: Bases
) -> dict[str, object]:
    """What `si-updateclient` asks for: the image, its current version (null when there is none),
    the overrides that exist for this client, and its groups; and the signature of the version
    `name`, without a number the current one, so that who has its manifest asks no further.

    An image that came without facts is taken to be of this machine's architecture, as in arming.
    """
    image = load_image(settings, name.image)
    current = current_number(settings, image.name)
    return {
        "format": 1,
        "client": client.name,
        "image": image.name,
        "arch": image.arch or platform.machine(),
        "captured": image.captured or "",
        "size_bytes": image.bytes or 0,
        "rsync": bases.rsync,
        "overrides": list(existing_overrides(settings, client, image.name)),
        "version": current,
        "groups": list(client.groups),
        **_signed(settings, image.name, current if name.number is None else name.number),
    }


def _signed(settings: Settings, image: str, number: int | None) -> dict[str, object]:
    """Nothing where there is no such version: who asks for its manifest is told so."""
    if number is None:
        return {}
    try:
        text = (version_path(settings, image, number) / SIGNATURE).read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return {}
    return {"signed": {"version": number, "signature": text}}


def existing_overrides(settings: Settings, client: Client, image: str) -> tuple[str, ...]:
    """The client's overrides that lie in the store, least important first."""
    folder = settings.overrides
    return tuple(name for name in client.overrides_for(image) if (folder / name).is_dir())


@contextlib.contextmanager
def _new_tar(mtime: int) -> Iterator[_Writer]:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        yield _Writer(out, tar, mtime)


class _Writer:
    """Adds files to a tar, with the folders that lead to them."""

    def __init__(self, out: io.BytesIO, tar: tarfile.TarFile, mtime: int) -> None:
        self._out = out
        self._tar = tar
        self._mtime = mtime
        self._folders: set[str] = set()

    @property
    def data(self) -> bytes:
        """The whole tar, once it is closed."""
        return self._out.getvalue()

    def add(self, path: str, mode: int, data: bytes) -> None:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            self._add_folder("/".join(parts[:depth]))
        member = self._member(path, mode)
        member.size = len(data)
        self._tar.addfile(member, io.BytesIO(data))

    def _add_folder(self, path: str) -> None:
        if path not in self._folders:
            self._folders.add(path)
            member = self._member(path, 0o755)
            member.type = tarfile.DIRTYPE
            self._tar.addfile(member)

    def _member(self, path: str, mode: int) -> tarfile.TarInfo:
        member = tarfile.TarInfo(path)
        member.mode, member.mtime = mode, self._mtime
        member.uname = member.gname = "root"
        return member


def _header(
    settings: Settings,
    client: Client,
    arming: Arming,
    image: Image,
    bases: Bases,
    demands: Demands,
) -> bytes:
    way = choose_way(settings, arming)
    return render_header(
        client=client.name,
        image=image.name,
        version=arming.version,
        arch=arming.arch,
        flavor=arming.flavor,
        http=bases.http,
        rsync=bases.rsync,
        token=arming.token,
        transport=way.transport,
        fallback=way.fallback,
        overrides=existing_overrides(settings, client, image.name),
        captured=image.captured or "",
        identifiers=demands.identifiers or _of_layout(settings, client, image),
    ).encode()


def _of_layout(settings: Settings, client: Client, image: Image) -> tuple[Identifier, ...]:
    """For a script that does not say which variables it reads: one that was written by hand."""
    document = layout_path(settings, layout_name(client, image.name))
    return identifiers(load_layout(document.read_bytes(), str(document)))


def _read_key(path: Path, client: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyNotFound(
            f"{client}: cannot read the passphrase file {path}: {error.strerror}",
            hint="write the passphrase into it, and let only root read it",
        ) from error


def _add_scripts(writer: _Writer, folder: Path, stage: str, client: Client, image: str) -> None:
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    chosen = choose_scripts(
        (name for name in names if is_script(name) and (folder / name).is_file()),
        image=image,
        client=client.name,
        groups=client.groups,
    )
    for name in chosen:
        writer.add(f"{stage}/{name}", 0o755, _read_script(folder / name))
    writer.add(f"{stage}.order", 0o644, "".join(f"{name}\n" for name in chosen).encode())


def _identity(
    settings: Settings, client: Client, arming: Arming, image: Image, bases: Bases
) -> tuple[File, ...]:
    facts = image.facts
    hosts = read_inside(image.path, "etc/hosts", max_bytes=_MAX_HOSTS)
    return render_identity(
        client,
        server_url=bases.http,
        token=arming.token,
        image=image.name,
        version=arming.version,
        captured=image.captured or "",
        arch=arming.arch,
        backend=facts.network.backend if facts else "unknown",
        hosts=hosts.decode("utf-8", "replace") if hosts is not None else None,
        site_key=ensure_public_key(settings),
    )


def _read_script(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SCRIPT + 1)
    except FileNotFoundError as error:
        raise ScriptNotFound(
            f"no script {path}", hint="si-mkautoinstallscript makes master scripts"
        ) from error
    if len(data) > MAX_SCRIPT:
        raise ScriptNotFound(f"{path} is larger than {MAX_SCRIPT} bytes and not handed out")
    return data
