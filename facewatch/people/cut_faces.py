"""Faces cut out of their photos by workers, a few photos ahead of who takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future

from facewatch.catalog.pictures import PicturedPhoto, PictureFile
from facewatch.indexing.analyzer import LibraryFile
from facewatch.indexing.cutting import CropStyle
from facewatch.indexing.pool import PictureWorkers
from facewatch.types import Box

AHEAD = 2
"""How many photos each worker has before it."""


class CutFaces:
    """Some faces of one photo, being cut out."""

    def __init__(
        self, photo: PicturedPhoto, faces: Sequence[int], workers: PictureWorkers, *, side: int, style: CropStyle
    ) -> None:
        self._photo = photo
        self._boxes = [_box_of(face_id, photo) for face_id in faces]
        self._workers = workers
        self._side, self._style = side, style
        self._future = self._ask(photo.files[0])

    def jpegs(self) -> Sequence[bytes | None]:
        """Wait for the faces, as the first copy of the photo that can be read shows them; None: outside of it.

        Raises:
            OSError: the photo is not there as it was scanned.
            PhotoError: it cannot be decoded.
            WorkerLost: a worker ended over it.
        """
        for copy in self._photo.files[1:]:
            try:
                return self._future.result()
            except OSError:
                self._future = self._ask(copy)
        return self._future.result()

    def _ask(self, file: PictureFile) -> Future[list[bytes | None]]:
        photo = LibraryFile(file.root, file.path)
        return self._workers.cut_faces(photo, self._boxes, file.fingerprint, side=self._side, style=self._style)


def cut_ahead(
    wanted: Iterable[tuple[PicturedPhoto, Sequence[int]]], workers: PictureWorkers, *, side: int, style: CropStyle
) -> Iterator[CutFaces]:
    """Yield these faces of each photo, in order; those of the next photos are being cut meanwhile.

    Args:
        wanted: photos that have files, and ids of faces of theirs.
        side: of the pictures, in pixels; at most, where small faces are not enlarged.
    """
    waiting: deque[CutFaces] = deque()
    for photo, faces in wanted:
        waiting.append(CutFaces(photo, faces, workers, side=side, style=style))
        if len(waiting) > AHEAD * workers.n_workers:
            yield waiting.popleft()
    yield from waiting


def _box_of(face_id: int, photo: PicturedPhoto) -> Box:
    face = photo.face(face_id)
    if face is None:
        raise ValueError(f"photo {photo.id} has no face {face_id}")
    return face.box
