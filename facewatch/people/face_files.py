"""What stands in the folders of people where faces are shown instead of photos: each person's face, cut out of the
photo, or the photo reduced where nobody knows which face it is."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from facewatch.catalog import Catalog
from facewatch.catalog.pictures import PicturedPhoto
from facewatch.errors import PhotoError
from facewatch.folders.model import Action, FaceMaker, MakeLink
from facewatch.indexing.analyzer import LibraryFile
from facewatch.indexing.cutting import CropStyle
from facewatch.indexing.pool import PictureWorkers
from facewatch.indexing.worker import WorkerLost
from facewatch.people.cut_faces import AHEAD, CutFaces

SIDE = 1024
"""Pixels at most."""

STYLE = CropStyle(margin=0.5, quality=90, is_enlarged=False)

_AT_ONCE = 500
"""Photos that are read from the catalog together."""

_Picture = Callable[[], bytes | None]
"""Waits for a picture that is being made; None: the face lies outside the photo."""


@dataclass(frozen=True, slots=True)
class FaceFiles:
    """Has the faces of a plan cut."""

    catalog: Catalog
    make_workers: Callable[[], PictureWorkers]

    @contextmanager
    def cutting(self, actions: Sequence[Action]) -> Iterator[FaceMaker]:
        """Yield what returns the picture that an action makes, a JPEG; the actions may be asked for in this order."""
        makes = [action for action in actions if isinstance(action, MakeLink) and not action.is_done]
        if not makes:
            yield _refuse
            return
        with closing(self.make_workers()) as workers:
            pictures = zip(makes, self._ahead(makes, workers), strict=True)
            yield lambda action: _taken(next(picture for one, picture in pictures if one is action))

    def _ahead(self, makes: Sequence[MakeLink], workers: PictureWorkers) -> Iterator[_Picture]:
        waiting: deque[_Picture] = deque()
        for start in range(0, len(makes), _AT_ONCE):
            some = makes[start : start + _AT_ONCE]
            photos = self._photos(some)
            for action in some:
                waiting.append(_picture(action, photos.get(action.photo_id), workers))
                if len(waiting) > AHEAD * workers.n_workers:
                    yield waiting.popleft()
        yield from waiting

    def _photos(self, makes: Sequence[MakeLink]) -> dict[int, PicturedPhoto]:
        pictures = self.catalog.pictures
        known = {one.id: one for one in pictures.of_faces([a.face_id for a in makes if a.face_id is not None])}
        others = pictures.of_photos([a.photo_id for a in makes if a.photo_id not in known])
        return known | {one.id: one for one in others}


def _refuse(action: MakeLink) -> bytes:
    raise FileNotFoundError(errno.ENOENT, "no face is cut", action.path)


def _picture(action: MakeLink, photo: PicturedPhoto | None, workers: PictureWorkers) -> _Picture:
    """Have the picture of an action made."""
    if photo is None or not photo.files:
        return lambda: None
    if action.face_id is not None and photo.face(action.face_id) is not None:
        cut = CutFaces(photo, [action.face_id], workers, side=SIDE, style=STYLE)
        return lambda: cut.jpegs()[0]
    file = photo.files[0]
    future = workers.reduced(LibraryFile(file.root, file.path), [SIDE], file.fingerprint)
    return lambda: future.result()[0]


def _taken(picture: _Picture) -> bytes:
    """Return a picture.

    Raises:
        OSError: there is none.
    """
    try:
        jpeg = picture()
    except (PhotoError, WorkerLost) as error:
        raise OSError(errno.EIO, str(error)) from error
    if jpeg is None:
        raise FileNotFoundError(errno.ENOENT, "the face is not in the photo any more")
    return jpeg
