"""Arming: allow a client to be installed, once, with a certain image, layout and flavor.

Stage 6, getting BOEL onto a machine. In go names and what they are to get; out come
`clients/NAME/arming.json` (with a fresh token, readable by its owner only) and an "armed" event.
`plan_arming` checks everything first and changes nothing, so that a command arms all or nobody.
"""

from __future__ import annotations

import platform
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import msgspec

from si.boot.chosen import choose_script, choose_version, layout_name
from si.boot.flavor import require_flavor
from si.boot.netboot import check_append
from si.cluster import Client, Cluster, load_cluster
from si.config import Settings
from si.errors import (
    ClientUnknown,
    ImageNotFound,
    KeyNotFound,
    LayoutNotFound,
    NameNotResolved,
    ScriptNotFound,
)
from si.image.store import layout_path, load_image
from si.layout.document import load_layout
from si.monitor.events import (
    append_event,
    begin_events,
    client_directory,
    client_state,
    make_private,
)
from si.monitor.state import ClientState, Event, Phase, State
from si.names_check import VersionName, parse_version_name
from si.script.demands import read_demands
from si.system import names as system_names
from si.system.files import replace_file
from si.version.store import Version

Transport = Literal["rsync", "http", "torrent"]
Wish = Transport | Literal["auto"]
"""What may be asked for; si-server decides what `auto` means when an install begins."""
Resolve = Callable[[Settings, str], tuple[str, ...]]


class Arming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """arming.json."""

    client: str
    token: str
    image: str
    flavor: str
    arch: str
    transport: Wish
    append: str
    mac: str
    ip: str
    armed: str
    """ISO time in UTC."""
    version: int | None = None
    """None: the image as it stands in the store."""
    format: Literal[1] = 1

    @property
    def what(self) -> VersionName:
        """NAME@N, or NAME for the image as it stands."""
        return VersionName(self.image, self.version)


@dataclass(frozen=True, slots=True)
class ArmingPlan:
    """What arming one client would do."""

    arming: Arming
    wipes: tuple[str, ...]
    """Disks whose contents an install destroys."""
    state: ClientState
    """Where the client stands before."""

    @property
    def is_busy(self) -> bool:
        """An install of this client is under way."""
        return self.state.state is State.INSTALLING


