"""Ask a golden client what it is: disks, file systems, boot, network.

Stage 1, effects: runs lsblk, sfdisk, findmnt, blkid, swapon and ip, in JSON where the tool has it
(design decision 14), reads a few files, and puts the answers into a `Facts`. Raises ToolMissing
that names every missing program at once. Runs on clients (Python 3.9).
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from si.client.ask_layers import gather_layers
from si.client.detect import detect_firmware, detect_loader, detect_network, read_first_sector
from si.client.doubts import walk
from si.client.fields import Raw, clean_text
from si.client.mounts import DISK_TYPES
from si.client.record import BootFacts, Facts, Kernel, NetworkFacts, Swap
from si.errors import CommandFailed, ToolMissing
from si.system.run import find_tool, run

PACKAGES = {
    "rsync": "rsync",
    "python3": "python3",
    "lsblk": "util-linux",
    "findmnt": "util-linux",
    "blkid": "util-linux",
    "sfdisk": "fdisk",
    "swapon": "mount",
    "ip": "iproute2",
}
"""Programs that facts and later updates need, with Debian's package of each."""

GRUB_INSTALLERS = ("grub-install", "grub2-install")

_OTHER_PACKAGES = {"sfdisk": "util-linux", "swapon": "util-linux", "ip": "iproute"}
_LSBLK_COLUMNS = (
    "NAME,KNAME,PATH,TYPE,SIZE,START,FSTYPE,FSVER,LABEL,UUID,PTTYPE,PTUUID,PARTTYPE,PARTLABEL,"
    "PARTUUID,PARTFLAGS,MOUNTPOINT,MOUNTPOINTS,PKNAME,RO,RM,LOG-SEC,PHY-SEC,ROTA,TRAN,MODEL,"
    "SERIAL,WWN,MAJ:MIN"
)
_FINDMNT_COLUMNS = "TARGET,SOURCE,FSTYPE,OPTIONS,UUID,LABEL,SIZE,USED,FSROOT,MAJ:MIN"


def gather_facts(root: Path = Path("/")) -> Facts:
    """The facts of this machine; files are read below `root`.

    Raises ToolMissing (all missing programs in one), CommandFailed.
    """
    os_release = read_os_release(root)
    require_tools(os_release)
    lsblk = _ask_lsblk()
    disks = tuple(_disks(lsblk))
    findmnt = _json(run(["findmnt", "--json", "--bytes", "--output", _FINDMNT_COLUMNS]).stdout)
    used_bytes, inodes = measure_use(findmnt)
    uname = os.uname()
    loader, grub_disks = detect_loader(
        root, ((disk, read_first_sector(Path(disk))) for disk in disks)
    )
    return Facts(
        recorded=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        hostname=uname.nodename,
        arch=uname.machine,
        firmware=detect_firmware(root),
        os_release=os_release,
        kernel=Kernel(uname.release, _read(root / "proc/cmdline").strip()),
        lsblk=lsblk,
        sfdisk=_ask_sfdisk(disks),
        findmnt=findmnt,
        fstab=_read(root / "etc/fstab"),
        swaps=_ask_swapon(),
        blkid=_ask_blkid(),
        boot=BootFacts(loader, grub_disks, _read(root / "etc/default/grub")),
        network=NetworkFacts(detect_network(root), _json_list(run(["ip", "-json", "addr"]).stdout)),
        tools=_tool_versions(),
        used_bytes=used_bytes,
        inodes=inodes,
        layers=gather_layers(root, lsblk, findmnt),
    )


def require_tools(os_release: dict[str, str]) -> None:
    """Raises ToolMissing that names every missing program, and the packages that have them."""
    missing = [tool for tool in PACKAGES if not _has(tool)]
    if not missing:
        return
    debian = "debian" in (os_release.get("ID", ""), *os_release.get("ID_LIKE", "").split())
    names = PACKAGES if debian else {**PACKAGES, **_OTHER_PACKAGES}
    packages = sorted({names[tool] for tool in missing})
    raise ToolMissing(
        f"not installed: {', '.join(missing)}",
        hint=f"install {'the package' if len(packages) == 1 else 'the packages'} "
        + " ".join(packages),
    )


