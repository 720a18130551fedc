"""Versions of one photo: edited, in another format or size, at another place. What is known of the faces of one that is
gone is handed over to those of another.

    inherit     a photo is new     its faces become what those of a version before were
    bequeath    a photo is gone    what users said of its faces is true of those of a version that was there already
    hand_over   faces              each decision goes over by itself, so that its undo takes it back everywhere
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import acos, ceil, inf, pi, sqrt
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from facewatch.boxes import overlaps, pair_up
from facewatch.catalog import RUNS, Catalog, FaceRow
from facewatch.catalog.faces import SeenFaces
from facewatch.catalog.lineage import Spot
from facewatch.indexing.additions import carry_over, recording
from facewatch.types import Analysis

_T = TypeVar("_T")

Boxes = NDArray[np.float64]

_FACES_AT_ONCE = 16_384
"""Vectors taken from the catalog at a time: 32 MB of 512-D ones."""

ALL_BUT_EQUAL = 0.5
"""How near the embeddings of a face in two versions of a photo are, as a share of the distance up to which two faces
are taken for one person's. Of 100 faces of shared/photos saved again (JPEG at 60 and 90, WebP, brighter, with more
contrast, grey) 99 % are nearer, by dlib and by ArcFace, and of those at half size 96 % and 99 %. Of 4,354 pairs of
different photos of one person, cut so that the face is at the same place (LFW), 29 and 19 are, some of them one."""

EQUAL = 0.22
"""The same for two photos of one size and format that were in the library together, as the frames of a burst are: 97 %
of those faces are nearer when saved at 90, 85 % when changed more ..."""

NEARLY_STILL = 0.03
"""... and their landmarks, where a camera in the hand moves by more from frame to frame. Or the face has not moved at
all:"""

STILL = 0.02
"""The landmarks of 97 % of those that were not scaled are nearer. Of the pairs 14 and 5 are all that."""

STILL_EQUAL = 0.75
"""The same where most other faces of the photo are all but equal."""

SAME_PLACE = 0.07
"""How far landmarks of such a face are from where they were, as a share of its box: 99 % of those faces are nearer at
full size, 95 % at half size. In the next frame of a burst somebody has moved: by 1 % of the photo is 4 % of a face, by
3 % is 10 %."""

SAME_PICTURE = 0.02
"""The same where only what is written beside the pixels has changed."""


def as_seen(analysis: Analysis) -> SeenFaces:
    """Return what was found in a photo that is not in the catalog yet; the ids are the numbers of the faces."""
    faces = analysis.faces
    return SeenFaces(
        width=analysis.width,
        height=analysis.height,
        ids=np.arange(len(faces)),
        boxes=np.array([[face.box.x, face.box.y, face.box.w, face.box.h] for face in faces], np.float64).reshape(-1, 4),
        embeddings=np.stack([face.embedding for face in faces]) if faces else np.empty((0, 0), np.float32),
        landmarks=np.array([face.landmarks for face in faces], np.float64).reshape(-1, 5, 2),
        taken_at=analysis.taken_at,
        format=analysis.format,
    )


def earlier_faces_of(before: SeenFaces, edited: Analysis, *, nearest: float) -> dict[int, int]:
    """Return, by the number of a face of the edited photo, the id of the face before that it is.

    They lie over each other once one photo is scaled to the other, turned by any quarter, and look alike: a file that
    was overwritten by quite another photo has no earlier.

    Args:
        nearest: embeddings of one face are less far from each other than this.
    """
    after = as_seen(edited)
    if not len(before.ids) or not len(after.ids):
        return {}
    is_far = _distances(before, after) >= nearest
    found, turned = _scaled(after), _scaled(before)
    best: dict[int, int] = {}
    most = 0.0
    for _ in range(4):
        shares = overlaps(turned, found)
        pairs = [(old, new) for old, new in pair_up(turned, found) if not is_far[old, new]]
        overlap = sum(float(shares[pair]) for pair in pairs)
        if overlap > most:
            best, most = {new: int(before.ids[old]) for old, new in pairs}, overlap
        turned = _quarter_turned(turned)
    return best


def same_faces(before: SeenFaces, after: SeenFaces, *, nearest: float, were_together: bool = False) -> dict[int, int]:
    """Return, by the id of a face of one photo, that of the face of the other that it is, if the two are one photo that
    was saved twice: most faces that lie over each other are all but equal, eyes, nose and mouth at the same place.

    Two frames of a burst are two photos; so are two whose dates differ, unless their pixels are the same.

    Args:
        nearest: embeddings of one person are less far from each other than this.
        were_together: both photos were in the library at one time.
    """
    if not len(before.ids) or not len(after.ids):
        return {}
    apart = _distances(before, after)
    limits = _limits(before, after, were_together=were_together)
    found, turned = _scaled(after), _scaled(before)
    best: list[tuple[int, int]] = []
    most = 0
    for n_quarters in range(4):
        pairs = pair_up(turned, found)
        equal = [
            pair
            for pair in pairs
            if any(
                apart[pair] < near * nearest and _moved(before, after, pair, n_quarters) < still
                for near, still in limits
            )
        ]
        if len(equal) > most and 2 * len(equal) > len(pairs):
            best, most = [pair for pair in pairs if apart[pair] < STILL_EQUAL * nearest], len(equal)
        turned = _quarter_turned(turned)
    return {int(after.ids[new]): int(before.ids[old]) for old, new in best}


def is_still(before: SeenFaces, after: SeenFaces, same: Mapping[int, int]) -> bool:
    """Whether the faces of one photo, by the id of the same face of the other, have not moved at all."""
    places = [{int(face_id): i for i, face_id in enumerate(seen.ids)} for seen in (before, after)]
    pairs = [(places[0][old], places[1][new]) for new, old in same.items()]
    return all(min(_moved(before, after, pair, n_quarters) for n_quarters in range(4)) < STILL for pair in pairs)


def _limits(before: SeenFaces, after: SeenFaces, *, were_together: bool) -> list[tuple[float, float]]:
    """Return how near faces must be, and how little their landmarks may have moved; either pair will do."""
    if before.taken_at and after.taken_at and before.taken_at != after.taken_at:
        return [(SAME_PICTURE, SAME_PLACE)]
    sizes = [sorted((seen.width, seen.height)) for seen in (before, after)]
    if were_together and sizes[0] == sizes[1] and before.format == after.format:
        return [(EQUAL, NEARLY_STILL), (ALL_BUT_EQUAL, STILL)]
    return [(ALL_BUT_EQUAL, SAME_PLACE)]


def _distances(before: SeenFaces, after: SeenFaces) -> NDArray[np.float32]:
    distances: NDArray[np.float32] = np.linalg.norm(before.embeddings[:, None] - after.embeddings[None], axis=2)
    return distances


def _moved(before: SeenFaces, after: SeenFaces, pair: tuple[int, int], n_quarters: int) -> float:
    """Return how far eyes, nose and mouth are at most from where they were, as a share of the face. Which is which is
    not asked: in a photo that was turned left and right may be others."""
    if before.landmarks is None or after.landmarks is None:
        return 0.0
    was = before.landmarks[pair[0]] / (before.width, before.height)
    now = after.landmarks[pair[1]] / (after.width, after.height)
    for _ in range(n_quarters):
        was = np.stack([1 - was[:, 1], was[:, 0]], axis=1)
    face = after.boxes[pair[1], 2:] / (after.width, after.height)
    return float((np.abs(was[:, None] - now) / face).max(axis=2).min(axis=1).max())


def _scaled(seen: SeenFaces) -> Boxes:
    """Return boxes (x, y, w, h) in shares of the photo's sides."""
    return seen.boxes / np.array([seen.width, seen.height] * 2, np.float64)