def plan_arming(
    settings: Settings,
    names: Iterable[str],
    *,
    image: str | None,
    flavor: str | None = None,
    arch: str | None = None,
    transport: Wish = "rsync",
    live: bool = False,
    append: str = "",
    resolve: Resolve = system_names.resolve,
) -> tuple[ArmingPlan, ...]:
    """Check that every client of `names` can be installed; changes nothing.

    `image` (NAME or NAME@N) and `flavor` None: those of cluster.xml; `arch` None: that of the
    image. `live`: the image as it stands, though it has versions. Raises ClientUnknown,
    ImageNotFound, VersionNotFound, VersionSpoiled, LayoutNotFound, KeyNotFound, ScriptNotFound,
    FlavorNotFound, NameNotResolved, DocumentInvalid, BootArgumentsInvalid.
    """
    words = check_append(append)
    cluster = load_cluster(settings)
    versions: dict[VersionName, Version | None] = {}
    plans = []
    for client in known_clients(cluster, names):
        wanted = parse_version_name(_image_of(client, image))
        chosen = load_image(settings, wanted.image)
        if wanted not in versions:
            versions[wanted] = choose_version(settings, wanted, live=live, transport=transport)
        version = versions[wanted]
        wipes = _wiped_by(settings, client, chosen.name, version)
        kernel = require_flavor(
            settings,
            flavor=flavor or client.flavor,
            arch=arch or chosen.arch or platform.machine(),
            torrent=transport == "torrent",
        )
        arming = Arming(
            client=client.name,
            token=secrets.token_urlsafe(24),
            image=chosen.name,
            version=version.name.number if version else None,
            flavor=kernel.name,
            arch=kernel.parent.name,
            transport=transport,
            append=words,
            mac=_mac_of(client),
            ip=str(client.ip) if client.ip else _resolve_one(settings, client.name, resolve),
            armed=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        plans.append(ArmingPlan(arming, wipes, client_state(settings, client.name)))
    return tuple(plans)


def arm_clients(settings: Settings, plans: Iterable[ArmingPlan]) -> None:
    """Write each arming down. A client's former token is worth nothing from then on."""
    for plan in plans:
        arming = plan.arming
        directory = client_directory(settings, arming.client)
        make_private(directory)
        text = msgspec.json.encode(arming) + b"\n"
        replace_file(directory / "arming.json", text, mode=0o600)
        told = {
            "image": arming.image,
            "version": arming.version,
            "flavor": arming.flavor,
            "arch": arming.arch,
            "transport": arming.transport,
        }
        detail = msgspec.json.encode(told).decode()
        event = Event(datetime.now(UTC), Phase.ARMED, None, detail)
        begin_events(settings, arming.client, event)


def disarm_clients(settings: Settings, names: Iterable[str]) -> tuple[str, ...]:
    """Let clients boot their own disk from now on; gives those that were armed.

    An install that is under way is stopped as long as its disk is whole; one that has begun to
    write goes on and may still report. Raises ClientUnknown for a name
    that neither cluster.xml nor an earlier arming knows.
    """
    listed = tuple(names)
    cluster = load_cluster(settings)
    strangers = [name for name in listed if load_arming(settings, name) is None]
    known_clients(cluster, strangers)
    disarmed = []
    for name in listed:
        if client_state(settings, name).armed:
            append_event(settings, name, Event(datetime.now(UTC), Phase.DISARMED))
            disarmed.append(name)
    return tuple(disarmed)


def load_arming(settings: Settings, name: str) -> Arming | None:
    """The arming of a client; None when it was never armed, or the file cannot be believed.

    Raises NameInvalid.
    """
    file = client_directory(settings, name) / "arming.json"
    try:
        return msgspec.json.decode(file.read_bytes(), type=Arming)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def known_clients(cluster: Cluster, names: Iterable[str]) -> tuple[Client, ...]:
    """Clients of these names. Raises one ClientUnknown that lists all that are not known."""
    found, missing = [], []
    for name in names:
        try:
            found.append(cluster.client(name))
        except ClientUnknown:
            missing.append(name)
    if missing:
        raise ClientUnknown(
            f"cluster.xml does not name {shown(missing)}",
            hint=f"add it: si-client add {missing[0]} --mac MAC (si-client list shows the known)",
        )
    return tuple(found)


def shown(names: Sequence[str]) -> str:
    """Names for a message: ten of them at most."""
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


def _image_of(client: Client, image: str | None) -> str:
    chosen = image or client.image
    if chosen is None:
        raise ImageNotFound(
            f"cluster.xml gives {client.name} no image", hint="name one: --image NAME"
        )
    return chosen


def _wiped_by(
    settings: Settings, client: Client, image: str, version: Version | None
) -> tuple[str, ...]:
    """The disks that the client's script wipes, or its layout where the script does not say.

    Raises ScriptNotFound, KeyNotFound, LayoutNotFound.
    """
    name = layout_name(client, image)
    script = choose_script(settings, client, image, version)
    document = layout_path(settings, name)
    hint = f"make it: si-mkautoinstallscript --image {name}"
    if not script.is_file():
        raise ScriptNotFound(f"{client.name}: no master script {script}", hint=hint)
    demands = read_demands(script.read_text(encoding="utf-8", errors="surrogateescape"))
    for key in demands.keys:
        if not (settings.keys / key).is_file():
            raise KeyNotFound(
                f"{client.name}: no passphrase file {settings.keys / key}",
                hint="write the passphrase into it, and let only root read it",
            )
    if demands.disks:
        return demands.disks
    try:
        layout = load_layout(document.read_bytes(), str(document))
    except FileNotFoundError as error:
        raise LayoutNotFound(
            f"{client.name}: no layout {document}, so what would be wiped is not known",
            hint="si-getimage makes one; so can you, see si-layout(5)",
        ) from error
    rules = {disk.device: str(disk.rule) for disk in layout.disks if disk.rule is not None}
    return tuple(rules.get(device, device) for device in layout.written)


def _mac_of(client: Client) -> str:
    if client.mac is None:
        raise ClientUnknown(
            f"cluster.xml knows no MAC of {client.name}",
            hint=f"add it: si-client add {client.name} --mac MAC",
        )
    return client.mac


def _resolve_one(settings: Settings, name: str, resolve: Resolve) -> str:
    addresses = resolve(settings, name)
    if not addresses:
        raise NameNotResolved(f"no IPv4 address for {name!r}")
    return addresses[0]
