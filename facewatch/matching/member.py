"""What is known of one person: the faces to compare with, and where their middles are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Protocol

import numpy as np

from facewatch.cohort import MOST_OF_ONE
from facewatch.columns import Columns
from facewatch.types import cosine_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from facewatch.types import Flags, Floats, Ints

CONFIRMED_WEIGHT = 3.0
"""A face that a user confirmed counts in the centroid as much as so many that no user confirmed."""
N_EXEMPLARS = 128
"""Of a person with twice as many faces so many are kept to compare with, which look as different as can be."""
MOST_CENTROIDS = 8
MIN_MODE = 3
"""Good faces that together make a further centroid of a person: fewer may be mistakes; see docs/evaluation.md."""

_ROUNDING = 1e-5
"""More than the cosines of two products of the same vectors differ by."""

_versions = count()


@dataclass(frozen=True, slots=True)
class MemberFaces(Columns):
    """Faces of one person, or of several."""

    embeddings: Floats
    """Unit vectors, shape (n_faces, n_dims)."""
    weights: Floats
    """What each counts in the centroid: its quality, 0 for one that may not start a person."""
    ids: Ints
    confirmed: Flags
    """Whether a user assigned or confirmed the face."""
    days: Ints
    """When each was taken; UNDATED: nobody knows."""

    @property
    def is_good(self) -> Flags:
        """Which faces are evidence: a poor one that nobody confirmed may itself be a mistake."""
        good: Flags = (self.weights > 0) | self.confirmed
        return good


@dataclass(frozen=True, slots=True)
class Sketch:
    """What is asked of a person first, worked out before from all faces: most are asked nothing else."""

    n_faces: int
    centroids: Floats
    """`Member.centroids`, shape (n_centroids, n_dims)."""
    first: Ints
    """The faces of `Member.first_enrolling` that stand for the person among strangers, by their ids."""


class Unread(Protocol):
    """What sketches leave out, to be read when it is asked for."""

    def faces(self, person_id: int) -> MemberFaces:
        """Return all faces of a person, in order of their ids."""
        ...

    def vectors(self, ids: Ints) -> Floats:
        """Return the vectors of faces, whose ids are ascending."""
        ...


class _Rows:
    """Faces in arrays that grow in place, thinned out when there are too many."""

    def __init__(self, n_dims: int) -> None:
        self._room = _no_room(n_dims)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    @property
    def faces(self) -> MemberFaces:
        return self._room.take(slice(0, self._n))

    def extend(self, faces: MemberFaces) -> None:
        """Add faces; in pieces, so that it comes to the same whether they come together or one by one."""
        start = 0
        while start < len(faces):
            piece = faces.take(slice(start, start + 2 * N_EXEMPLARS - self._n))
            self._append(piece)
            start += len(piece)
            if self._n == 2 * N_EXEMPLARS:
                kept = self.faces.take(choose_exemplars(self.faces, N_EXEMPLARS))
                self._n = 0
                self._append(kept)

    def _append(self, faces: MemberFaces) -> None:
        n = self._n + len(faces)
        if n > len(self._room):
            old, self._room = self.faces, _room(max(n, 2 * self._n), faces.embeddings.shape[1])
            _write(self._room, 0, old)
        _write(self._room, self._n, faces)
        self._n = n


class Member:
    """One person of a gallery. Adding a face costs the same however many there are already.

    Faces that came together wait until the person is compared with somebody: most people of a gallery never are.
    """

    def __init__(self, n_dims: int, *, reach: float) -> None:
        """`reach` is how far a face may be from the centroid that it belongs to."""
        self.n_faces = 0
        self.version = next(_versions)
        """Another number after every change, and for every member."""
        self._cosine_reach = cosine_of(reach)
        self._waiting: MemberFaces | None = None
        self._good, self._poor = _Rows(n_dims), _Rows(n_dims)
        self._sum, self._poor_sum = np.zeros(n_dims, np.float32), np.zeros(n_dims, np.float32)
        self._centroids: Floats | None = None
        self._years: Years | None = None
        self.sketch: Sketch | None = None
        """All that is here; None: more is."""
        self._read: Callable[[], MemberFaces] = _nothing

    @classmethod
    def of_sketch(cls, sketch: Sketch, read: Callable[[], MemberFaces], *, reach: float) -> Member:
        """Return somebody of whom more than the sketch is read when it is asked for: all faces, in order of their
        ids."""
        member = cls(sketch.centroids.shape[1], reach=reach)
        member.n_faces, member._centroids, member.sketch, member._read = sketch.n_faces, sketch.centroids, sketch, read
        return member

    def sketched(self) -> Sketch:
        """Return what `of_sketch` makes the same person of."""
        return self.sketch or Sketch(self.n_faces, self.centroids, self._first_enrolling(MOST_OF_ONE).ids)

    def _complete(self) -> None:
        if self.sketch is not None:
            self.sketch, self.n_faces = None, 0
            self.extend(self._read())

    def extend(self, faces: MemberFaces) -> None:
        self._complete()
        weights = faces.weights * np.where(faces.confirmed, np.float32(CONFIRMED_WEIGHT), np.float32(1))
        self._sum += weights @ faces.embeddings
        self._take_in()
        self._waiting = faces
        self.n_faces += len(faces)
        self.version = next(_versions)
        self._centroids = self._years = None

    def _take_in(self) -> None:
        """Compare with the faces that wait from now on; of many only some are kept."""
        self._complete()
        faces, self._waiting = self._waiting, None
        if faces is None:
            return
        self._poor_sum += faces.embeddings[faces.weights <= 0].sum(0)
        is_good = faces.is_good
        self._good.extend(faces.take(is_good))
        if not len(self._good):
            self._poor.extend(faces.take(~is_good))

    def settle(self) -> None:
        """Keep no more faces than there are to compare with."""
        if self._waiting is not None and len(self._waiting) >= 2 * N_EXEMPLARS:
            self._take_in()

    @property
    def centroids(self) -> Floats:
        """Unit vectors, at most MOST_CENTROIDS: the middle of all, then those of groups of faces far from it."""
        if self._centroids is None:
            self._centroids = self._find_centroids()
        return self._centroids

    @property
    def years(self) -> Years:
        """Where the middles of those years are that faces are from."""
        if self._years is None:
            enrolling = self._good_faces
            self._years = years_of(enrolling.embeddings, enrolling.weights, enrolling.days)
        return self._years

    @property
    def exemplars(self) -> MemberFaces:
        """The faces to compare with: good ones, or where there is none (a user took them away) the others."""
        self._take_in()
        return (self._good if len(self._good) else self._poor).faces

    @property
    def enrolling(self) -> Floats:
        """The unit vectors of those that may start a person, or where there is none of all."""
        return self._enrolling.embeddings

    @property
    def _enrolling(self) -> MemberFaces:
        exemplars = self.exemplars
        may = exemplars.weights > 0
        return exemplars.take(may) if may.any() else exemplars

    def first_enrolling(self, n: int) -> Floats:
        """Return the first of those."""
        return self._first_enrolling(n).embeddings

    def _first_enrolling(self, n: int) -> MemberFaces:
        self._complete()
        if (faces := self._untouched) is not None and len(faces) < 2 * N_EXEMPLARS:
            # All of them are kept, so there is no need to take them in.
            rows = np.flatnonzero(faces.weights > 0)[:n]
            if len(rows):
                return faces.take(rows)
        return self._enrolling.take(slice(0, n))

    @property
    def _untouched(self) -> MemberFaces | None:
        """All faces, where all of them wait."""
        return self._waiting if self._waiting is not None and len(self._waiting) == self.n_faces else None

    @property
    def n_good(self) -> int:
        """How many good faces there are to compare with."""
        return len(self._good_faces)

    @property
    def _good_faces(self) -> MemberFaces:
        self._take_in()
        return self._good.faces

    def _find_centroids(self) -> Floats:
        if not self._sum.any():
            self._take_in()
        total = self._sum if self._sum.any() else self._poor_sum
        length = float(np.linalg.norm(total))
        middle = total / length if length > 0 else self.exemplars.embeddings[0]
        if (faces := self._untouched) is not None and not _may_have_modes(faces, middle, self._cosine_reach):
            return middle[None]
        enrolling = self._good_faces
        is_far = _is_far(enrolling, middle, self._cosine_reach)
        if np.count_nonzero(is_far) < MIN_MODE:
            return middle[None]
        return np.concatenate([middle[None], find_modes(enrolling.take(is_far), self._cosine_reach)])


def _nothing() -> MemberFaces:
    raise ValueError("there is nothing to read")


def _is_far(faces: MemberFaces, middle: Floats, cosine_reach: float) -> Flags:
    far: Flags = (faces.weights > 0) & (faces.embeddings @ middle < cosine_reach)
    return far


def _may_have_modes(faces: MemberFaces, middle: Floats, cosine_reach: float) -> bool:
    """Whether those of these faces that are kept may have any; where there are none among all, there are none."""
    return int(np.count_nonzero(_is_far(faces, middle, cosine_reach + _ROUNDING))) >= MIN_MODE


def find_modes(far: MemberFaces, cosine_reach: float) -> Floats:
    """Return the middles of the groups that the faces far from the centroid of their person form, the largest first.

    A group is a face and all that are within reach of it, MIN_MODE or more. The order of the faces does not matter.
    """
    far = far.take(np.argsort(far.ids))
    modes: list[Floats] = []
    while len(far) >= MIN_MODE and len(modes) < MOST_CENTROIDS - 1:
        is_near = far.embeddings @ far.embeddings.T >= cosine_reach
        heart = is_near.sum(1).argmax()
        if np.count_nonzero(is_near[heart]) < MIN_MODE:
            break
        mode = far.take(is_near[heart])
        total = (mode.weights * np.where(mode.confirmed, CONFIRMED_WEIGHT, 1)).astype(np.float32) @ mode.embeddings
        modes.append(total / max(float(np.linalg.norm(total)), 1e-9))
        far = far.take(~is_near[heart] & (far.embeddings @ modes[-1] < cosine_reach))
    return np.array(modes, np.float32).reshape(len(modes), far.embeddings.shape[1])


def choose_exemplars(faces: MemberFaces, n: int) -> Ints:
    """Return rows of at least `n` faces that cover the others: confirmed ones, then always the face that is farthest
    from those chosen. The order of the faces does not matter."""
    order = np.argsort(faces.ids)
    embeddings, confirmed = faces.embeddings[order], faces.confirmed[order]
    may = confirmed if np.count_nonzero(confirmed) > n else np.ones(len(faces), np.bool_)
    chosen = np.flatnonzero(confirmed) if np.count_nonzero(confirmed) <= n else np.zeros(0, np.int64)
    nearest = np.full(len(faces), -2.0, np.float32)
    if len(chosen):
        nearest = (embeddings @ embeddings[chosen].T).max(1)
    else:
        # The first is the one in the middle.
        chosen = np.array([np.where(may, embeddings @ embeddings.sum(0), -np.inf).argmax()])
        nearest = embeddings @ embeddings[chosen[0]]
    nearest = np.where(may, nearest, np.inf).astype(np.float32)
    nearest[chosen] = np.inf
    picked = chosen.tolist()
    while len(picked) < n:
        row = int(nearest.argmin())
        picked.append(row)
        np.maximum(nearest, embeddings @ embeddings[row], out=nearest)
        nearest[row] = np.inf
    return np.sort(order[np.array(picked, np.int64)])


def _room(n: int, n_dims: int) -> MemberFaces:
    ids, days = np.empty((2, n), np.int64)
    return MemberFaces(np.empty((n, n_dims), np.float32), np.empty(n, np.float32), ids, np.empty(n, bool), days)


@cache
def _no_room(n_dims: int) -> MemberFaces:
    """Return room for nothing; one for all, because most people of a gallery are never compared with anybody."""
    return _room(0, n_dims)


def _write(room: MemberFaces, start: int, faces: MemberFaces) -> None:
    rows = slice(start, start + len(faces))
    room.embeddings[rows], room.weights[rows] = faces.embeddings, faces.weights
    room.ids[rows], room.confirmed[rows], room.days[rows] = faces.ids, faces.confirmed, faces.days


def distances(cosines: Floats) -> Floats:
    """Return the Euclidean distances of unit vectors with these cosines."""
    apart: Floats = np.sqrt(np.maximum(0, 2 - 2 * cosines))
    return apart


UNDATED = 0
"""The day of a face of which nobody knows when it was taken; others count from a day long ago."""

NEAR_DAYS = 2 * 365
"""So long a face stays as it is, even a child's of two years. Chosen, not measured."""
FAR_DAYS = 10 * 365
"""After so long `Thresholds.years` counts in full."""
MIN_KNOWN = 3
"""Faces from about one time that tell how somebody looked then; fewer may be mistakes."""