def _quarter_turned(boxes: Boxes) -> Boxes:
    """Return where boxes are, in shares of the sides, when the photo is turned clockwise by a quarter."""
    x, y, w, h = boxes.T
    return np.stack([1 - y - h, x, h, w], axis=1)


@dataclass(frozen=True, slots=True)
class _Word:
    """Something that a user said about a face, and that is true of another one."""

    table: str
    """assignments, marks or rejections."""
    new: int
    old: int
    person_id: int | None = None
    """Whose it is, or is not."""

    @property
    def key(self) -> tuple[int, ...]:
        """Of the row that says so of the old face."""
        return (self.old, self.person_id) if self.table == "rejections" and self.person_id else (self.old,)


class Versions:
    """Finds other versions of photos by their faces, as one engine sees them, and hands over."""

    def __init__(self, catalog: Catalog, engine_id: int, *, same_face: float) -> None:
        """`same_face`: the engine's embeddings of one person's faces are nearer to each other than this."""
        self._catalog = catalog
        self._engine_id = engine_id
        self._same_face = same_face
        self._vanished: _Signs | None = None
        self._people = set[int]()

    def take_people(self) -> set[int]:
        """Return who has lost or got faces, by what was handed over, since this was asked last."""
        people, self._people = self._people, set()
        return people

    def prepare(self) -> None:
        """Have at hand what `inherit` needs; slow once (100,000 faces of photos that are gone: half a second)."""
        if self._vanished is None:
            self._vanished = _Signs()
            self._vanished.add(self._catalog.lineage.vectors_of_vanished(self._engine_id))

    def forget(self) -> None:
        """Read again what is gone when it is needed next."""
        self._vanished = None

    def inherit(self, photo_id: int, analysis: Analysis, face_ids: Sequence[int], before: int | None) -> int:
        """Let the faces of a new photo, and what users add to photos, be what they were in the photo that its file held
        `before`, else in one that is gone; returns how many belong to somebody by it. Inside the caller's transaction.

        The old faces keep what they have: their photo may come back.
        """
        earlier: dict[int, int] = {}
        if before is not None:
            seen = self._catalog.faces.seen(before, self._engine_id)
            earlier = earlier_faces_of(seen, analysis, nearest=self._same_face)
            is_same = bool(earlier) or (bool(analysis.taken_at) and analysis.taken_at == seen.taken_at)
            carry_over(self._catalog, before, photo_id, seen=earlier.values(), is_same=is_same)
            if earlier:
                self.gone([before])
            else:
                self.replaced(before)
        if not earlier:
            earlier = self._from_vanished(analysis)
            self._carry_over(photo_id, earlier.values(), without=before)
        self.hand_over({face_ids[new]: old for new, old in earlier.items()}, with_runs=True)
        return sum(row.person_id is not None for row in self._catalog.faces.rows([face_ids[new] for new in earlier]))

    def is_as_before(self, analysis: Analysis, photo_id: int) -> bool:
        """Whether the same faces are found in a photo as when it was analysed before."""
        before, after = self._catalog.faces.seen(photo_id, self._engine_id), as_seen(analysis)
        if (before.width, before.height, len(before.ids)) != (after.width, after.height, len(after.ids)):
            return False
        return len(same_faces(before, after, nearest=self._same_face)) == len(after.ids)

    def correct(self, photo_id: int, analysis: Analysis, face_ids: Sequence[int], misread: int) -> None:
        """Let the faces of a photo that was taken for another picture be what users said of those at their places, and
        let go of those that runs assigned by their likeness. Inside the caller's transaction."""
        faces = self._catalog.faces
        seen = faces.seen(misread, self._engine_id)
        earlier = earlier_faces_of(seen, analysis, nearest=inf)
        carry_over(self._catalog, misread, photo_id, seen=earlier.values(), is_same=True)
        self.hand_over({face_ids[new]: old for new, old in earlier.items()}, with_runs=False)
        assigned = [row for row in faces.rows(seen.ids.tolist()) if row.source in RUNS]
        self._catalog.assignments.release([row.id for row in assigned])
        self._people |= {row.person_id for row in assigned if row.person_id is not None}

    def there(self, photos: Collection[int]) -> list[tuple[int, int]]:
        """Return pairs of one of these photos, about whose faces somebody said something, and another photo of the
        library with a face that is all but equal near the same place. Where there is any of the former, all faces of
        the library are compared (100,000: 0.2 s)."""
        lineage = self._catalog.lineage
        said = dict(lineage.vectors_of(photos, self._engine_id, only_said=True))
        if not said:
            return []
        olds, vectors = list(said), _unpacked(said.values())
        pairs: list[tuple[int, int]] = []
        for batch in _batches(self._catalog.engines.arrivals(self._engine_id).rows):
            cosines = _unpacked(vector for _, _, vector in batch) @ vectors.T
            pairs += [(olds[col], batch[row][1]) for row, col in np.argwhere(cosines > 1 - self._reach**2 / 2)]
        spots = {one.face_id: one for one in lineage.spots({face_id for pair in pairs for face_id in pair})}
        found = {
            (spots[old].photo_id, spots[new].photo_id)
            for old, new in pairs
            if spots[new].is_there and _is_any_near(spots[new], [spots[old]])
        }
        return sorted(pair for pair in found if pair[0] != pair[1])

    def bequeath(self, found: Iterable[tuple[int, int]]) -> set[int]:
        """Of these pairs, hand over what users said about the faces of photos that are gone; returns the photos whose
        faces it changed. Inside the caller's transaction."""
        changed = set[int]()
        pairs = list(found)
        gone = set(self._catalog.lineage.vanished({old for old, _ in pairs}))
        for old, new in pairs:
            if old in gone:
                before, after = (self._catalog.faces.seen(photo_id, self._engine_id) for photo_id in (old, new))
                earlier = same_faces(before, after, nearest=self._same_face, were_together=True)
                if self.hand_over(earlier, with_runs=False):
                    changed.add(new)
                self._carry_over(new, earlier.values())
        return changed

    def gone(self, photos: Collection[int]) -> None:
        """No file holds these photos any more."""
        if self._vanished is not None:
            self._vanished.add(self._catalog.lineage.vectors_of(photos, self._engine_id, only_said=False))

    def replaced(self, photo_id: int) -> None:
        """Quite another photo lies in its place; what users said of its faces is true of other versions of it. Inside
        the caller's transaction."""
        self.gone([photo_id])
        self.bequeath(self.there([photo_id]))

    # --- finding versions ---

    def _from_vanished(self, analysis: Analysis) -> dict[int, int]:
        """Return, by the number of a face, which face of a photo that is gone it is; of several versions that was last
        which something was said about last, but other frames of a burst are none."""
        self.prepare()
        assert self._vanished is not None
        after, lineage = as_seen(analysis), self._catalog.lineage
        alike = {face_id for vector in after.embeddings for face_id in self._vanished.near(vector, self._reach)}
        boxes = after.boxes / ([after.width, after.height] * 2)
        spots = [Spot(0, 0, x + w / 2, y + h / 2, max(w, h)) for x, y, w, h in boxes.tolist()]
        gone = (one for one in lineage.spots(alike) if not one.is_there)
        photos = {one.photo_id for one in gone if _is_any_near(one, spots)}
        versions: list[tuple[SeenFaces, dict[int, int]]] = []
        for photo_id in sorted(photos, key=lambda photo_id: (lineage.newest_word(photo_id), photo_id), reverse=True):
            before = self._catalog.faces.seen(photo_id, self._engine_id)
            versions.append((before, same_faces(before, after, nearest=self._same_face)))
        # Where a face has not moved in one, those in which it has are other frames of a burst.
        still = [(before, same) for before, same in versions if same and is_still(before, after, same)]
        found: dict[int, int] = {}
        for _, same in still or versions:
            taken = set(found.values())
            found |= {new: old for new, old in same.items() if new not in found and old not in taken}
        return found

    @property
    def _reach(self) -> float:
        return ALL_BUT_EQUAL * self._same_face

    def nearest(self, face_id: int, vectors: Sequence[NDArray[np.float32]]) -> int | None:
        """Return which of these unit vectors is the nearest to that of a face, None where none is near enough to be of
        the same one, or the engine has not seen it."""
        photos = [row.photo_id for row in self._catalog.faces.rows([face_id])]
        known = dict(self._catalog.lineage.vectors_of(photos, self._engine_id, only_said=False)).get(face_id)
        if known is None or not vectors:
            return None
        distances = np.linalg.norm(np.stack(vectors) - _unpacked([known]), axis=1)
        return int(distances.argmin()) if distances.min() < self._same_face else None

    # --- handing over ---

    def _carry_over(self, photo_id: int, olds: Collection[int], *, without: int | None = None) -> None:
        """Let what users added to the photos of faces that are known in this one be true of it."""
        photos = {row.photo_id for row in self._catalog.faces.rows(olds)} - {without, photo_id}
        for old in sorted(photos):
            carry_over(self._catalog, old, photo_id, seen=olds, is_same=True)

    def hand_over(self, earlier: Mapping[int, int], *, with_runs: bool) -> int:
        """Let faces, by id, be what older ones are: whose, whose not, no face, a cover; returns how many that changed.

        What users said of a face itself counts more than what is handed over, and nobody comes into a photo twice by
        what runs assigned. With `with_runs` faces that nothing is known of are also whose runs took the old ones for.
        """
        if not earlier:
            return 0
        catalog = self._catalog
        catalog.lineage.add(earlier, catalog.now())
        words = list(self._words(earlier))
        by_decision: dict[int | None, list[_Word]] = {}
        for word in words:
            by_decision.setdefault(catalog.lineage.decision_of(word.table, word.key), []).append(word)
        for decision, said in sorted(by_decision.items(), key=lambda entry: entry[0] or 0):
            with recording(catalog, decision, {word.new: word.old for word in said}):
                for word in said:
                    self._say(word)
        if with_runs:
            self._place_as_runs_did(earlier)
        for new, old in earlier.items():
            catalog.lineage.cover_as(new, old)
        catalog.lineage.forget_guesses(earlier)
        catalog.people.drop_covers()
        return len({word.new for word in words})

    def _words(self, earlier: Mapping[int, int]) -> Iterator[_Word]:
        """Yield what users said about the old faces and may be said of the new ones."""
        faces = self._catalog.faces
        rows = {row.id: row for row in faces.rows([*earlier, *earlier.values()])}
        rejected = self._catalog.rejections.of_faces([*earlier, *earlier.values()])
        for new, old in earlier.items():
            mine, theirs = rows[new], rows[old]
            own = mine.person_id if _is_placed(mine) else None
            for person_id in sorted(rejected.get(old, set()) - rejected.get(new, set()) - {own}):
                yield _Word("rejections", new, old, person_id)
            if _is_placed(mine) or mine.mark is not None:
                continue
            if theirs.mark is not None:
                yield _Word("marks", new, old)
            elif theirs.person_id is not None and _is_placed(theirs) and self._may_be(mine, theirs, rejected, earlier):
                yield _Word("assignments", new, old, theirs.person_id)

    def _may_be(
        self, mine: FaceRow, theirs: FaceRow, rejected: Mapping[int, set[int]], earlier: Mapping[int, int]
    ) -> bool:
        """Whether nothing that a user said about the new photo stands against that its face belongs to that person."""
        person_id = theirs.person_id
        assert person_id is not None
        beside = self._catalog.faces.beside([mine.photo_id], person_id)
        is_there = any(_is_placed(row) and row.id not in earlier for row in beside)
        return person_id not in rejected.get(mine.id, ()) and not is_there

    def _say(self, word: _Word) -> None:
        faces, lineage = self._catalog.faces, self._catalog.lineage
        [row] = faces.rows([word.new])
        self._people |= {person_id for person_id in (row.person_id, word.person_id) if person_id is not None}
        if word.table == "rejections":
            assert word.person_id is not None
            lineage.reject_as(word.new, word.old, word.person_id)
            if row.person_id == word.person_id:
                self._catalog.assignments.release([word.new])
            return
        self._catalog.assignments.release([word.new])
        if word.table == "marks":
            lineage.mark_as(word.new, word.old)
            return
        assert word.person_id is not None
        beside = faces.beside([row.photo_id], word.person_id)
        self._catalog.assignments.release([other.id for other in beside if not _is_placed(other)])
        lineage.place_as(word.new, word.old)

    def _place_as_runs_did(self, earlier: Mapping[int, int]) -> None:
        faces = self._catalog.faces
        rows = {row.id: row for row in faces.rows([*earlier, *earlier.values()])}
        rejected = self._catalog.rejections.of_faces(earlier)
        for new, old in earlier.items():
            mine, theirs = rows[new], rows[old]
            if theirs.person_id is None or theirs.source not in RUNS or (mine.person_id, mine.mark) != (None, None):
                continue
            is_barred = theirs.person_id in rejected.get(new, ())
            if not is_barred and not faces.beside([mine.photo_id], theirs.person_id):
                self._catalog.lineage.place_as(new, old)


