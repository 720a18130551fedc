"""The covers in the folders of people: kept as the faces that stand for them, after each sync of the folders."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facewatch.catalog import Catalog, display
from facewatch.catalog.pictures import PicturedPhoto
from facewatch.errors import BusyError, EngineError, FolderError, PhotoError
from facewatch.folders.covers import CoverFiles, opened_covers

if TYPE_CHECKING:
    from facewatch.indexing.pool import PictureWorkers

log = logging.getLogger(__name__)

SIDE = 512
"""Pixels at most: file managers show 256, and media servers more."""

_NAME = "folders_cover"
"""The setting that says what the covers are called that were made."""


@dataclass(frozen=True, slots=True)
class _Cover:
    """What a folder is to show."""

    folder: str
    face_id: int
    photo: PicturedPhoto
    key: str


@dataclass(frozen=True, slots=True)
class Covers:
    """Makes them, and takes them away where they are not wanted any more."""

    catalog: Catalog
    root: Path
    """The people folder."""
    name: str | None
    """What they are called; None: there are to be none."""
    make_workers: Callable[[], PictureWorkers]

    def renew(self, only: Collection[int] | None = None) -> None:
        """Bring the covers of everybody, or `only` of these, in line with the catalog. Nothing depends on them, so that
        it is no error when they cannot be made; the next time it is tried again."""
        try:
            if self._is_renamed():
                only = None
            if self.name is not None:
                self._renew(self.name, only)
        except (BusyError, EngineError, FolderError) as error:
            log.warning("not all covers are as they should be: %s", error)

    def _is_renamed(self) -> bool:
        """Remove those of another name, if there are some."""
        before = self.catalog.settings.get(_NAME)
        if before == self.name:
            return False
        with self.catalog.write():
            if before is not None:
                with opened_covers(self.root, before) as files:
                    files.remove(self.catalog.links.folders().values())
            if self.name is None:
                self.catalog.settings.unset(_NAME)
            else:
                self.catalog.settings.set(_NAME, self.name)
        return True

    def _renew(self, name: str, only: Collection[int] | None) -> None:
        wanted, without = self._wanted(only)
        with opened_covers(self.root, name) as files:
            files.remove(without)
            outdated = files.outdated({folder: cover.key for folder, cover in wanted.items()})
            self._make([wanted[folder] for folder in outdated], files)

    def _wanted(self, only: Collection[int] | None) -> tuple[Mapping[str, _Cover], list[str]]:
        """Return what these people's folders are to show, and those that are to show nothing."""
        folders = self.catalog.links.folders()
        best = {
            person_id: shown.best_id
            for person_id, shown in self.catalog.tiles.shown(only).items()
            if shown.best_id is not None and person_id in folders
        }
        photos = {face.id: photo for photo in self.catalog.pictures.of_faces(best.values()) for face in photo.faces}
        covers = (_cover(folders[p], face_id, photos[face_id]) for p, face_id in best.items() if face_id in photos)
        wanted = {cover.folder: cover for cover in covers}
        mine = (folder for p, folder in folders.items() if only is None or p in only)
        return wanted, [folder for folder in mine if folder not in wanted]

    def _make(self, covers: list[_Cover], files: CoverFiles) -> None:
        there = [cover for cover in covers if cover.photo.files]
        for cover, jpeg in self._cut(there) if there else ():
            with self.catalog.exclusive():
                try:
                    files.write(cover.folder, jpeg, cover.key, _rights_of(cover.photo))
                except FileExistsError:
                    log.debug("%s: something else has the name of its cover", display(cover.folder))
                except NotADirectoryError:
                    log.debug(
                        "%s: was renamed or removed since, and what follows makes its cover", display(cover.folder)
                    )

    def _cut(self, covers: list[_Cover]) -> Iterator[tuple[_Cover, bytes]]:
        from facewatch.indexing.cutting import CropStyle
        from facewatch.indexing.worker import WorkerLost
        from facewatch.people.cut_faces import cut_ahead

        wanted = ((cover.photo, [cover.face_id]) for cover in covers)
        with closing(self.make_workers()) as workers:
            cuts = cut_ahead(wanted, workers, side=SIDE, style=CropStyle(is_enlarged=False))
            for cover, cut in zip(covers, cuts, strict=True):
                try:
                    [jpeg] = cut.jpegs()
                except (OSError, PhotoError, WorkerLost) as error:
                    log.debug("%s: no cover of it: %s", display(cover.folder), error)
                    continue
                if jpeg is not None:
                    yield cover, jpeg


def _rights_of(photo: PicturedPhoto) -> int:
    """Return who may read a photo, and so its faces."""
    file = photo.files[0]
    try:
        return os.stat(f"{file.root}/{file.path}").st_mode & 0o666  # noqa: PTH116 - it may have any bytes
    except OSError:
        return 0o600


def _cover(folder: str, face_id: int, photo: PicturedPhoto) -> _Cover:
    from facewatch.indexing.pictures import face_name

    face = photo.face(face_id)
    assert face is not None
    name = face_name(face_id, photo.sha256, face.box, SIDE)
    return _Cover(folder, face_id, photo, f"f{face_id}-{name.digest}")
