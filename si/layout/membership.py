"""Who belongs to which array and volume group, from both ends of a document.

Stage 4. Pure. Older documents say it at the member (`raid_dev`, `lvm_group`), or, for arrays, at
the array (`devices`); ours says it at the array or group. Both are put together here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from si.layout.faults import Faults


@dataclass(slots=True)
class Memberships:
    """What members say, in the order of the document: (name of the owner, device, line)."""

    raids: list[tuple[str, str, int]] = field(default_factory=list)
    groups: list[tuple[str, str, int]] = field(default_factory=list)

    def of_raid(self, name: str) -> tuple[str, ...]:
        """The devices that say they belong to this array."""
        return tuple(device for owner, device, _line in self.raids if owner == name)

    def of_group(self, name: str) -> tuple[str, ...]:
        """The devices that say they belong to this volume group."""
        return tuple(device for owner, device, _line in self.groups if owner == name)

    def check_owners(self, raids: set[str], groups: set[str], faults: Faults) -> None:
        """Note every member of something that the document does not have."""
        for owner, device, line in self.raids:
            if owner not in raids:
                text = f'{device} has raid_dev="{owner}", but there is no <raid_disk> of that name'
                faults.problem(line, text)
        for owner, device, line in self.groups:
            if owner not in groups:
                text = f'{device} has lvm_group="{owner}", but no <lvm_group> has that name'
                faults.problem(line, text)


def plain_raid(text: str) -> str:
    """One spelling of an array's path: /dev/md/0 is /dev/md0."""
    found = re.fullmatch(r"/dev/md/?([0-9]{1,3})", text)
    return f"/dev/md{int(found[1])}" if found is not None else text
