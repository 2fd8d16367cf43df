"""Make the boot menu fit what an update left in /boot.

Stage 8, effects; runs on clients (Python 3.9). The menu is protected from the update, for it names
this machine's own disks; it is made anew by the machine's own update-grub or grub-mkconfig. A
mark stands from before the first file changes until the menu fits, so that an update that was cut
off, or a tool that failed, is made up for by the next run.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from si.client.detect import find_grub_menu
from si.client.files import kept_times
from si.client.itemize import Item
from si.client.places import Places
from si.errors import CommandFailed, SIError
from si.system.run import run

_BOOT_PATHS = (
    b"boot/",
    b"lib/modules/",
    b"usr/lib/modules/",
    b"etc/grub.d/",
    b"etc/default/grub",
)
_MAKERS = (
    ("usr/sbin/update-grub", ()),
    ("usr/sbin/grub-mkconfig", ("-o",)),
    ("usr/sbin/grub2-mkconfig", ("-o",)),
)


def touches_boot(items: Iterable[Item]) -> bool:
    """Whether the menu may have to change after these items."""
    return any(
        item.path.startswith(_BOOT_PATHS) and not (item.is_directory and item.kind == "change")
        for item in items
    )


def is_menu_pending(places: Places) -> bool:
    """Whether an earlier update left a menu that does not fit."""
    return places.menu_pending.exists()


def mark_menu_pending(places: Places) -> None:
    """Remember, over a reboot too, that the menu has to be made."""
    places.etc.mkdir(parents=True, exist_ok=True)
    with kept_times(places.etc):
        places.menu_pending.touch(mode=0o644)


def make_menu(places: Places) -> str:
    """Make the menu and give a sentence about it.

    Raises CommandFailed when the machine's tool fails: the machine may then not start what the
    update brought.
    """
    menu = find_grub_menu(places.root)
    if menu is None:
        _clear(places)
        return "no GRUB menu here: see yourself that this machine boots what is in /boot"
    argv = _maker(places.root, menu)
    try:
        with kept_times(places.root / "boot", menu.parent):
            run(argv)
    except SIError as error:
        raise CommandFailed(
            f"the files are updated, but {argv[-1]} failed: {error.message}",
            hint="the boot menu may name kernels that are gone: put this right before a reboot, "
            "then run si-updateclient again",
        ) from error
    _clear(places)
    return f"made {menu} anew"


def _maker(root: Path, menu: Path) -> list[str]:
    """The command that writes the menu, run inside the tree when that is not `/`."""
    enter = [] if root == Path("/") else ["chroot", str(root)]
    inside = f"/{menu.relative_to(root)}"
    for program, options in _MAKERS:
        if (root / program).exists():
            return [*enter, f"/{program}", *options, *([inside] if options else [])]
    raise CommandFailed(
        f"the files are updated, but there is no update-grub nor grub-mkconfig to make {menu} with",
        hint="install GRUB's tools into the image, or use --no-bootloader",
    )


def _clear(places: Places) -> None:
    if places.menu_pending.exists():
        with kept_times(places.etc):
            places.menu_pending.unlink()
