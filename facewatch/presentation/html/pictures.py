"""Pictures that stand inside a page."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from facewatch.indexing.crops import picture_of

_QUALITY = 78


def data_uri(crop: Path | None, side: int) -> str:
    """Return a square picture of so many pixels as a data: URI; "" when there is none, or it is gone."""
    picture = picture_of(crop)
    if picture is None:
        return ""
    jpeg = io.BytesIO()
    picture.resize((side, side), Image.Resampling.LANCZOS).save(jpeg, format="JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode("ascii")
