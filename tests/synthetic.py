"""Synthetic faces in any number, for measuring speed and for telling methods apart: they rank, they do not predict.

Shaped like the 512-D embeddings of an ArcFace network: the decaying spectrum, the long tail of people, the kin and the
hard samples are those that shared/measurements.md describes in its section 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facewatch.columns import Columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_DIMS = 512
DECAY = 148.0
"""The variance of dimension i is exp(-i / 148): as many as 278 equal ones, so that strangers are at cosine 0 +- .06."""
TAIL = 1.8
"""People with s faces are as frequent as s ** -1.8: 53 in 100 have a single one."""
LARGEST_SHARE = 40
"""The largest person has at most one face in 40: 500 of 20 000, 2 500 of 100 000."""
JUNK_SHARE = 0.03
"""Faces that belong to nobody: statues, blurs, false detections."""
KIN_SHARE = 0.03
"""People who have a sibling; their centres are at cosine .55, their faces at about .35."""
HARD_SHARE = 0.06
"""Faces turned away, blurred or covered; they share a direction with the junk."""
MOST_FACES_PER_PHOTO = 4
BLOCK_ROWS = 8192


@dataclass(frozen=True, slots=True)
class People(Columns):
    """Faces, and who they are."""

    embeddings: NDArray[np.float32]
    """Unit vectors, shape (n_faces, 512)."""
    people: NDArray[np.int64]
    """Who each face is, shape (n_faces,); a piece of junk is a person with one face."""


@dataclass(frozen=True, slots=True)
class Faces(People):
    """A library of faces."""

    photos: NDArray[np.int64]
    """The photo of each face, shape (n_faces,); nobody is in a photo twice."""


def make_faces(n_faces: int, seed: int) -> Faces:
    """Return faces in random order; the same number and seed give the same faces."""
    random = np.random.default_rng(seed)
    n_junk = int(JUNK_SHARE * n_faces)
    sizes = _sizes(n_faces - n_junk, random)
    modes, mode_of = _modes(sizes, random)
    people = np.concatenate([np.repeat(np.arange(len(sizes)), sizes), len(sizes) + np.arange(n_junk)])
    embeddings = np.empty((n_faces, N_DIMS), dtype=np.float32)
    blur = _directions(1, random)
    for start in range(0, n_faces, BLOCK_ROWS):
        faces = np.arange(start, min(start + BLOCK_ROWS, n_faces))
        is_junk = faces >= n_faces - n_junk
        centres = np.where(is_junk[:, None], blur, modes[mode_of[np.minimum(faces, len(mode_of) - 1)]])
        embeddings[faces] = _samples(centres, is_junk, blur, random)
    order = random.permutation(n_faces)
    return Faces(embeddings[order], people[order], _photos(people[order], random))


def _sizes(n_faces: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return the faces of each person, `n_faces` together."""
    possible = np.arange(1, max(2, n_faces // LARGEST_SHARE + 1))
    shares = possible**-TAIL
    sizes = random.choice(possible, size=n_faces, p=shares / shares.sum())
    n_people = int(np.searchsorted(np.cumsum(sizes), n_faces)) + 1
    sizes = sizes[:n_people]
    sizes[-1] -= sizes.sum() - n_faces
    return sizes


def _modes(sizes: NDArray[np.int64], random: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the centres that faces lie around, and the centre of each face: people change over the years."""
    centres = _directions(len(sizes), random)
    kin = random.permutation(len(sizes))[: 2 * int(KIN_SHARE * len(sizes) / 2)].reshape(2, -1)
    centres[kin[1]] = _unit(0.55 * centres[kin[0]] + np.sqrt(1 - 0.55**2) * centres[kin[1]])
    n_modes = np.where(sizes >= 12, random.integers(2, 5, size=len(sizes)), 1)
    person_of = np.repeat(np.arange(len(sizes)), n_modes)
    apart = np.where(n_modes == 1, 0.0, 0.53)[person_of][:, None]
    modes = _unit(centres[person_of] + apart * _directions(len(person_of), random))
    first = np.cumsum(n_modes) - n_modes
    person_of_face = np.repeat(np.arange(len(sizes)), sizes)
    mode_of = first[person_of_face] + (random.random(len(person_of_face)) * n_modes[person_of_face]).astype(np.int64)
    return modes, mode_of


def _samples(
    centres: NDArray[np.float32], is_junk: NDArray[np.bool_], blur: NDArray[np.float32], random: np.random.Generator
) -> NDArray[np.float32]:
    """Return one face around each centre."""
    n_faces = len(centres)
    is_hard = random.random(n_faces) < HARD_SHARE
    noise = np.exp(random.normal(np.log(0.62), 0.15, size=n_faces))
    noise[is_hard] = random.uniform(1.2, 3.0, size=int(is_hard.sum()))
    noise[is_junk] = random.uniform(1.5, 4.0, size=int(is_junk.sum()))
    blurred = np.where(is_hard & ~is_junk, random.uniform(0.0, 0.6, size=n_faces), 0.0)
    faces = centres + blurred[:, None] * blur + noise[:, None] * _directions(n_faces, random)
    return _unit(faces).astype(np.float32)


def _photos(people: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """Return a photo for each face, one to four faces in each."""
    sizes = random.integers(1, MOST_FACES_PER_PHOTO + 1, size=len(people))
    photos = np.repeat(np.arange(len(people)), sizes)[: len(people)]
    order = np.lexsort((people, photos))
    is_twice = np.zeros(len(people), dtype=bool)
    is_twice[order[1:]] = (np.diff(photos[order]) == 0) & (np.diff(people[order]) == 0)
    photos[is_twice] = len(people) + np.arange(is_twice.sum())
    return photos


def _directions(n: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Return random unit vectors of the spectrum, float32, shape (n, 512)."""
    deviations = np.exp(-np.arange(N_DIMS) / (2 * DECAY)).astype(np.float32)
    return _unit(random.standard_normal((n, N_DIMS), dtype=np.float32) * deviations)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float32, copy=False)


@dataclass(frozen=True, slots=True)
class Tracks(People):
    """Children who grow up beside their brothers and sisters."""

    families: NDArray[np.int64]
    days: NDArray[np.int64]
    """When each face was taken."""


OWN, LOOKS, TURN = 0.2, 0.9, 7.5
"""What of a face is the person's for ever, what the family's at that age, and by how many degrees that turns a year."""


def make_tracks(n_families: int, seed: int, *, faces_a_year: int = 4, years: int = 16) -> Tracks:
    """Return the faces of two children a family, one three to six years younger, over so many years.

    A child's middle is sqrt(OWN) of its own and sqrt(LOOKS) of how the family looks at that age: the younger one at 5
    is nearer to the older one at 5 than that is to itself at 15.
    """
    random = np.random.default_rng(seed)
    own, young, old = (_directions(2 * n_families, random) for _ in range(3))
    people, years_of = np.divmod(np.arange(2 * n_families * years * faces_a_year), years * faces_a_year)
    families, when = people // 2, years_of / faces_a_year + random.random(len(people)) / faces_a_year
    ages = 1.0 + when - np.where(people % 2, random.uniform(3, 6, n_families)[families], 0.0)
    is_born = ages > 0
    people, families, when, ages = people[is_born], families[is_born], when[is_born], ages[is_born]
    angle = np.deg2rad(TURN * ages)[:, None]
    looks = np.cos(angle) * young[families] + np.sin(angle) * old[families]
    noise = np.exp(random.normal(np.log(0.62), 0.15, size=len(people)))[:, None] * _directions(len(people), random)
    faces = _unit((np.sqrt(OWN) * own[people] + np.sqrt(LOOKS) * looks + noise).astype(np.float32))
    return Tracks(faces, people, families, 2_450_000 + (365 * when).astype(np.int64))
