"""What is exported: photos of chosen people, or the faces cut out of them, into a folder of somebody's own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from facewatch.catalog import Catalog, Person, display
from facewatch.catalog.photos import PhotoFile, PhotoQuery
from facewatch.catalog.pictures import PicturedPhoto, PictureFile
from facewatch.errors import NotKnownError, PhotoError, QueryError
from facewatch.folders.apply import FULL
from facewatch.folders.export import ExportFile, ExportFolder, ExportForm, ExportItem, ExportPlan, ExportWriter
from facewatch.indexing.cutting import CropStyle
from facewatch.indexing.pool import PictureWorkers
from facewatch.indexing.worker import WorkerLost
from facewatch.people.cut_faces import CutFaces, cut_ahead
from facewatch.people.lookup import find_person
from facewatch.people.photos.finder import OfflinePlaces, PhotoFinder
from facewatch.types import Box, OnDemand, Progress

log = logging.getLogger(__name__)

QUALITY = 95
"""Of the JPEGs of faces: other programs learn from them."""

BYTES_PER_PIXEL = 0.37
"""Of such a JPEG, on average: measured on 250 faces of family photos and selfies."""

PHOTOS_AT_ONCE = 1000
"""Photos whose files are read from the catalog together."""


class _Place(NamedTuple):
    """Somebody in a photo."""

    photo_id: int
    person_id: int
    face_id: int | None
    """None: no face shows it."""


@dataclass(frozen=True, slots=True)
class Export:
    """What is to be exported."""

    items: tuple[ExportItem, ...]
    photos: Mapping[int, PicturedPhoto]
    """Those that the items are of, by id."""
    offline: OfflinePlaces
    n_offline: int
    """As many photos more would be exported, but cannot be opened now."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export did."""

    n_made: int
    n_there: int
    """Files that were there already."""
    faults: tuple[str, ...]
    """What could not be exported, a line each; the next time it is tried again."""


def people_to_export(catalog: Catalog, named: Sequence[str]) -> list[Person]:
    """Return these people; nobody is named: all who have a name and are not hidden.

    Raises:
        NotKnownError: nobody is called so, several are, or nobody has a name yet.
    """
    people = [find_person(catalog, who) for who in dict.fromkeys(named)]
    if not named:
        people = [one for one in catalog.people.all() if one.name is not None and not one.is_hidden]
        if not people:
            raise NotKnownError(
                "nobody has a name yet: facewatch rename names people, or say who is to be exported: --person p12"
            )
    return people


class Exporter:
    """Exports photos and faces of a catalog into one folder."""

    def __init__(
        self, catalog: Catalog, finder: PhotoFinder, folder: ExportFolder, workers: OnDemand[PictureWorkers]
    ) -> None:
        """`workers` cut faces out."""
        self._catalog = catalog
        self._finder = finder
        self._workers = workers
        self.folder = folder

    def __enter__(self) -> Exporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._workers.made is not None:
            self._workers.made.close()

    def wanted(self, query: PhotoQuery, people: Sequence[Person], *, is_sure: bool = False) -> Export:
        """Return what to export: of the photos that a query finds those with these people, the oldest first.

        Args:
            is_sure: only what a user or a file said, not what a run found.

        Raises:
            QueryError: it asks for photos that are deleted.
        """
        if query.is_deleted:
            raise QueryError("photos that no file holds any more cannot be exported: leave out 'deleted'")
        chosen = {person.id: person for person in people}
        places = self._places(replace(query, people=(*query.people, tuple(chosen))), chosen, is_sure=is_sure)
        photos, offline = self._photos(places), self._finder.offline()
        shut = {photo.id for photo in photos.values() if all(_is_shut(file, offline) for file in photo.files)}
        items = (
            _item(place, chosen[place.person_id], photos[place.photo_id], self.folder.form, offline)
            for place in places
            if place.photo_id not in shut
        )
        return Export(tuple(dict.fromkeys(filter(None, items))), photos, offline, len(shut))

    def _places(self, query: PhotoQuery, chosen: Mapping[int, Person], *, is_sure: bool) -> list[_Place]:
        found = self._finder.all(query) if chosen else ()
        places = [
            _Place(photo.id, one.person_id, one.face_id)
            for photo in reversed(list(found))
            for one in photo.people
            if one.person_id in chosen and (one.face_id is not None or self.folder.form.content == "photos")
        ]
        if not is_sure:
            return places
        said = self._catalog.assignments.said([one.face_id for one in places if one.face_id is not None])
        return [one for one in places if one.face_id is None or one.face_id in said]

    def _photos(self, places: Sequence[_Place]) -> dict[int, PicturedPhoto]:
        """Return the photos with their files and these faces, by id."""
        pictures = self._catalog.pictures
        ids = list(dict.fromkeys(place.photo_id for place in places))
        faces: dict[int, list[int]] = {}
        for place in places:
            faces.setdefault(place.photo_id, []).extend([] if place.face_id is None else [place.face_id])
        known: dict[int, PicturedPhoto] = {}
        for start in range(0, len(ids), PHOTOS_AT_ONCE):
            some = ids[start : start + PHOTOS_AT_ONCE]
            known |= {photo.id: photo for photo in pictures.of_faces([face for one in some for face in faces[one]])}
            known |= {photo.id: photo for photo in pictures.of_photos([one for one in some if one not in known])}
        return known

    def run(self, export: Export, report: Callable[[Progress], None] = lambda _: None) -> Exported:
        """Write what the folder lacks.

        Raises:
            FolderError: the folder is somebody else's, or cannot be written.
            BusyError: another export writes to it.
            EngineError: faces cannot be cut out.
        """
        faults: list[str] = []
        with self.folder.writing(export.items) as (plan, writer):
            work = self._cut_faces if self.folder.form.content == "faces" else _link_photos
            for n, (file, fault) in enumerate(work(plan, export, writer), 1):
                if fault:
                    faults.append(f"{display(file.item.source)}: {fault}")
                    log.warning("%s", faults[-1])
                report(Progress(n, len(plan.made), Path(file.item.source).name))
            return Exported(writer.n_made, plan.n_there, tuple(faults))

    def _cut_faces(self, plan: ExportPlan, export: Export, writer: ExportWriter) -> Iterator[tuple[ExportFile, str]]:
        """Write faces; yield each file and what is wrong with its photo."""
        if not plan.made:
            return
        form, by_photo = self.folder.form, groupby(plan.made, key=lambda file: file.item.photo_id)
        groups = [(export.photos[photo_id], list(files)) for photo_id, files in by_photo]
        wanted = ((photo, [file.item.face_id or 0 for file in files]) for photo, files in groups)
        style = CropStyle(form.margin, QUALITY, is_enlarged=False)
        for (_, files), cut in zip(
            groups, cut_ahead(wanted, self._workers(), side=form.side, style=style), strict=True
        ):
            yield from _write_faces(files, cut, writer)


