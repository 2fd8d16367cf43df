"""Step 1 of the golden client: a Debian 12 tree by debootstrap, kept as one archive.

In: the package list and this machine's own apt configuration. Out: `tree-HASH.tar.zst`. It is kept
apart from the disk, so that a change to the disk's build downloads nothing. debootstrap runs in
two stages because dpkg must know what to leave out before it unpacks anything.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path

from scripts.lab.errors import LabError
from scripts.lab.scratch import scratch_folder
from si.system.run import PIPE, STDOUT, find_tool, read_lines, run, start

SUITE = "bookworm"
DEFAULT_MIRROR = "http://deb.debian.org/debian"
PACKAGES = Path(__file__).with_name("golden_packages.txt")
MORE_PACKAGES = Path(__file__).with_name("golden_packages_wide.txt")
NEEDLESS_MODULES = (
    "sound", "drivers/gpu", "drivers/media", "drivers/net/wireless", "drivers/net/ethernet",
    "drivers/staging", "drivers/infiniband", "drivers/iio", "drivers/isdn", "drivers/bluetooth",
    "drivers/hwmon", "drivers/scsi/*", "drivers/usb", "drivers/target", "net/mac80211",
    "net/wireless", "net/ceph", "net/sctp", "fs/ocfs2", "fs/nfs", "fs/ceph", "fs/smb", "fs/afs",
)  # fmt: skip
"""Four fifths of what Debian's usual kernel brings, for hardware that no machine of the lab has."""
UNWANTED = ("doc", "man", "info", "locale", "lintian", "groff", "bug", "doc-base")
PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY")
STAGES = {
    "I: Retrieving": "downloading",
    "I: Extracting": "unpacking the first packages",
    "I: Unpacking": "unpacking",
    "I: Configuring": "configuring",
}

Progress = Callable[[str], None]


class Kind(StrEnum):
    """Which tree: `small` has what one plain virtual server needs, for the main story; `wide` runs
    on any disk and firmware of the lab, for the matrix of layouts."""

    SMALL = "tree"
    WIDE = "wide"


def ensure_tree(folder: Path, progress: Progress, kind: Kind = Kind.SMALL) -> Path:
    """The archive of a golden client's tree below `folder`, built when it is not there yet."""
    archive = folder / f"{kind}-{tree_hash(kind)}.tar.zst"
    if archive.exists():
        return archive
    find_tool("debootstrap")
    with scratch_folder(folder, "tree") as aside:
        tree = aside / "tree"
        _bootstrap(tree, kind, folder / "debootstrap.log", progress)
        _slim(tree)
        progress("packing the tree")
        made = aside / archive.name
        run(["tar", "--create", "--file", made, "--zstd", "--numeric-owner", "--xattrs",
             "--xattrs-include=*", "--acls", "--sort=name", "--directory", tree, "."])  # fmt: skip
        for old in folder.glob(f"{kind}-*.tar.zst"):
            old.unlink()
        made.rename(archive)
    return archive


def tree_hash(kind: Kind = Kind.SMALL) -> str:
    """Twelve hex digits that change with this file or the package list."""
    words = " ".join(list_packages(kind)).encode()
    return hashlib.sha256(Path(__file__).read_bytes() + words).hexdigest()[:12]


def list_packages(kind: Kind) -> tuple[str, ...]:
    """Names of the packages of a tree; the wide one has another kernel than the small one."""
    names = read_packages(PACKAGES)
    if kind is Kind.SMALL:
        return names
    plain = tuple(name for name in names if not name.startswith("linux-image"))
    return plain + read_packages(MORE_PACKAGES)


def read_packages(path: Path) -> tuple[str, ...]:
    """Package names of a list with one name a line and # comments."""
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return tuple(line for line in lines if line)


def find_mirror(sources: Path = Path("/etc/apt")) -> str:
    """The mirror this machine itself has its Debian 12 packages from, else the default one.

    Reads both formats of apt: one line an entry, and deb822 paragraphs.
    """
    files = [sources / "sources.list", *sorted((sources / "sources.list.d").glob("*"))]
    for file in files:
        if not file.is_file():
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        found = _one_line(text) if file.suffix == ".list" else _deb822(text)
        if found is not None:
            return found
    return DEFAULT_MIRROR


