"""Faces cut out of their photos as pictures in a terminal and inside a page. The photos are opened by a worker process.

picture_of   path of a JPEG that was cut -> picture
Album        face                        -> data: URI of a JPEG  for a page that is one file
"""

from __future__ import annotations

import base64
import contextlib
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from facewatch.catalog import display
from facewatch.errors import EngineError, PhotoError
from facewatch.indexing.analyzer import LibraryFile
from facewatch.indexing.pool import PictureWorkers
from facewatch.indexing.worker import WorkerLost
from facewatch.types import Box

if TYPE_CHECKING:
    from PIL import Image

log = logging.getLogger(__name__)

PAGE_SIDE = 112
"""Pixels of a crop inside a page; 96 are shown, telephones show more for one."""

CUT_SECONDS = 30.0
"""How long cutting faces out of one photo may take, because somebody waits for it: it takes a tenth of a second, one of
200 megapixels four, and a disk that has to wake up ten."""


def picture_of(crop: Path | None) -> Image.Image | None:
    """Return a crop that was cut; None: there is none, or it is gone."""
    from PIL import Image

    with contextlib.suppress(OSError):
        if crop is not None:
            with Image.open(crop) as picture:
                return picture.convert("RGB")
    return None


@dataclass(slots=True)
class Album:
    """Faces as pictures that stand inside a page, each cut out once."""

    cutter: PictureWorkers
    _crops: dict[tuple[str, Box], str | None] = field(default_factory=dict)
    _hopeless: set[str] = field(default_factory=set)
    """Photos that are not asked for again."""

    def uri(self, file: str, box: Box) -> str | None:
        """Return a face as a data: URI of a JPEG; None when the photo cannot be opened any more.

        Args:
            file: an absolute path that no link is part of; whatever photo is there now is cut.
        """
        if (file, box) not in self._crops:
            self._crops[file, box] = self._cut(file, box)
        return self._crops[file, box]

    def _cut(self, file: str, box: Box) -> str | None:
        if file in self._hopeless:
            return None
        photo = LibraryFile("/", file.lstrip("/"))
        try:
            (jpeg,) = self.cutter.cut_faces(photo, [box], None, side=PAGE_SIDE).result()
        except (OSError, PhotoError, WorkerLost, EngineError) as error:
            log.debug("%s: no face is cut from it: %s", display(file), error)
            self._hopeless.add(file)
            return None
        return None if jpeg is None else "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