def _write_faces(files: Sequence[ExportFile], cut: CutFaces, writer: ExportWriter) -> Iterator[tuple[ExportFile, str]]:
    """Write the faces of one photo; yield each file and what is wrong with the photo."""
    try:
        jpegs = cut.jpegs()
    except (OSError, PhotoError, WorkerLost) as error:
        yield from ((file, _fault_of(error)) for file in files)
        return
    for file, jpeg in zip(files, jpegs, strict=True):
        if jpeg is None:
            yield file, "the face lies outside the photo"
        else:
            writer.write(file, jpeg)
            yield file, ""


def _link_photos(plan: ExportPlan, export: Export, writer: ExportWriter) -> Iterator[tuple[ExportFile, str]]:
    """Write photos; yield each file and what is wrong with its photo."""
    for file in plan.made:
        copies = sorted(export.photos[file.item.photo_id].files, key=lambda copy: _is_shut(copy, export.offline))
        try:
            writer.link(file, [Path(copy.root) / copy.path for copy in copies])
        except OSError as error:
            if error.errno in FULL:
                raise
            yield file, _fault_of(error)
        else:
            yield file, ""


def _fault_of(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "not there as it was scanned: facewatch scan, then export again"
    return f"cannot be exported: {error.strerror}" if isinstance(error, OSError) else str(error)


def _item(
    place: _Place, person: Person, photo: PicturedPhoto, form: ExportForm, offline: OfflinePlaces
) -> ExportItem | None:
    """Return what a place becomes; None: a face that may not be shown."""
    file = min(photo.files, key=lambda copy: _is_shut(copy, offline))
    source = f"{file.root}/{file.path}"
    if form.content == "photos":
        n_bytes = file.fingerprint.size if form.link == "copy" else 0
        if form.is_flat:
            return ExportItem(photo.id, None, None, None, source, n_bytes)
        return ExportItem(photo.id, None, person.id, person.name, source, n_bytes)
    face = photo.face(place.face_id or 0)
    if face is None:
        return None
    return ExportItem(photo.id, face.id, person.id, person.name, source, _bytes_of(face.box, form))


def _bytes_of(box: Box, form: ExportForm) -> int:
    side = min(form.side, max(box.w, box.h) * (1 + 2 * form.margin))
    return round(side * side * BYTES_PER_PIXEL)


def _is_shut(file: PictureFile, offline: OfflinePlaces) -> bool:
    """Whether a file cannot be opened now."""
    return offline.holds(PhotoFile(file.root, f"{file.root}/{file.path}"))
