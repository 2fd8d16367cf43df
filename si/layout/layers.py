"""What stands between partitions and file systems: arrays, encryption, volume groups.

Stage 4. Pure. Every layer names the devices it is made of by their paths (`members`) and offers
one or more devices itself (`devices`), so that layers stand on one another in any order;
`stack` finds that order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from si.layout.quantity import Size


class RaidLevel(StrEnum):
    """Levels of software RAID that mdadm makes."""

    LINEAR = "linear"
    STRIPE = "0"
    MIRROR = "1"
    RAID4 = "4"
    RAID5 = "5"
    RAID6 = "6"
    RAID10 = "10"


@dataclass(frozen=True, slots=True)
class Raid:
    """A software RAID."""

    device: str
    """/dev/mdN or /dev/md/NAME."""
    level: RaidLevel
    members: tuple[str, ...]
    """Active members in their order."""
    spares: tuple[str, ...] = ()
    metadata: str = "1.2"
    """mdadm's superblock version: 1.2, 1.1, 1.0 (at the end: firmware can read a member), 0.90."""
    chunk: int | None = None
    """Bytes of a chunk of striped levels; None: mdadm's own choice."""
    layout: str | None = None
    """Parity layout of mdadm, like left-symmetric or n2; None: mdadm's own choice."""
    source_line: int = field(default=0, compare=False)

    @property
    def devices(self) -> tuple[str, ...]:
        """The one device that it offers."""
        return (self.device,)

    @property
    def holds(self) -> tuple[str, ...]:
        """All devices that it stands on, spares last."""
        return (*self.members, *self.spares)


class Pbkdf(StrEnum):
    """How LUKS2 derives a key from a passphrase."""

    ARGON2ID = "argon2id"
    PBKDF2 = "pbkdf2"


@dataclass(frozen=True, slots=True)
class Crypt:
    """A LUKS2 container."""

    name: str
    """It is opened as /dev/mapper/NAME."""
    on: str
    """The device that it encrypts."""
    key: str = "prompt"
    """"prompt": asked for on the client's console; "file:NAME": a passphrase file of the server."""
    pbkdf: Pbkdf = Pbkdf.ARGON2ID
    memory_kib: int | None = None
    """Memory that argon2id takes; every machine that opens it needs as much. None: by benchmark."""
    iterations: int | None = None
    """Passes of pbkdf2 or argon2id; None: by benchmark."""
    iter_time_ms: int | None = None
    """Time that the benchmark aims at; used where `iterations` is None."""
    options: str = "luks"
    """Fourth field of crypttab."""
    source_line: int = field(default=0, compare=False)

    @property
    def device(self) -> str:
        """The device of what is decrypted."""
        return f"/dev/mapper/{self.name}"

    @property
    def devices(self) -> tuple[str, ...]:
        """The one device that it offers."""
        return (self.device,)

    @property
    def holds(self) -> tuple[str, ...]:
        """The device that it stands on."""
        return (self.on,)


@dataclass(frozen=True, slots=True)
class LogicalVolume:
    """A logical volume, a thin pool, or a thin volume of a pool."""

    name: str
    size: Size
    """Of a thin volume: its virtual size, which is Fixed."""
    is_pool: bool = False
    thin_pool: str | None = None
    """The pool of the same group that a thin volume takes its space from."""
    options: str = ""
    """Further words for lvcreate."""
    source_line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class VolumeGroup:
    """An LVM volume group; its members become physical volumes."""

    name: str
    members: tuple[str, ...]
    extent: int | None = None
    """Bytes of a physical extent; None: 4 MiB, as LVM has it."""
    volumes: tuple[LogicalVolume, ...] = ()
    source_line: int = field(default=0, compare=False)

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices of the volumes that can hold something: all but pools."""
        return tuple(volume_path(self.name, v.name) for v in self.volumes if not v.is_pool)

    @property
    def holds(self) -> tuple[str, ...]:
        """All devices that it stands on."""
        return self.members


Layer = Raid | Crypt | VolumeGroup


def volume_path(group: str, volume: str) -> str:
    """/dev/GROUP/VOLUME."""
    return f"/dev/{group}/{volume}"


def mapper_path(group: str, volume: str) -> str:
    """The same device as device-mapper names it, where a hyphen of a name is doubled."""
    names = (name.replace("-", "--") for name in (group, volume))
    return "/dev/mapper/" + "-".join(names)


def stack(layers: Iterable[Layer]) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
    """Layers so ordered that each stands on earlier ones, and those that stand on themselves.

    Otherwise the order given is kept. The second is empty in a checked layout.
    """
    left, ordered = list(layers), list[Layer]()
    while left:
        waiting = {device for layer in left for device in layer.devices}
        ready = [layer for layer in left if not waiting & set(layer.holds)]
        if not ready:
            break
        ordered.append(ready[0])
        left.remove(ready[0])
    return tuple(ordered), tuple(left)