@dataclass(frozen=True, slots=True)
class Years:
    """The middles of a person's faces, by the time they are from."""

    first: Ints
    """Days from which each middle counts."""
    last: Ints
    middles: Floats
    """Unit vectors."""

    def around(self, day: int) -> Floats:
        """Return the middles that count on this day; none for a face without a date."""
        if day == UNDATED:
            return self.middles[:0]
        return self.middles[(self.first <= day) & (day <= self.last)]


def years_of(embeddings: Floats, weights: Floats, days: Ints) -> Years:
    """Return the middles of faces that are from more than a few years; none of those from few."""
    order = np.argsort(days, kind="stable")
    order = order[(days[order] != UNDATED) & (weights[order] > 0)]
    if not len(order) or days[order[-1]] - days[order[0]] <= NEAR_DAYS:
        nothing = np.zeros(0, np.int64)
        return Years(nothing, nothing, embeddings[:0])
    spans = days[order] // NEAR_DAYS
    starts = np.flatnonzero(np.diff(spans, prepend=-1))
    sums = np.add.reduceat(embeddings[order] * weights[order, None], starts, axis=0)
    is_known = np.diff(starts, append=len(order)) >= MIN_KNOWN
    middles = sums[is_known] / np.maximum(np.linalg.norm(sums[is_known], axis=1, keepdims=True), 1e-9)
    first = spans[starts[is_known]] * NEAR_DAYS - NEAR_DAYS // 2
    return Years(first, first + 2 * NEAR_DAYS, middles.astype(np.float32))


def stricter(days: Ints, day: int, most: float) -> Floats:
    """Return how much nearer than usual a face of this day must be to each of a person's faces."""
    if day == UNDATED or not most:
        return np.zeros(len(days), np.float32)
    apart = np.where(days == UNDATED, 0, abs(days - day))
    is_known_then = np.count_nonzero((days != UNDATED) & (apart <= NEAR_DAYS)) >= MIN_KNOWN
    share = np.clip((apart - NEAR_DAYS) / (FAR_DAYS - NEAR_DAYS), 0, 1)
    return (share * most * (2 if is_known_then else 1)).astype(np.float32)
