"""What an audit found, for people and for programs.

Stage 8, effects: prints; runs on clients (Python 3.9). Nothing is kept but counts.
"""

from __future__ import annotations

import json
import logging
from collections import Counter

from si.client.differences import Difference
from si.client.itemize import quote_path
from si.client.wanted import Answer

_log = logging.getLogger(__name__)


class Report:
    """Prints differences as they come. differs: whether there was one that nothing protects."""

    def __init__(
        self, answer: Answer, *, as_json: bool, with_protected: bool, only_sum: bool
    ) -> None:
        self._answer = answer
        self._as_json = as_json
        self._only_sum = only_sum
        self._with_protected = with_protected
        self._paths = 0
        self._protected = 0
        self._classes: Counter[str] = Counter()
        if as_json and not only_sum:
            print(json.dumps(self._about())[:-1] + ', "differences": [')

    @property
    def differs(self) -> bool:
        """Whether anything differs that is not protected."""
        return self._paths > 0

    def add(self, difference: Difference) -> None:
        """Print one, and count it."""
        first = not self._paths and not self._protected
        if difference.rule is not None:
            self._protected += 1
        else:
            self._paths += 1
            self._classes.update(difference.classes)
        if self._only_sum:
            return
        if self._as_json:
            print(("" if first else ",\n") + json.dumps(_as_data(difference)), end="")
        elif difference.rule is None or self._with_protected:
            print(describe(difference))

    def finish(self) -> None:
        """Print the sum."""
        if self._as_json:
            summary = {"differ": self._paths, "protected": self._protected, **self._classes}
            if self._only_sum:
                print(json.dumps({**self._about(), "summary": summary}))
            else:
                print(f'\n],\n"summary": {json.dumps(summary)}}}')
        protected = f", {self._protected} protected paths do" if self._protected else ""
        name = self._answer.version
        if not self._paths:
            _log.info("nothing differs from %s%s", name, protected)
            return
        classes = ", ".join(f"{count} {name}" for name, count in self._classes.items())
        noun = "path differs" if self._paths == 1 else "paths differ"
        _log.info("%d %s from %s (%s)%s", self._paths, noun, name, classes, protected)

    def _about(self) -> dict[str, object]:
        update = self._answer.update
        return {
            "client": update.client,
            "image": update.image,
            "version": self._answer.version.number,
            "overrides": list(update.overrides),
        }


def describe(difference: Difference) -> str:
    """One line: `changed: /etc/motd (contents)`; a directory ends in `/`."""
    classes = ", ".join(difference.classes)
    name = _name(difference)
    what = f" ({', '.join(difference.what)})" if difference.what else ""
    if difference.rule is None:
        return f"{classes}: {name}{what}"
    return f"protected: {name} ({classes}; by {difference.rule})"


def _name(difference: Difference) -> str:
    name = quote_path(difference.path)
    if not difference.is_folder or difference.path == b"/":
        return name
    return name[:-1] + "/'" if name.startswith("$'") else name + "/"


def _as_data(difference: Difference) -> dict[str, object]:
    rule = difference.rule
    return {
        "path": quote_path(difference.path),
        "directory": difference.is_folder,
        "classes": list(difference.classes),
        "what": list(difference.what),
        "protected_by": None if rule is None else {"rule": rule.text, "source": rule.source},
    }
