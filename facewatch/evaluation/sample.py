"""Which detected face is which labelled one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facewatch.boxes import SAME_FACE, overlaps, pair_up
from facewatch.evaluation.labelled import Label, Labelled, LabelledPhoto
from facewatch.types import Analysis, Box, Face, Fingerprint

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facewatch.evaluation.analyses import Analyses

MIN_SHARE = 0.5
"""The face in the middle is looked for among those that are at least this share of the largest one's width."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One labelled photo that was analysed."""

    path: str
    """The first one that holds it, as the labels name it."""
    file: str
    """The same, absolute and without links."""
    sha256: bytes
    fingerprint: Fingerprint
    analysis: Analysis


@dataclass(frozen=True, slots=True)
class Sample:
    """The labelled faces that the engine found; row i of each array belongs together."""

    photos: tuple[Photo, ...]
    """In order of their paths; copies of one photo are one."""
    names: tuple[str, ...]
    """Everybody who has a label, sorted."""
    photo: NDArray[np.int64]
    """Row in `photos`."""
    face: NDArray[np.int64]
    """Which face of that photo."""
    person: NDArray[np.int64]
    """Row in `names`."""
    embeddings: NDArray[np.float32]
    """Unit vectors, shape (n_faces, n_dims)."""
    tiers: NDArray[np.str_]
    n_missed: int
    """Labelled faces that no detection fits."""
    n_disputed: int
    """Faces that the labels of copies give to two people (one photo in two people's folders); they are left out."""
    n_false: int
    """Faces found in photos that are labelled to show none."""
    n_unused: int
    """Photos that could not be used; their faces count as missed."""

    def __len__(self) -> int:
        return len(self.person)

    @property
    def n_labelled(self) -> int:
        return len(self) + self.n_missed + self.n_disputed

    def face_at(self, row: int) -> Face:
        return self.photos[int(self.photo[row])].analysis.faces[int(self.face[row])]


def make_sample(labelled: Labelled, analyses: Analyses, *, n_dims: int) -> Sample:
    """Return the labelled faces as arrays, in order of their photos' paths."""
    photos, n_lost, n_unused = _gather(labelled, analyses)
    names = tuple(sorted(labelled.photos_of()))
    number = {name: i for i, name in enumerate(names)}
    rows = [
        (i, face, number[next(iter(people))])
        for i, photo in enumerate(photos)
        for face, people in sorted(photo.people.items())
        if len(people) == 1
    ]
    table = np.array(rows, np.int64).reshape(-1, 3)
    faces = [photos[i].photo.analysis.faces[face] for i, face, _ in rows]
    return Sample(
        photos=tuple(gathered.photo for gathered in photos),
        names=names,
        photo=table[:, 0],
        face=table[:, 1],
        person=table[:, 2],
        embeddings=np.array([face.embedding for face in faces], np.float32).reshape(-1, n_dims),
        tiers=np.array([face.quality.tier.value for face in faces], np.str_),
        n_missed=n_lost + sum(len(photo.missed) for photo in photos),
        n_disputed=sum(len(people) > 1 for photo in photos for people in photo.people.values()),
        n_false=sum(len(photo.photo.analysis.faces) for photo in photos if photo.is_empty),
        n_unused=n_unused,
    )


@dataclass(slots=True)
class _Gathered:
    """A photo, and what the labels of all its copies say together."""

    photo: Photo
    people: dict[int, set[str]] = field(default_factory=dict)
    """Who each labelled face is said to be, by its number."""
    missed: list[Label] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not self.people and not self.missed

    def add(self, labels: Sequence[Label]) -> None:
        """Add the labels of one copy; a face that was missed there, too, is missed once."""
        found = match(labels, self.photo.analysis)
        for i, label in enumerate(labels):
            if i in found:
                self.people.setdefault(found[i], set()).add(label.person)
            elif not any(_is_same(label, other) for other in self.missed):
                self.missed.append(label)


def _gather(labelled: Labelled, analyses: Analyses) -> tuple[list[_Gathered], int, int]:
    """Return each photo once, and how many labels were lost with how many photos that could not be used."""
    photos: dict[bytes, _Gathered] = {}
    n_lost = n_unused = 0
    for one in labelled.photos:
        file = str(resolved(labelled.root, one))
        known = analyses.files.get(file)
        if known is None or known.sha256 not in analyses.photos or file in analyses.faults:
            n_lost, n_unused = n_lost + len(one.labels), n_unused + 1
            continue
        fingerprint = Fingerprint(known.size, known.mtime_ns, 0)
        photo = Photo(one.path, file, known.sha256, fingerprint, analyses.photos[known.sha256])
        photos.setdefault(known.sha256, _Gathered(photo)).add(one.labels)
    return list(photos.values()), n_lost, n_unused


def resolved(root: Path, photo: LabelledPhoto) -> Path:
    """Return where a labelled path leads, links followed: a people folder of links is a folder of labels, too."""
    return (root / photo.path).resolve()


def _is_same(label: Label, other: Label) -> bool:
    if label.person != other.person or (label.box is None) != (other.box is None):
        return False
    if label.box is None or other.box is None:
        return True
    return bool(overlaps(np.array(label.box), np.array(other.box))[0, 0] >= SAME_FACE)


def match(labels: Sequence[Label], analysis: Analysis) -> dict[int, int]:
    """Return the number of the detected face for each label that has one, by the label's number.

    A box is the detection that overlaps it most, one to one, best first, from `boxes.SAME_FACE` on. A label without a
    box is the face in the middle, see `middle_face`.
    """
    boxed = [i for i, label in enumerate(labels) if label.box is not None]
    wanted = np.array([labels[i].box for i in boxed], np.float64)
    detected = np.array([_corners(face.box) for face in analysis.faces], np.float64)
    found = {boxed[i]: face for i, face in pair_up(wanted, detected)}
    middle = middle_face(analysis)
    without_box = [i for i, label in enumerate(labels) if label.box is None]
    return found | {i: middle for i in without_box if middle is not None}


def middle_face(analysis: Analysis) -> int | None:
    """Return which face a label without a box means: the one nearest to the middle of the photo among those at least
    half as wide as the widest. So LFW has it ("the face that contains the centre of the image", Huang et al. 2007),
    where people in the background are smaller. None: there is no face.
    """
    boxes = [face.box for face in analysis.faces]
    if not boxes:
        return None
    widest = max(box.w for box in boxes)
    large = [i for i, box in enumerate(boxes) if box.w >= MIN_SHARE * widest]
    return min(large, key=lambda i: (_off_centre(boxes[i], analysis), i))


def _off_centre(box: Box, analysis: Analysis) -> float:
    """Return the squared distance in pixels of a box's middle from the photo's."""
    return (box.x + box.w / 2 - analysis.width / 2) ** 2 + (box.y + box.h / 2 - analysis.height / 2) ** 2


def _corners(box: Box) -> tuple[float, float, float, float]:
    return box.x, box.y, box.w, box.h
