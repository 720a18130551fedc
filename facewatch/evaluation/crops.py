"""Faces cut out of their photos, as pictures that stand inside a page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path

from facewatch.errors import PhotoError
from facewatch.types import Box, Decoded

SIDE = 112
"""Pixels; 96 are shown, telephones show more for one."""

MARGIN = 0.3
"""How much is shown around a face on each side, as a share of it: hair and chin help the eye."""


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
        from facewatch import decode

        try:
            data = io.BytesIO(Path(file).read_bytes())
            decoded = decode.decode(data, max_pixels=self.max_pixels)
        except (OSError, PhotoError):
            return None
        return "data:image/jpeg;base64," + base64.b64encode(jpeg(decoded, box)).decode("ascii")


def jpeg(decoded: Decoded, box: Box) -> bytes:
    """Return a face with a margin, square, as JPEG; beyond the photo's edge it is black."""
    from PIL import Image

    scale = decoded.pixels.shape[1] / decoded.width
    half = max(box.w, box.h) * (0.5 + MARGIN) * scale
    x, y = (box.x + box.w / 2) * scale, (box.y + box.h / 2) * scale
    edges = round(x - half), round(y - half), round(x + half), round(y + half)
    picture = Image.fromarray(decoded.pixels).crop(edges).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    target = io.BytesIO()
    picture.save(target, format="JPEG", quality=80)
    return target.getvalue()