def read_os_release(root: Path) -> dict[str, str]:
    """The variables of /etc/os-release (os-release(5): shell assignments)."""
    values = {}
    for line in _read(root / "etc/os-release").splitlines():
        name, mark, value = line.strip().partition("=")
        if mark and not name.startswith("#"):
            try:
                values[name] = " ".join(shlex.split(value))
            except ValueError:
                values[name] = value
    return values


def measure_use(findmnt: Raw) -> tuple[int, int]:
    """(bytes, inodes) in use on every mounted disk file system, each counted once."""
    used_bytes = inodes = 0
    seen = set()
    for mount in walk(findmnt.get("filesystems", [])):
        if mount.get("fstype") not in DISK_TYPES or mount.get("maj:min") in seen:
            continue
        seen.add(mount.get("maj:min"))
        try:
            use = os.statvfs(mount["target"])
        except OSError:
            continue
        used_bytes += (use.f_blocks - use.f_bfree) * use.f_frsize
        inodes += use.f_files - use.f_ffree
    return used_bytes, inodes


def _has(tool: str) -> bool:
    try:
        find_tool(tool)
    except ToolMissing:
        return False
    return True


def _ask_lsblk() -> Raw:
    known = run(["lsblk", "--help"]).text.split()
    columns = [column for column in _LSBLK_COLUMNS.split(",") if column in known]
    return _json(run(["lsblk", "--json", "--bytes", "--output", ",".join(columns)]).stdout)


def _disks(lsblk: Raw) -> Iterator[str]:
    for device in lsblk.get("blockdevices", []):
        if device.get("type") == "disk" and int(device.get("size") or 0) > 0:
            yield str(device.get("path") or f"/dev/{device['name']}")


def _ask_sfdisk(disks: Iterable[str]) -> dict[str, Raw]:
    """Partition tables by disk; a disk without one is left out (sfdisk ends with 1 then)."""
    tables = {}
    for disk in disks:
        done = run(["sfdisk", "--json", disk], check=False)
        if done.exit_code == 0:
            tables[disk] = _json(done.stdout)
    return tables


def _ask_swapon() -> tuple[Swap, ...]:
    done = run(["swapon", "--show=NAME,TYPE,SIZE,USED,PRIO", "--bytes", "--noheadings", "--raw"])
    swaps = []
    for line in clean_text(done.stdout.decode("utf-8", "replace")).splitlines():
        name, kind, size, used, prio = line.split()
        swaps.append(Swap(name, kind, int(size), int(used), int(prio)))
    return tuple(swaps)


def _ask_blkid() -> str:
    """`blkid -o export` with no cache file; it ends with 2 when it finds nothing."""
    done = run(["blkid", "-c", "/dev/null", "-o", "export"], ok=(0, 2))
    return clean_text(done.stdout.decode("utf-8", "replace"))


def _tool_versions() -> dict[str, str]:
    words = run(["rsync", "--version"]).text.split()
    versions = {
        "rsync": words[2] if len(words) > 2 else "unknown",
        "python3": platform.python_version(),
        "util-linux": run(["findmnt", "--version"]).text.split()[-1],
    }
    for tool in GRUB_INSTALLERS:
        if _has(tool):
            versions[tool] = run([tool, "--version"]).text.split()[-1]
    return versions


def _json(output: bytes) -> Raw:
    value = _clean(json.loads(output.decode("utf-8", "replace"))) if output.strip() else {}
    if not isinstance(value, dict):
        raise CommandFailed("a tool that should print a JSON object printed something else")
    return value


def _json_list(output: bytes) -> list[Raw]:
    value = _clean(json.loads(output.decode("utf-8", "replace")))
    # An interface that `ip` may not show is an empty object; keep only those with a name.
    return [item for item in value if isinstance(item, dict) and item]


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {clean_text(name): _clean(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_clean(inner) for inner in value]
    return value


def _read(file: Path) -> str:
    try:
        return clean_text(file.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""