def _one_line(text: str) -> str | None:
    entry = re.compile(rf"^deb\s+(?:\[[^]]*\]\s+)?(https?://\S+)\s+{SUITE}\s+.*\bmain\b", re.M)
    found: list[str] = entry.findall(text)
    return found[0] if found else None


def _deb822(text: str) -> str | None:
    for paragraph in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", paragraph, re.M))
        uris = [uri for uri in fields.get("URIs", "").split() if uri.startswith("http")]
        wanted = SUITE in fields.get("Suites", "").split()
        if uris and wanted and "main" in fields.get("Components", "").split():
            return uris[0]
    return None


def _bootstrap(tree: Path, kind: Kind, log: Path, progress: Progress) -> None:
    mirror = find_mirror()
    progress(f"debootstrap {SUITE} from {mirror}")
    packages = ",".join(list_packages(kind))
    environment = _download_environment(log.parent)
    _follow(["debootstrap", "--foreign", "--variant=minbase", f"--include={packages}",
             SUITE, tree, mirror], environment, log, progress)  # fmt: skip
    excludes = "".join(f"path-exclude=/usr/share/{name}/*\n" for name in UNWANTED)
    excludes += "".join(
        f"path-exclude=/lib/modules/*/kernel/{name}/*\n" for name in NEEDLESS_MODULES
    )
    (tree / "etc/dpkg/dpkg.cfg.d").mkdir(parents=True, exist_ok=True)
    (tree / "etc/dpkg/dpkg.cfg.d/lean").write_text(excludes)
    # The second stage mounts /proc and /sys; in a mount namespace they cannot outlive it.
    _follow(["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child",
             "chroot", tree, "/debootstrap/debootstrap", "--second-stage"],
            {"DEBIAN_FRONTEND": "noninteractive"}, log, progress)  # fmt: skip


def _download_environment(folder: Path) -> dict[str, str]:
    """Proxy and CA of this machine, as its environment and its apt configuration say."""
    environment = {key: os.environ[key] for key in PROXY_VARIABLES if key in os.environ}
    asked = "P Acquire::http::Proxy S Acquire::https::Proxy CA Acquire::https::CAInfo"
    answer = run(["apt-config", "shell", *asked.split()]).text
    apt = dict(word.split("=", 1) for word in shlex.split(answer))
    for key, name in (("P", "http_proxy"), ("S", "https_proxy")):
        if apt.get(key, "").startswith("http"):
            environment[name] = apt[key]
    authority = apt.get("CA") or os.environ.get("SSL_CERT_FILE")
    if authority:
        wgetrc = folder / "wgetrc"
        wgetrc.write_text(f"ca_certificate = {authority}\n")
        environment["WGETRC"] = str(wgetrc)
    return environment


def _follow(
    argv: list[str | Path], environment: Mapping[str, str], log: Path, progress: Progress
) -> None:
    """Run, keep all output in `log`, and say when a new stage begins."""
    process = start([*argv], env=environment, stdout=PIPE, stderr=STDOUT)
    last: list[str] = []
    stage = ""
    with log.open("a", encoding="utf-8") as out:
        for raw in read_lines(process):
            line = raw.decode("utf-8", "replace")
            print(line, file=out, flush=True)
            last = [*last[-9:], line]
            now = next((text for start_, text in STAGES.items() if line.startswith(start_)), stage)
            if now != stage:
                stage = now
                progress(stage)
    if process.wait() != 0:
        raise LabError(f"{argv[0]} failed: " + " | ".join(last), hint=f"all its output: {log}")


def _slim(tree: Path) -> None:
    """Drop what the first stage unpacked without asking dpkg, and what downloads left."""
    for name in UNWANTED:
        run(["find", tree / "usr/share" / name, "-mindepth", "1", "-delete"], check=False)
    for pattern in ("var/cache/apt/archives/*.deb", "var/lib/apt/lists/*_*", "var/log/*.log"):
        for path in tree.glob(pattern):
            path.unlink()
    for path in tree.glob("boot/initrd.img-*"):
        path.unlink()  # made anew on the disk, where it learns of the swap partition
