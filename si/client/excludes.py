"""What an update leaves alone: built-in protections, the administrator's list, its defaults.

Stage 8. Pure; runs on clients (Python 3.9). Rules are rsync's own ("INCLUDE/EXCLUDE PATTERN
RULES" in rsync(1)) and go to rsync unread, as one NUL-separated list; the first that matches
counts, so the built-in protections stand first and no list can switch them off.

What deviates from the ancestor (reference 3.4, 7.3): relative patterns such as `*.journal` work;
and the client's own updateclient.local.exclude is protected, where the ancestor let the image's
copy replace it - a line that an administrator wrote on one client has to keep working there. A
client without a list (it was removed, or the golden client had none) gets the defaults.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from si.client.rules import Rule, numbered_lines

PSEUDO_DIRECTORIES = ("/proc", "/sys", "/dev", "/run", "/tmp")  # noqa: S108 - named, not used
"""Contents are never copied nor removed; the directories themselves are."""

IDENTITY = (
    "/etc/machine-id",
    "/etc/hostname",
    "/etc/HOSTNAME",
    "/etc/hostid",
    "/etc/ssh/ssh_host_*",
    "/etc/fstab",
    "/etc/mtab",
    "/etc/systemimager/client.json",
    "/etc/systemimager/last-update.json",
    "/etc/systemimager/site-key.pub",
    "/etc/systemimager/updateclient.local.exclude",
    "/etc/systemimager/bootmenu.pending",
    "/etc/network/interfaces",
    "/etc/network/interfaces.d/*",
    "/etc/systemd/network/*",
    "/etc/NetworkManager/system-connections/*",
    "/etc/netplan/*",
    "/etc/iftab",
    "/etc/udev/rules.d/70-persistent-net.rules",
    "/etc/udev/rules.d/75-persistent-net-generator.rules",
    "/etc/udev/rules.d/z25_persistent-net.rules",
    "/etc/udev/rules.d/z45_persistent-net-generator.rules",
    "/etc/initramfs-tools/conf.d/resume",
    "/etc/iscsi/initiatorname.iscsi",
    "/etc/nvme/hostid",
    "/etc/nvme/hostnqn",
)
"""What makes this machine itself rather than its image. All that a capture leaves out as identity
(`si.image.excludes`) has to stand here or in the default list, or an update would remove it."""

BOOT = (
    "/boot/grub/grub.cfg",
    "/boot/grub/grubenv",
    "/boot/grub/device.map",
    "/boot/grub/*-pc/",
    "/boot/grub/*-efi/",
    "/boot/grub2/grub.cfg",
    "/boot/grub2/grubenv",
    "/boot/grub2/device.map",
    "/boot/grub2/*-pc/",
    "/boot/grub2/*-efi/",
)
"""What was made for this machine's own disks. GRUB's modules have to fit the core image that its
disk starts from, so they change with grub-install only."""

CACHE = "/var/cache/systemimager/"
"""What the client commands keep to save a transfer (`si.client.kept`)."""

DEFAULT_LIST = """\
# What si-updateclient leaves alone on this machine: contents are neither changed nor removed.
# One rsync pattern a line ("INCLUDE/EXCLUDE PATTERN RULES" in rsync(1)):
#   /path     this file or directory with all below it
#   /path/*   what is in it, while its own mode and owner follow the image
#   *.journal a name, wherever it stands
# This file belongs to this machine: updates do not replace it.
#
# Always left alone, whatever stands here: /proc /sys /dev /run /tmp, whatever is mounted that is
# no disk file system, machine-id, host name, ssh host keys, fstab, network configuration of
# ifupdown, systemd-networkd, NetworkManager and netplan, boot menu and boot loader.

