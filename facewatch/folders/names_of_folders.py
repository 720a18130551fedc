"""The names of folders that were taken over, as a source of names for people who have none yet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facewatch.catalog import Catalog

NAMES = "names_of_folders"
"""The setting that holds names that wait for their people: for each, photos that were in its folder."""

MOST_PHOTOS = 200
"""Photos of a folder that are remembered: enough to know whose it was."""


class FolderNames:
    """The names of folders that were taken over, which wait for their people: a source of names."""

    origin = "the folder"
    most_photos = MOST_PHOTOS

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def waiting(self) -> dict[str, list[str]]:
        """Return the names that wait for their people, each with photos that were in its folder."""
        return dict(json.loads(self._catalog.settings.get(NAMES) or "{}"))

    def keep(self, names: Mapping[str, list[str]]) -> None:
        """Let only these wait still."""
        if not names:
            self._catalog.settings.unset(NAMES)
        elif names != self.waiting():
            self._catalog.settings.set(NAMES, json.dumps(names))
