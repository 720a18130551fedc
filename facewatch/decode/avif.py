"""AVIF, turned as its container says, whatever its EXIF looks like."""

from __future__ import annotations

import io
import re
from typing import BinaryIO

from PIL import AvifImagePlugin

TURN = "container_orientation"
"""Of `info`: what EXIF would call the turn that the container asks for, 1 to 8; EXIF's own plays no part in AVIF."""


class Avif(AvifImagePlugin.AvifImageFile):
    """An AVIF by Pillow, with its EXIF as it is: Pillow rewrites it, and raises nearly anything where it is damaged."""

    def _open(self) -> None:
        try:
            super()._open()
        except Exception:
            if not hasattr(self, "_decoder"):
                raise
            self.seek(0)
        _, _, _, _, exif, turn, _ = self._decoder.get_info()
        self.info |= {"exif": exif or b"", TURN: turn}


def opened(data: BinaryIO) -> Avif:
    """The photo with its header read; EXIF that libavif refuses is left out."""
    try:
        return Avif(data)
    except (OSError, SyntaxError, ValueError) as error:
        data.seek(0)
        content = data.read()
        lean = _EXIF_ITEM.sub(rb"\1skip", content)
        if lean == content:
            raise error
        return Avif(io.BytesIO(lean))


_EXIF_ITEM = re.compile(rb"(infe(?:\x02.{7}|\x03.{9}))Exif", re.DOTALL)
"""Where an ISO media file lists one of its items as EXIF."""