def _is_placed(row: FaceRow) -> bool:
    """Whether somebody, and no run, said whose the face is."""
    return row.person_id is not None and row.source not in RUNS


def _is_any_near(one: Spot, others: Iterable[Spot]) -> bool:
    """Whether the box of a face may lie over one of these in a photo that was scaled and turned by any quarter."""
    x, y = one.x, one.y
    turned = ((x, y), (1 - y, x), (1 - x, 1 - y), (y, 1 - x))
    # Boxes that overlap enough are shifted by less than half of their side.
    return any(
        max(abs(u - spot.x), abs(v - spot.y)) < max(one.side, spot.side) / 2 for u, v in turned for spot in others
    )


def _batches(rows: Iterable[_T]) -> Iterator[list[_T]]:
    rest = iter(rows)
    while batch := list(islice(rest, _FACES_AT_ONCE)):
        yield batch


def _unpacked(vectors: Iterable[bytes]) -> NDArray[np.float32]:
    rows = list(vectors)
    return np.frombuffer(b"".join(rows), "<f4").reshape(len(rows), -1) if rows else np.empty((0, 0), np.float32)


class _Signs:
    """Many faces by the signs of their vectors alone, one bit a dimension: vectors that are near differ in few."""

    def __init__(self) -> None:
        self._faces = np.empty(0, np.int64)
        self._signs = np.empty((0, 0), np.uint8)

    def add(self, faces: Iterable[tuple[int, bytes]]) -> None:
        for batch in _batches(faces):
            signs = np.packbits(_unpacked(vector for _, vector in batch) > 0, axis=1)
            ids = np.array([face_id for face_id, _ in batch], np.int64)
            is_first = not len(self._faces)
            self._faces = np.concatenate([self._faces, ids])
            self._signs = signs if is_first else np.concatenate([self._signs, signs])

    def near(self, vector: NDArray[np.float32], reach: float) -> list[int]:
        """Return all faces that are nearer to a unit vector than that, and some others."""
        if not len(self._faces):
            return []
        # Two vectors at an angle differ in each sign by that share of half a turn; four deviations are enough for all.
        share = acos(1 - reach**2 / 2) / pi
        most = ceil(len(vector) * share + 4 * sqrt(len(vector) * share * (1 - share)))
        n_differing = np.bitwise_count(self._signs ^ np.packbits(vector > 0)).sum(1)
        found: list[int] = self._faces[n_differing <= most].tolist()
        return found
