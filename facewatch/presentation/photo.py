"""What the page of a photo says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from facewatch.catalog import Mark, display
from facewatch.matching import Aggregation
from facewatch.presentation.explain import cause, notes, shortfall_text
from facewatch.presentation.person import day
from facewatch.presentation.pool import MARK_WORDS
from facewatch.text import distinguished, plural
from facewatch.types import Tier

if TYPE_CHECKING:
    from facewatch.catalog.photos import PhotoFile
    from facewatch.people.explain import Why
    from facewatch.people.photos.browse import Neighbour, Position
    from facewatch.people.photos.finder import OfflinePlaces
    from facewatch.people.photos.whole import FaceOnPhoto, WholePhoto


@dataclass(frozen=True, slots=True)
class FaceBox:
    """A face as the page of its photo shows it; places in percent of the photo."""

    face: FaceOnPhoto
    label: str
    """Who it is, or may be."""
    tag: str
    """The same beside the face, in as few words as possible; "": nothing is said there."""
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
            tag=_tag(face),
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
        return MARK_WORDS[face.mark]
    return face.label or (f"{face.guess}?" if face.guess else "who is this?")


def _tag(face: FaceOnPhoto) -> str:
    return "" if face.mark is not None else face.label or (f"{face.guess}?" if face.guess else "?")


def _notes(face: FaceOnPhoto) -> Iterator[str]:
    if face.person_id is not None:
        yield "confirmed by you" if face.is_by_user else "found by facewatch"
    elif face.mark is None:
        yield f"perhaps {face.guess}" if face.guess else "nobody yet"
    if face.is_drawn:
        yield "drawn by you"
    if face.tier is not Tier.ENROLL:
        yield "poor picture" if face.tier is Tier.MATCH else "too poor to be recognised"


@dataclass(frozen=True, slots=True)
class ShownFile:
    """A file that holds a photo."""

    name: str
    folder: str
    note: str
    """Why it cannot be opened now; "": it can."""


@dataclass(frozen=True, slots=True)
class PhotoTitle:
    """What stands beside a photo."""

    day: str
    facts: str
    """One line: how many faces and pixels."""
    files: tuple[ShownFile, ...]
    """All copies; none: it was deleted."""
    alt: str
    """What is to be seen on it, for who does not see it."""


def title_of(photo: WholePhoto, offline: OfflinePlaces) -> PhotoTitle:
    found = photo.found
    size = f"{found.width} x {found.height} pixels" if found.width else ""
    return PhotoTitle(
        day(found.taken_at) if found.taken_at else "Date unknown",
        facts=" · ".join(part for part in (plural(len(photo.faces), "face"), size) if part),
        files=tuple(_shown_file(file, offline) for file in found.files),
        alt=_alt(photo),
    )


def _shown_file(file: PhotoFile, offline: OfflinePlaces) -> ShownFile:
    path, reason = Path(file.path), offline.reason(file)
    return ShownFile(display(path.name), display(str(path.parent)), f"offline: {reason}" if reason else "")


def _alt(photo: WholePhoto) -> str:
    who = list(dict.fromkeys(one.label for one in photo.found.people))
    n_nobody = sum(face.person_id is None and face.mark is not Mark.NOT_A_FACE for face in photo.faces)
    if n_nobody:
        who.append(plural(n_nobody, "face that belongs to nobody", "faces that belong to nobody"))
    listed = f"{', '.join(who[:-1])} and {who[-1]}" if len(who) > 1 else "".join(who)
    when = f" of {day(photo.found.taken_at)}" if photo.found.taken_at else ""
    return f"Photo{when} with {listed}" if listed else f"Photo{when} without faces"


@dataclass(frozen=True, slots=True)
class ShownPosition:
    """Where a photo is among those that somebody goes through."""

    text: str
    before: str | None
    """The address of the photo before; None: this is the first."""
    behind: str | None


def position_shown(position: Position, what: str, query: Mapping[str, str]) -> ShownPosition:
    """Return how a position is shown; `what`: what is browsed, `query` names it in addresses."""
    return ShownPosition(
        f"{position.number:,} of {plural(position.n, what)}",
        _address(position.before, query) if position.before else None,
        _address(position.behind, query) if position.behind else None,
    )


def _address(neighbour: Neighbour, query: Mapping[str, str]) -> str:
    face = {"face": neighbour.face_id} if neighbour.face_id is not None else {}
    return f"/photo/{neighbour.photo_id}?{urlencode({**face, **query})}"


def why_lines(why: Why) -> list[str]:
    """Return in two lines at most why a face is where it is."""
    poor = [shortfall_text(short) for short in why.shortfalls] if why.tier is Tier.SHOW else []
    second = ", ".join(poor) or _nearness(why) or next(iter(notes(why)), "")
    return [line for line in (cause(why), second) if line]


_TO = {
    Aggregation.MEAN: "from the faces of {name} on average",
    Aggregation.CENTROID: "from the middle of the faces of {name}",
}


def _nearness(why: Why) -> str:
    """Return how near a face is to whom it is, or to whom it is nearest, and who comes second; "": nobody is known."""
    near = why.own or why.possible or next(iter(why.rematch.likenesses if why.rematch else ()), None)
    if near is None:
        return ""
    to = _TO.get(near.aggregation, "from the nearest face of {name}").format(name=near.name)
    distance, limit = distinguished(near.distance, near.limit)
    said = f"{distance} {to}; near enough is {limit}"
    if near.rival is None or near.lead is None:
        return said
    lead, _ = distinguished(abs(near.lead), 0.0)
    return f"{said}; {near.rival.name} is {lead} {'farther' if near.lead >= 0 else 'nearer'}"
