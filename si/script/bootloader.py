"""Steps that make the new system start, and the kernel arguments it gets.

Stage 5. Pure. The golden client's own kernel arguments survive; what names a device of the golden
client is left out and made anew from the layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from si.layout.check import boot_devices
from si.layout.model import Filesystem, FilesystemType, Layout
from si.script.filesystems import DESTINATION, uuid_word
from si.script.steps import Call, Part, Step

_OURS = frozenset(("ro", "rw", "noresume"))
_OURS_PREFIXES = ("BOOT_IMAGE=", "root=", "resume=", "resume_offset=", "initrd=")
# As the kernel reads them: blanks separate, except between double quotes.
_ARGUMENT = re.compile(r'(?:"[^"]*"?|[^\s"])+')


def kernel_arguments(cmdline: str) -> tuple[str, ...]:
    """The arguments of a running kernel that its copies shall have too."""
    return tuple(
        word
        for word in _ARGUMENT.findall(cmdline)
        if word not in _OURS and not word.startswith(_OURS_PREFIXES)
    )


def bootloader_steps(layout: Layout, kernel_args: tuple[str, ...]) -> Iterator[Step]:
    """GRUB's configuration, written rather than probed for, and GRUB on every boot disk."""
    root, boot = layout.mounted_at("/"), layout.mounted_at("/boot")
    assert isinstance(root, Filesystem)
    own = isinstance(boot, Filesystem) and boot.format
    holder = boot if isinstance(boot, Filesystem) and own else root
    yield Call(
        "write_grub_config",
        (
            DESTINATION,
            uuid_word(root, layout),
            uuid_word(holder, layout),
            "" if own else "/boot",
            (" ".join(kernel_args) + (" " if kernel_args else ""), *_resume(layout)),
        ),
    )
    yield Call("install_grub_bios", (DESTINATION, *boot_devices(layout)))


def _resume(layout: Layout) -> tuple[Part, ...]:
    """Where to look for a hibernated system; else the image's initramfs would look for, and wait
    for, the golden client's swap."""
    for filesystem in layout.filesystems:
        if filesystem.type is FilesystemType.SWAP and filesystem.format:
            return ("resume=UUID=", *uuid_word(filesystem, layout))
    return ("noresume",)
