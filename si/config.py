"""Settings and every path, from si.toml. `--root` relocates all of it.

Stage: none. One frozen `Settings` is made once in `si.cli.command` and handed down; no other
module holds a path literal or reads the environment.
"""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from si.errors import ConfigInvalid


class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section [server]: where si-server listens and who may ask it."""

    address: str | None = None
    """IPv4 address clients reach this server at; None: that of the interface with the default
    route, else the first global one."""
    listen: str = "0.0.0.0"  # noqa: S104 - answers are limited to `networks`
    http_port: int = 8080
    tftp_port: int = 69
    rsync_port: int = 873
    torrent_port: int = 6881
    networks: tuple[str, ...] | None = None
    """CIDR networks that get answers; None: the subnets of this server's own interfaces."""


class InstallSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section [install]."""

    attempts: int = 3
    """How often an armed client may start its install before it is left alone."""
    report_timeout_s: int = 900
    """After this long without a report, a written or installing client counts as unknown."""


class DnsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section [dns]."""

    servers: tuple[str, ...] = ()
    """Name servers to ask; empty: those of /etc/resolv.conf."""
    port: int = 53
    hosts_file: str | None = None
    """Asked when DNS does not know a name; None: etc/hosts below the root."""


class PublishSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section [publish]."""

    keep: int = 10
    """How many versions of an image are kept, the current one besides; 0: all."""


class FileSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of si.toml."""

    server: ServerSettings = ServerSettings()
    install: InstallSettings = InstallSettings()
    dns: DnsSettings = DnsSettings()
    publish: PublishSettings = PublishSettings()


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What si.toml says, and every path of the product below `root`."""

    root: Path
    server: ServerSettings
    install: InstallSettings
    dns: DnsSettings
    publish: PublishSettings = dataclasses.field(default_factory=PublishSettings)

    @property
    def etc(self) -> Path:
        """Configuration directory."""
        return self.root / "etc/systemimager"

    @property
    def var(self) -> Path:
        """Everything the server stores."""
        return self.root / "var/lib/systemimager"

    @property
    def run(self) -> Path:
        """Runtime files: status socket, generated rsyncd.conf, logs of children."""
        return self.root / "run/systemimager"

    @property
    def cluster_xml(self) -> Path:
        """Clients, groups, images, layouts, overrides."""
        return self.etc / "cluster.xml"

    @property
    def dnsmasq_conf(self) -> Path:
        """DHCP configuration, where Debian's dnsmasq service reads it."""
        return self.root / "etc/dnsmasq.d/systemimager.conf"

    @property
    def getimage_exclude(self) -> Path:
        """The administrator's own capture excludes."""
        return self.etc / "getimage.exclude"

    @property
    def keys(self) -> Path:
        """Files with a passphrase each, which layouts name as key="file:NAME"."""
        return self.etc / "keys"

    @property
    def hosts_file(self) -> Path:
        """Addresses of names that DNS does not know."""
        return Path(self.dns.hosts_file) if self.dns.hosts_file else self.root / "etc/hosts"

    @property
    def images(self) -> Path:
        """One directory tree an image."""
        return self.var / "images"

    @property
    def versions(self) -> Path:
        """NAME/N: frozen copies of images."""
        return self.var / "versions"

    @property
    def site_key(self) -> Path:
        """The private key that signs versions; its public half beside it, as .pub."""
        return self.etc / "site.key"

    @property
    def overrides(self) -> Path:
        """Sparse trees laid over images."""
        return self.var / "overrides"

    @property
    def layouts(self) -> Path:
        """NAME.xml, one an image."""
        return self.var / "layouts"

    @property
    def scripts(self) -> Path:
        """NAME.master, pre-install/ and post-install/."""
        return self.var / "scripts"

    @property
    def flavors(self) -> Path:
        """ARCH/NAME/{kernel,initrd.img}."""
        return self.var / "flavors"

    @property
    def tftpboot(self) -> Path:
        """Boot programs."""
        return self.var / "tftpboot"

    @property
    def ssh_config(self) -> Path:
        """How ssh reaches clients; where it is missing, the user's own configuration counts."""
        return self.etc / "ssh_config"

    @property
    def fleet(self) -> Path:
        """What commands for many clients remember: who failed, and how far pushes are."""
        return self.var / "fleet"

    @property
    def clients(self) -> Path:
        """NAME/{arming.json,events.jsonl,console.log}: what the server knows of each client."""
        return self.var / "clients"


def default_settings(root: Path) -> Settings:
    """Settings of an empty si.toml."""
    empty = FileSettings()
    return _settings(root, empty)


def load_settings(*, root: Path, config: Path | None) -> Settings:
    """Read `config` (a missing default file means all defaults) into Settings.

    Raises ConfigInvalid, with the place of the fault, for a file that cannot be read or has an
    unknown or ill-typed key.
    """
    path = config if config is not None else root / "etc/systemimager/si.toml"
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        read = msgspec.convert(data, FileSettings)
    except OSError as error:
        if config is None and isinstance(error, FileNotFoundError):
            return default_settings(root)
        raise ConfigInvalid(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ConfigInvalid(f"{path}: {error}", hint="man si.toml lists the keys") from error
    return _settings(root, read)


def _settings(root: Path, read: FileSettings) -> Settings:
    return Settings(
        root=root,
        server=read.server,
        install=read.install,
        dns=read.dns,
        publish=read.publish,
    )
