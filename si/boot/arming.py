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
from pathlib import Path
from typing import Literal

import msgspec

from si.boot.netboot import check_append
from si.cluster import Client, Cluster, load_cluster
from si.config import Settings
from si.errors import (
    ClientUnknown,
    FlavorNotFound,
    ImageInUse,
    ImageNotFound,
    KeyNotFound,
    LayoutNotFound,
    NameNotResolved,
    ScriptNotFound,
)
from si.image.store import layout_path, load_image, script_path
from si.layout.document import load_layout
from si.monitor.events import (
    append_event,
    begin_events,
    client_directory,
    client_state,
    clients_with_folder,
    make_private,
)
from si.monitor.state import ClientState, Event, Phase, State
from si.names_check import check_name
from si.script.demands import read_demands
from si.system import names as system_names
from si.system.files import replace_file

Transport = Literal["rsync"]
Resolve = Callable[[Settings, str], tuple[str, ...]]


class Arming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """arming.json."""

    client: str
    token: str
    image: str
    flavor: str
    arch: str
    transport: Transport
    append: str
    mac: str
    ip: str
    armed: str
    """ISO time in UTC."""
    format: Literal[1] = 1


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
    transport: Transport = "rsync",
    append: str = "",
    resolve: Resolve = system_names.resolve,
) -> tuple[ArmingPlan, ...]:
    """Check that every client of `names` can be installed; changes nothing.

    `image` and `flavor` None: those of cluster.xml; `arch` None: that of the image. Raises
    ClientUnknown, ImageNotFound, LayoutNotFound, KeyNotFound, ScriptNotFound, FlavorNotFound,
    NameNotResolved, DocumentInvalid, BootArgumentsInvalid.
    """
    words = check_append(append)
    cluster = load_cluster(settings)
    plans = []
    for client in known_clients(cluster, names):
        chosen = load_image(settings, _image_of(client, image))
        wipes = _wiped_by(settings, client, chosen.name)
        kernel = _flavor_of(settings, flavor or client.flavor, arch or chosen.arch)
        arming = Arming(
            client=client.name,
            token=secrets.token_urlsafe(24),
            image=chosen.name,
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


def refuse_armed(settings: Settings, image: str) -> None:
    """Raise ImageInUse when a client is armed with `image`: its install would find nothing."""
    armed = [
        name
        for name in sorted(clients_with_folder(settings))
        if (arming := load_arming(settings, name)) is not None
        and arming.image == image
        and client_state(settings, name).armed
    ]
    if armed:
        raise ImageInUse(
            f"armed with image {image}: {shown(armed)}",
            hint=f"si-mkclientnetboot --localboot --clients {armed[0]} disarms a client",
        )


def script_name(client: Client, image: str) -> str:
    """Which layout and master script a client gets: its own of cluster.xml, else the image's."""
    return client.layout or image


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


def _wiped_by(settings: Settings, client: Client, image: str) -> tuple[str, ...]:
    """The disks that the client's script wipes, or its layout where the script does not say.

    Raises ScriptNotFound, KeyNotFound, LayoutNotFound.
    """
    name = script_name(client, image)
    script, document = script_path(settings, name), layout_path(settings, name)
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
    return tuple(disk.device for disk in layout.disks)


def _flavor_of(settings: Settings, flavor: str, arch: str) -> Path:
    arch = arch or platform.machine()
    names = check_name("architecture", arch), check_name("flavor", flavor)
    folder = settings.flavors.joinpath(*names)
    if not all((folder / file).is_file() for file in ("kernel", "initrd.img")):
        raise FlavorNotFound(
            f"no flavor {flavor} for {arch}",
            hint=f"make it: si-mkbootpackage --flavor {flavor} --arch {arch}",
        )
    return folder


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
