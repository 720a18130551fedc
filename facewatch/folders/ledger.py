"""What was done to the people folder, as the catalog has it on record."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from facewatch.catalog import Catalog
from facewatch.folders.extras import ExtrasRecord
from facewatch.folders.model import Action, LinkKind
from facewatch.folders.recovery import intents_of

INTENTS = "folders_intents"
"""The setting that says what a folder sync is about to do; it goes when that is done."""


class CatalogLedger:
    """Writes what was done to the people folder into the catalog, many at a time."""

    _BATCH = 1000

    def __init__(self, catalog: Catalog, kind: LinkKind, extras: ExtrasRecord) -> None:
        """`extras`: where goes what is of a group of people (negative ids)."""
        self._catalog = catalog
        self._extras = extras
        self._kind: LinkKind = kind
        self._pending: list[Callable[[], None]] = []

    def intend(self, actions: Sequence[Action]) -> None:
        """Record what is about to be done, in place of what was said before; that stands also after a power failure."""
        intents = intents_of(actions, self._kind)
        if intents:
            with self._catalog.write(is_lasting=True):
                self._catalog.settings.set(INTENTS, intents)

    def end(self) -> None:
        """All that was intended is done and on record."""
        if self._catalog.settings.get(INTENTS) is not None:
            with self._catalog.write():
                self._catalog.settings.unset(INTENTS)

    def link_made(self, person_id: int, photo_id: int, path: str, source: str, stamp: str) -> None:
        if person_id < 0:
            self._extras.link_made(person_id, photo_id, path, source, stamp)
            return
        self._queue(lambda: self._catalog.links.add(person_id, photo_id, path, source, stamp))

    def link_removed(self, link_id: int) -> None:
        if link_id < 0:
            self._extras.link_removed(link_id)
            return
        self._queue(lambda: self._catalog.links.remove(link_id))

    def folder_made(self, person_id: int, path: str) -> None:
        if person_id < 0:
            self._extras.folder_made(person_id, path)
            return
        self._queue(lambda: self._catalog.links.set_folder(person_id, path))

    def folder_moved(self, person_id: int, old: str, new: str) -> None:
        if person_id < 0:
            self._extras.folder_moved(person_id, old, new)
            return

        def record() -> None:
            self._catalog.links.move(old, new)
            self._catalog.links.set_folder(person_id, new)

        self._queue(record)

    def folder_removed(self, path: str) -> None:
        self._extras.folder_removed(path)
        self._queue(lambda: self._catalog.links.forget_folder(path))

    def commit(self) -> None:
        if self._pending:
            with self._catalog.write():
                for record in self._pending:
                    record()
            self._pending.clear()
        self._extras.commit()

    def _queue(self, record: Callable[[], None]) -> None:
        self._pending.append(record)
        if len(self._pending) >= self._BATCH:
            self.commit()
