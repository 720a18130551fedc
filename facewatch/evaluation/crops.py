"""Faces cut out of their photos, as pictures that stand inside a page."""

from __future__ import annotations

import base64
import logging
from dataclasses import dataclass, field

from facewatch.catalog import display
from facewatch.errors import EngineError, PhotoError
from facewatch.indexing.analyzer import LibraryFile
from facewatch.indexing.pool import Cutter
from facewatch.indexing.worker import WorkerLost
from facewatch.types import Box

log = logging.getLogger(__name__)

SIDE = 112
"""Pixels; 96 are shown, telephones show more for one."""


@dataclass(slots=True)
class Album:
    """Cuts out faces, each once."""

    cutter: Cutter
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
            (jpeg,) = self.cutter.cut_faces(photo, [box], None, side=SIDE).result()
        except (OSError, PhotoError, WorkerLost, EngineError) as error:
            log.debug("%s: no face is cut from it: %s", display(file), error)
            self._hopeless.add(file)
            return None
        return None if jpeg is None else "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