# People's files, and places for what is not the system's
/home/*
/root/.*_history
/mnt/*
/media/*
/cdrom/*

# Names and time of this machine
/etc/hosts
/etc/resolv.conf
/etc/adjtime

# What a running system writes
/var/log/*
/var/spool/*
/var/tmp/*
/var/lock/*
/var/run/*
/var/lib/systemd/random-seed
/var/lib/systemd/credential.secret
# these directories too: systemd makes them where an image has none
/var/lib/systemd/timers
/var/lib/systemd/timesync
/var/lib/systemd/backlight
/var/lib/systemd/rfkill
/var/lib/systemd/linger
/var/lib/systemd/coredump
/var/lib/systemd/pstore
/var/lib/systemd/network
/var/lib/private
/var/lib/dhcp/*
/var/lib/dhclient/*
/var/lib/dhcpcd/*
/var/lib/NetworkManager/*
/var/lib/urandom/random-seed
/var/lib/ntp/*
/var/lib/ntpsec/*
/var/lib/chrony/*
/var/lib/nfs/*
/var/lib/locate/locatedb
/var/lib/plocate/*
/var/lib/mlocate/*
/var/lib/logrotate/*
/var/lib/dbus/machine-id
/var/lib/sss/*
/var/lib/cloud/*
/etc/lvm/backup/*
/etc/lvm/archive/*
/etc/lvm/cache/*
/etc/lvm/.cache
/etc/blkid.tab
/etc/blkid/blkid.tab

# Data of services
/var/lib/mysql/*
/var/lib/postgresql/*
/var/lib/pgsql/*
/var/lib/mongodb/*
/var/lib/mongo/*
/var/lib/redis/*
/var/lib/ldap/*
/var/lib/docker/*
/var/lib/containerd/*
/var/lib/containers/*
/var/lib/libvirt/images/*
"""

DATABASES = {
    "mysqld": ("/var/lib/mysql",),
    "mariadbd": ("/var/lib/mysql",),
    "postgres": ("/var/lib/postgresql", "/var/lib/pgsql"),
    "mongod": ("/var/lib/mongodb", "/var/lib/mongo"),
    "redis-server": ("/var/lib/redis",),
    "slapd": ("/var/lib/ldap",),
    "influxd": ("/var/lib/influxdb",),
}
"""Programs whose data must not be replaced below them, and where their packages keep it."""

_WILD = re.compile(r"[*?\[]")
_SPECIAL = re.compile(r"([\\*?\[])")


def parse_excludes(text: str, source: str) -> tuple[str, ...]:
    """The rules of a list as they stand there. Raises ConfigInvalid, as `numbered_lines`."""
    return tuple(line for _, line in numbered_lines(text, source))


def literal(path: str) -> str:
    """The pattern that matches exactly this absolute path.

    rsync takes a backslash literally in a pattern without wildcards, and as an escape in one
    with wildcards.
    """
    return _SPECIAL.sub(r"\\\1", path) if _WILD.search(path) else path


def below(path: str) -> str:
    """The pattern that matches whatever stands directly in this absolute path."""
    return _SPECIAL.sub(r"\\\1", path) + "/*"


def builtin_rules(
    used: Mapping[str, str], databases: Mapping[str, Iterable[str]]
) -> tuple[Rule, ...]:
    """The rules that stand before every list.

    used: mount points that do not belong to the image, and files that this machine swaps to (from
    the top of the tree that is updated), with what they are; databases: those that run, with the
    directories that they keep their data in.
    """
    data = {folder: name for name, folders in databases.items() for folder in folders}
    rules = [(literal(path), used[path]) for path in sorted(used)]
    rules += [(f"{folder}/*", f"{folder} is not the image's") for folder in PSEUDO_DIRECTORIES]
    rules += [("lost+found/", "fsck's own")]
    rules += [(path, "identity of this machine") for path in IDENTITY]
    rules += [(path, "made for this machine's disks") for path in BOOT]
    rules += [(CACHE, "kept by updates and audits")]
    rules += [(below(folder), f"{data[folder]} is running") for folder in sorted(data)]
    return tuple(Rule(True, pattern, f"built in: {source}") for pattern, source in rules)


def held_rules(files: Iterable[str], directories: Iterable[str]) -> tuple[str, ...]:
    """Rules for an earlier pass about what a later override has (paths from the top, with `/`).

    Its files are not the earlier pass's business; its directories must not be removed.
    """
    rules = [f"- {literal(path)}" for path in sorted(files)]
    rules += [f"P {literal(path)}/" for path in sorted(directories)]
    return tuple(rules)


def folders_with_protected(rules: Iterable[Rule]) -> frozenset[bytes]:
    """Directories in which a rule protects something, from the top without `/`; the top is `.`.

    Their own times change with what is protected in them, so a time that differs there says
    nothing. Only rules that name an absolute path in a directory without wildcards count.
    """
    found = set()
    for rule in rules:
        folder = rule.pattern.rstrip("/").rpartition("/")[0]
        if rule.is_protecting and rule.pattern.startswith("/") and not _WILD.search(folder):
            found.add(os.fsencode(folder.lstrip("/") or "."))
    return frozenset(found)


def join_rules(rules: Iterable[str]) -> bytes:
    """The rules as `rsync --from0 --filter='merge FILE'` reads them."""
    return b"".join(rule.encode("utf-8", "surrogateescape") + b"\0" for rule in rules)
