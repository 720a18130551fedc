"""The change from the engine in use to the one that the settings want: in the background, and all at once at the end.

Until every photo that can be read has been looked at anew, the answers of the engine in use stand and what the wanted
one finds stays out of sight. Every photo is a transaction of its own and so is the change itself, so that it may be cut
off anywhere and carries on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from facewatch.catalog import Catalog, PendingPhoto
from facewatch.fs.mounts import is_file


@dataclass(frozen=True, slots=True)
class SwitchProgress:
    """How far the change is."""

    before: str
    """The engine whose answers are shown."""
    wanted: str
    n_done: int
    """Photos that the wanted engine has looked at."""
    n_photos: int


class EngineSwitch:
    """What is left to look at anew, and when the change is complete."""

    def __init__(self, catalog: Catalog, engine_id: Callable[[], int]) -> None:
        self._catalog = catalog
        self._engine_id = engine_id
        self._tried: set[int] = set()
        """Photos that were looked for in this run: one whose file has just gone must not keep the rest waiting."""

    @property
    def is_under_way(self) -> bool:
        return self._catalog.engines.in_use_id() != self._engine_id()

    def due(self, most: int | None = None) -> dict[Path, list[str]]:
        """Return files, at most so many, by library, whose photos the wanted engine has not looked at and that can be
        read now."""
        files: dict[Path, list[str]] = {}
        for photo in islice(self._readable(), most):
            files.setdefault(photo.root, []).append(photo.path)
        return files

    def _readable(self) -> Iterator[PendingPhoto]:
        seen = set(self._tried)
        for photo in self._catalog.engines.pending(self._engine_id()):
            if photo.photo_id not in seen and is_file(photo.root / photo.path):
                seen.add(photo.photo_id)
                yield photo

    def tried(self, root: Path, path: str) -> None:
        """This file was looked at, whatever came of it."""
        file = self._catalog.files.photo_of_path(root / path)
        if file is not None and file.photo_id is not None:
            self._tried.add(file.photo_id)

    @property
    def is_complete(self) -> bool:
        """Whether the wanted engine is not in use yet and has looked at all that can be read."""
        return self.is_under_way and not self.due(1)

    def progress(self, wanted: str) -> SwitchProgress | None:
        """Return how far the change is, without writing anything; None: there is none."""
        engines = self._catalog.engines.all()
        before = next((engine for engine in engines if engine.is_in_use), None)
        if before is None:
            return None
        after = next((engine for engine in reversed(engines) if engine.name == wanted), None)
        # One name may stand for two engines: the same pack with other files, which came later.
        if before.name == wanted and (after is None or after.id <= before.id):
            return None
        n_photos = self._catalog.files.counts()["photos"]
        n_pending = self._catalog.engines.n_pending(after.id) if after else n_photos
        return SwitchProgress(before.name, wanted, n_photos - n_pending, n_photos)
