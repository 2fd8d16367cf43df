"""Fetch the files of an update and write them under their hidden names.

Stage 8, effects; runs on clients (Python 3.9). A file whose pieces do not make it up - its old copy
changed meanwhile, or the lists were wrong - is fetched whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from si.client.blocks import Patch, Patched, open_old
from si.client.changes import Change
from si.client.folders import Folders
from si.client.pack import Pack, open_pack
from si.client.plan import Fetched
from si.client.staging import Staging, doing
from si.client.supply import Origin, Supply, list_supplies, supply_whole


class Intake:
    """Files of a version on their way into the tree of `folders`; `step` is called for each."""

    def __init__(
        self, origin: Origin, folders: Folders, staging: Staging, step: Callable[[], None]
    ) -> None:
        self._origin = origin
        self._folders = folders
        self._staging = staging
        self._step = step

    def bring(self, changes: Sequence[Change]) -> Iterator[Fetched]:
        """Make the files of `changes`, all of which have bytes; gives how they came.

        Raises ToolMissing, ServerUnreachable, VersionNotFound, VersionSpoiled, ManifestInvalid,
        NoSpace, UpdateRefused.
        """
        for supply in list_supplies(self._origin, self._folders, changes):
            yield from self._bring(supply)

    def _bring(self, supply: Supply) -> Iterator[Fetched]:
        failed = []
        with open_pack(supply.source) as pack:
            for change in supply.changes:
                patch = supply.patches.get(change.path)
                with doing(change.path):
                    if patch is None:
                        self._staging.make(change, pack)
                    elif not self._patch(change, patch, pack):
                        failed.append(change)
                        continue
                self._step()
            yield Fetched(supply.way, len(supply.changes) - len(failed), pack.fetched)
        if failed:
            yield from self._bring(supply_whole(self._origin, failed))

    def _patch(self, change: Change, patch: Patch, pack: Pack) -> bool:
        try:
            copy = open_old(self._folders, change.path)
        except EOFError:
            return False
        try:
            return self._staging.patch(change, Patched(pack, copy, patch))
        finally:
            os.close(copy)
