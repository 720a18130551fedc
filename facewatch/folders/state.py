"""Whether the people folder is as this catalog left it, so that what differs is somebody's doing.

A catalog that was put back by hand, or a people folder that came out of a backup, are not of one time: what differs
then says nothing. So each sync that changes something writes the same word into the catalog and into the marker.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from pathlib import Path

from facewatch.catalog import Catalog
from facewatch.folders.check import set_state, state_of

_STATE = "folders_state"
_NEXT = "folders_next"
"""The state that a sync leads to which has begun."""
_OLDER_NEXT = "folders_next_state"
"""The same of an older facewatch."""
_OWN = "folders_own"


class FolderState:
    """What is on record of the people folder as a whole."""

    def __init__(self, catalog: Catalog, root: Path) -> None:
        self._catalog = catalog
        self._root = root

    @property
    def is_as_left(self) -> bool:
        """Whether the folder shows what this catalog recorded last, or a part of what it was about to do then."""
        settings = self._catalog.settings
        state = settings.get(_STATE)
        return state_of(self._root) in {state, *(settings.get(begun) or state for begun in (_NEXT, _OLDER_NEXT))}

    @property
    def is_cut_off(self) -> bool:
        """Whether a sync of an older facewatch has begun and not ended: what it removed last may not be on record, and
        passes for somebody's doing."""
        return self._catalog.settings.get(_OLDER_NEXT) is not None

    def begin(self) -> None:
        """The folder is about to be changed."""
        with self._catalog.write():
            self._catalog.settings.set(_NEXT, secrets.token_hex(8))

    def end(self) -> None:
        """The folder was changed, and what was done is on record.

        Raises:
            FolderError: its marker cannot be written.
        """
        state = self._catalog.settings.get(_NEXT) or self._catalog.settings.get(_OLDER_NEXT)
        if state is None:
            return
        set_state(self._root, self._catalog.library_id, state)
        with self._catalog.write():
            self._catalog.settings.set(_STATE, state)
            self._catalog.settings.unset(_NEXT)
            self._catalog.settings.unset(_OLDER_NEXT)

    def mark_again(self) -> None:
        """The folder is as this catalog left it but for its marker, which was deleted.

        Raises:
            FolderError: the marker cannot be written.
        """
        set_state(self._root, self._catalog.library_id, self._catalog.settings.get(_STATE) or "")

    def own(self) -> frozenset[str]:
        """Return the paths in the folder that are somebody's own, and mean nothing."""
        return frozenset(json.loads(self._catalog.settings.get(_OWN) or "[]"))

    def set_own(self, paths: Iterable[str]) -> None:
        """Record them."""
        if (paths := frozenset(paths)) != self.own():
            with self._catalog.write():
                self._catalog.settings.set(_OWN, json.dumps(sorted(paths)))
