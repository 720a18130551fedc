"""Colours as a screen without a profile of its own takes them: sRGB."""

from __future__ import annotations

import io
from typing import TypeGuard

from PIL import Image

_XYB = (b"XYB", "XYB".encode("utf-16-be"))
_SRGB = (b"sRGB", "sRGB".encode("utf-16-be"))
_LINEAR = (b"inear", "inear".encode("utf-16-be"))

_MAX_PROFILE_BYTES = 4_000_000
"""Of a colour profile that is obeyed; that of a camera or screen has some hundred, of a printer a million."""


def is_xyb(profile: object) -> TypeGuard[bytes]:
    """Whether this profile says that the colours are XYB, which without it are false ones."""
    return isinstance(profile, bytes) and any(name in profile for name in _XYB)


def is_of_other_rgb(profile: object) -> TypeGuard[bytes]:
    """Whether this is a profile of RGB that is not sRGB; bytes 16 to 20 of a profile name its kind of colours."""
    if not isinstance(profile, bytes) or len(profile) > _MAX_PROFILE_BYTES or profile[16:20] != b"RGB ":
        return False
    is_srgb = any(name in profile for name in _SRGB) and not any(name in profile for name in _LINEAR)
    return not is_srgb


def from_xyb(picture: Image.Image, profile: bytes) -> Image.Image:
    """Return a picture in XYB in sRGB; what XYB does to faces is not little."""
    return _converted(picture, profile)


def as_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """Return a picture, mode RGB, of this profile in sRGB; as it is, where nobody understands the profile."""
    from PIL import ImageCms  # late: hardly any library needs it

    try:
        return _converted(picture, profile)
    except (ImageCms.PyCMSError, OSError):
        return picture


def _converted(picture: Image.Image, profile: bytes) -> Image.Image:
    from PIL import ImageCms

    source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(picture, source, target)
    assert converted is not None  # it is where it need not be done in place
    return converted
