"""Faces cut out of their photos, as pictures that stand inside a page."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path

from facewatch.types import Box

SIDE = 112
"""Pixels; 96 are shown, telephones show more for one."""


@dataclass(slots=True)
class Album:
    """Cuts out faces, each once."""

    max_pixels: int
    _crops: dict[tuple[str, Box], str | None] = field(default_factory=dict)

    def uri(self, file: str, box: Box) -> str | None:
        """Return a face as a data: URI of a JPEG; None when the photo cannot be opened any more."""
        if (file, box) not in self._crops:
            self._crops[file, box] = self._cut(file, box)
        return self._crops[file, box]

    def _cut(self, file: str, box: Box) -> str | None:
        from facewatch.service import crops  # not above: it loads every codec

        (picture,) = crops.cut_faces(Path(file), [box], side=SIDE, max_pixels=self.max_pixels)
        if picture is None:
            return None
        return "data:image/jpeg;base64," + base64.b64encode(crops.as_jpeg(picture, quality=80)).decode("ascii")
