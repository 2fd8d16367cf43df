"""Which scripts a client runs before and after an install or an update, and in which order.

Stages 6 and 8. Pure; runs on clients too (Python 3.9). In go the
file names of a script folder and what is known of the client, out come the names to run. The rules
are SystemImager's:

- a script is named `NNclass.description`: two digits, a class, a dot;
- the classes, in this order: `all`, the image's name, the client's name up to its first digit or
  dot, each of its groups (most important first), the client's name;
- within a class by number, then by name;
- a script that several classes choose runs once, where it was chosen first;
- names that end in `~` or `.bak`, and hidden files, are ignored.

So 90all.x runs before 10web1.y: the class comes before the number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SCRIPT = re.compile(r"[0-9]{2}[A-Za-z0-9][A-Za-z0-9._+-]*\.[A-Za-z0-9._+-]+")


def choose_scripts(
    names: Iterable[str], *, image: str, client: str, groups: Iterable[str]
) -> tuple[str, ...]:
    """The scripts out of `names` that this client runs, in running order."""
    scripts = sorted(name for name in names if is_script(name))
    chosen: dict[str, None] = {}
    for name_class in ("all", image, base_name(client), *groups, client):
        if name_class:
            chosen.update(
                dict.fromkeys(name for name in scripts if name[2:].startswith(f"{name_class}."))
            )
    return tuple(chosen)


def is_script(name: str) -> bool:
    """Whether a file of that name can ever be run: the form above, and no editor's copy."""
    return _SCRIPT.fullmatch(name) is not None and not name.endswith(("~", ".bak"))


def base_name(client: str) -> str:
    """A client's name up to its first digit or dot: `web` of web12, possibly empty."""
    return re.split(r"[0-9.]", client, maxsplit=1)[0]
