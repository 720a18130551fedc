"""What was done to the people folder, on its way into the catalog."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from facewatch.catalog import Catalog


class Ledger:
    """Writes what was done to the people folder into the catalog, many at a time."""

    _BATCH = 1000

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._told: list[Callable[[], None]] = []

    def link_made(self, person_id: int, photo_id: int, path: str, source: Path, stamp: str) -> None:
        self._tell(lambda: self._catalog.people.add_link(person_id, photo_id, path, source, stamp))

    def link_removed(self, link_id: int) -> None:
        self._tell(lambda: self._catalog.people.remove_link(link_id))

    def folder_made(self, person_id: int, path: str) -> None:
        self._tell(lambda: self._catalog.people.set_folder(person_id, path))

    def folder_moved(self, person_id: int, old: str, new: str) -> None:
        def record() -> None:
            self._catalog.people.move_links(old, new)
            self._catalog.people.set_folder(person_id, new)

        self._tell(record)

    def folder_removed(self, path: str) -> None:
        self._tell(lambda: self._catalog.people.forget_folder(path))

    def commit(self) -> None:
        if self._told:
            with self._catalog.write():
                for record in self._told:
                    record()
            self._told.clear()

    def _tell(self, record: Callable[[], None]) -> None:
        self._told.append(record)
        if len(self._told) >= self._BATCH:
            self.commit()
