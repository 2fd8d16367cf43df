"""Which names may become a path, an rsync module, a file on a client or a shell word.

Stage: none. Pure; runs on clients too (Python 3.9). Every name that a user, a document or the
network brings passes here before it is used.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

from si.errors import NameInvalid

_NUMBER = re.compile("[1-9][0-9]{0,8}", re.ASCII)
_ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def check_name(kind: str, text: str) -> str:
    """Give `text` back when it is a fit name for a `kind` ("image", "client", ...).

    Raises NameInvalid for anything but letters, digits, dot, underscore and hyphen (1 to 128 of
    them, the first a letter or digit), and for `..` anywhere.
    """
    if _ALLOWED.fullmatch(text) is None or ".." in text:
        raise NameInvalid(
            f"{text!r} cannot be the name of {_article(kind)} {kind}",
            hint="use letters, digits, '.', '_' and '-', beginning with a letter or digit",
        )
    return text


class VersionName(NamedTuple):
    """NAME@N. number: None when only an image was named."""

    image: str
    number: Optional[int]  # noqa: UP045 - evaluated, by Python 3.9 too

    def __str__(self) -> str:
        return self.image if self.number is None else f"{self.image}@{self.number}"


def parse_version_name(text: str) -> VersionName:
    """Read `NAME@N`, or `NAME` alone. Raises NameInvalid."""
    image, at, number = text.partition("@")
    check_name("image", image)
    if not at:
        return VersionName(image, None)
    if _NUMBER.fullmatch(number) is None:
        raise NameInvalid(
            f"{text!r} cannot be the name of a version",
            hint=f"a version is an image and a number from 1 up, like {image}@1",
        )
    return VersionName(image, int(number))


def _article(kind: str) -> str:
    return "an" if kind[:1] in "aeiou" else "a"
