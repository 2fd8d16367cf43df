"""si-audit: is this machine its image?

Stage 8, effects: reads, changes nothing; runs on clients (Python 3.9). The server gives the signed
manifest of a version and is otherwise left alone; only overrides, of which there are no versions,
are compared by its rsync. Differences are told as they are found, so there may be any number.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from si.client.audit_report import Report
from si.client.comparison import compare_trees
from si.client.differences import ATTRIBUTES, CHANGED, MISSING, MODE, OWNER, Difference
from si.client.explain import explain_path
from si.client.guard import Guarding
from si.client.identity import load_identity
from si.client.itemize import Item
from si.client.overlaid import Overlaid, list_overrides, preview_overrides
from si.client.places import Places
from si.client.published import open_answer
from si.client.rules import Protection
from si.client.scope import guard_against, make_scope
from si.client.wanted import Wanted, ask_server
from si.errors import PrivilegeMissing
from si.version.stream import ManifestReader

EXIT_DIFFERS = 4
_CLASSES = {"mode": MODE, "owner": OWNER, "group": OWNER, "acl": ATTRIBUTES, "xattrs": ATTRIBUTES}


@dataclass(frozen=True)
class AuditOptions:
    """What was asked for. explained: a path of which only the protection is wanted."""

    wanted: Wanted
    excludes: tuple[str, ...] = ()
    with_contents: bool = False
    as_json: bool = False
    with_protected: bool = False
    only_sum: bool = False
    explained: str | None = None


def audit_client(places: Places, options: AuditOptions) -> int:
    """Print what differs from the version; gives the exit code: 0, or 4 when anything does that is
    not protected.

    Raises PrivilegeMissing, ConfigInvalid, ServerUnreachable, ClientUnknown, ImageNotFound,
    VersionNotFound, VersionSpoiled, ManifestInvalid, UpdateRefused, CommandFailed.
    """
    if os.geteuid() != 0:
        raise PrivilegeMissing("an audit needs root: it reads everybody's files")
    answer = ask_server(load_identity(places.identity), options.wanted)
    with open_answer(places, answer) as reader:
        guarding = guard_against(places, reader, options.excludes)
        if options.explained is not None:
            print(explain_path(places, Protection(guarding.rules), options.explained))
            return 0
        overlaid = list_overrides(answer.update, guarding)
        report = Report(
            answer,
            as_json=options.as_json,
            with_protected=options.with_protected,
            only_sum=options.only_sum,
        )
        for difference in _find(places, reader, guarding, overlaid, options):
            report.add(difference)
    report.finish()
    return EXIT_DIFFERS if report.differs else 0


def _find(
    places: Places,
    reader: ManifestReader,
    guarding: Guarding,
    overlaid: Overlaid,
    options: AuditOptions,
) -> Iterator[Difference]:
    scope = make_scope(places, guarding, overlaid, with_contents=options.with_contents)
    yield from map(_of_override, preview_overrides(overlaid, places.root))
    found = compare_trees(reader, scope)
    if options.with_contents:
        # What starts processes takes as long to import as all the rest.
        from si.client.hashing import check_contents

        yield from check_contents(found)
        return
    for difference in found:
        assert isinstance(difference, Difference)
        yield difference


def _of_override(item: Item) -> Difference:
    path = b"/" + item.path
    if item.kind == "add":
        return Difference(path, item.is_directory, (MISSING,))
    what = tuple(word for word in item.what if word not in _CLASSES)
    classes = [_CLASSES[word] for word in item.what if word in _CLASSES]
    if what:
        classes.insert(0, CHANGED)
    return Difference(path, item.is_directory, tuple(dict.fromkeys(classes)), what)
