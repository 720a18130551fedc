"""What the page of a photo says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facewatch.catalog import Mark, display
from facewatch.presentation.explain import advice, cause, notes
from facewatch.presentation.person import day
from facewatch.text import plural
from facewatch.types import Tier

if TYPE_CHECKING:
    from facewatch.people.explain import Why
    from facewatch.people.photos.whole import FaceOnPhoto, WholePhoto

_MARKS = {Mark.NOBODY: "nobody you know", Mark.NOT_A_FACE: "not a face", Mark.FORGOTTEN: "forgotten"}


@dataclass(frozen=True, slots=True)
class FaceBox:
    """A face as the page of its photo shows it; places in percent of the photo."""

    face: FaceOnPhoto
    label: str
    """Who it is, or may be."""
    note: str
    left: float
    top: float
    width: float
    height: float


def boxes_of(photo: WholePhoto) -> list[FaceBox]:
    """Return the boxes of a photo's faces."""
    width, height = max(1, photo.found.width), max(1, photo.found.height)
    return [
        FaceBox(
            face,
            label=_label(face),
            note=", ".join(_notes(face)),
            left=round(100 * face.box.x / width, 3),
            top=round(100 * face.box.y / height, 3),
            width=round(100 * face.box.w / width, 3),
            height=round(100 * face.box.h / height, 3),
        )
        for face in photo.faces
    ]


def _label(face: FaceOnPhoto) -> str:
    if face.mark is not None:
        return _MARKS[face.mark]
    return face.label or (f"{face.guess}?" if face.guess else "who is this?")


def _notes(face: FaceOnPhoto) -> Iterator[str]:
    if face.person_id is not None:
        yield "confirmed by you" if face.is_by_user else "found by facewatch"
    elif face.mark is None:
        yield f"perhaps {face.guess}" if face.guess else "nobody yet"
    if face.is_drawn:
        yield "drawn by you"
    if face.tier is not Tier.ENROLL:
        yield "poor picture" if face.tier is Tier.MATCH else "too poor to be recognised"


def facts_of(photo: WholePhoto) -> list[str]:
    """Return what is known of a photo: when, how large, where."""
    found = photo.found
    size = f"{found.width} x {found.height} pixels" if found.width else ""
    faces = plural(len(photo.faces), "face")
    files = [display(file.path) for file in found.files] or ["in no file of the library any more"]
    return [part for part in (day(found.taken_at), faces, size, *files) if part]


def why_lines(why: Why) -> list[str]:
    """Return in two lines at most why a face is where it is."""
    second = next(iter(notes(why)), None) or next((one.text for one in advice(why)), None)
    return [cause(why), *([second] if second else [])]
