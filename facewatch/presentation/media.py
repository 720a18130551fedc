"""What is said where a picture should be and none can be made."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from facewatch.indexing.picture_maker import NoPicture

if TYPE_CHECKING:
    from facewatch.indexing.picture_maker import MadePictures

_WHY: Mapping[NoPicture, str] = MappingProxyType(
    {
        NoPicture.AWAY: "the photo is away, or was changed since it was scanned",
        NoPicture.BROKEN: "the photo cannot be read",
        NoPicture.OUTSIDE: "the face lies outside its photo",
        NoPicture.BUSY: "there is too much to do; try again in a minute",
        NoPicture.OUTDATED: "the catalog has just been changed; try again",
    }
)


def why_no_picture(made: MadePictures) -> str:
    """Return one sentence without a full stop."""
    why = _WHY[made.reason]
    return f"{why}: {made.fault.text}" if made.fault is not None else why
