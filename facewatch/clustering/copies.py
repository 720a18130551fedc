"""Copies of one picture (re-saved, made smaller, a burst): they count as one piece of evidence.

To a method that goes by density two copies are a crowd: HDBSCAN takes them for a cluster of their own and tears the
person whom they show. So one of them takes part for all, and is in the photos of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix

from facewatch.columns import Columns

if TYPE_CHECKING:
    from facewatch.types import Ints

SAME = 5e-4
"""Two vectors that are as near as this are equal but for rounding, of any engine."""


@dataclass(frozen=True, slots=True)
class Places(Columns):
    """Which face is in which photo, row by row; a face that takes part for its copies is in the photos of all."""

    faces: Ints
    photos: Ints
    """Numbered 0, 1, 2..."""

    def are_together(self, n_faces: int) -> csr_matrix:
        """Return a matrix that has an entry where two of so many faces have a photo in common."""
        n_photos = int(self.photos.max(initial=-1)) + 1
        present = csr_matrix((np.ones(len(self.faces), np.int32), (self.faces, self.photos)), shape=(n_faces, n_photos))
        return (present @ present.T).tocsr()

    def of_faces(self, rows: Ints) -> Places:
        """Return the places of these faces, ascending, which are numbered by their rows here from then on."""
        at = np.minimum(np.searchsorted(rows, self.faces), len(rows) - 1)
        is_there = rows[at] == self.faces
        return Places(at[is_there], self.photos[is_there])

    def in_company(self) -> Places:
        """Return the places in photos of several faces: only they can be in conflict."""
        return self.take(np.bincount(self.photos)[self.photos] > 1) if len(self.photos) else self


Photos = NDArray[np.int64] | Places
"""The photo of each face, any integers; or the places of faces that may be in several."""


def places_of(photos: Photos) -> Places:
    if isinstance(photos, Places):
        return photos
    return Places(np.arange(len(photos)), np.unique(photos, return_inverse=True)[1].astype(np.int64))


def same_pictures(checksums: NDArray[np.uint64], photos: Ints) -> Ints:
    """Return for each face the first that is equal to it, its own row where there is none before.

    Equal faces of one photo stay apart, as all faces of one photo do: the second is a copy of the second elsewhere.

    Args:
        checksums: equal for equal faces; in ascending order, and of equal ones the photos, too.
    """
    is_again = (np.diff(checksums, prepend=~checksums[:1]) == 0) & (np.diff(photos, prepend=photos[:1]) == 0)
    rows = np.arange(len(checksums))
    turn = rows - np.maximum.accumulate(np.where(is_again, 0, rows))
    value = np.cumsum(np.diff(checksums, prepend=checksums[:1]) != 0)
    _, first, which = np.unique(value * (len(rows) + 1) + turn, return_index=True, return_inverse=True)
    return first[which].astype(np.int64)


def near_pictures(near: csr_matrix, places: Places) -> Ints:
    """Return for each face the one that it is a copy of, its own row where it is none.

    That is the nearest of those that are copies of nobody themselves; a face of an earlier photo never is a copy of
    one of a later. So no chain of copies leads from one face to quite another.

    Args:
        near: distances between faces that are near enough to be copies.
    """
    original = np.arange(near.shape[0])
    in_photos: dict[int, set[int]] = {int(face): set() for face in np.flatnonzero(np.diff(near.indptr))}
    for face, photo in zip(places.faces.tolist(), places.photos.tolist(), strict=True):
        if face in in_photos:
            in_photos[face].add(photo)
    seen: set[int] = set()
    for face in sorted(in_photos, key=lambda face: (min(in_photos[face]), face)):
        row = slice(near.indptr[face], near.indptr[face + 1])
        for other in near.indices[row][np.argsort(near.data[row], kind="stable")].tolist():
            if other in seen and in_photos[other].isdisjoint(in_photos[face]):
                original[face] = other
                in_photos[other] |= in_photos[face]
                break
        else:
            seen.add(face)
    return original


def without_copies(graph: csr_matrix, original: Ints) -> csr_matrix:
    """Return the graph over the originals alone. Where copies stand in the places of an original's other neighbours,
    the edges that its copies have count."""
    originals, row_of = np.unique(original, return_inverse=True)
    is_copy = original != np.arange(len(original))
    own = graph[originals][:, originals]
    copies = graph[np.flatnonzero(is_copy)].tocoo()
    rows, columns = row_of[is_copy][copies.row], row_of[copies.col]
    order = np.lexsort((copies.data, columns, rows))
    is_first = np.diff(rows[order] * len(originals) + columns[order], prepend=-1) != 0
    first = order[is_first & (rows[order] != columns[order])]
    rows, columns, lengths = rows[first], columns[first], copies.data[first]
    is_missing = np.asarray(own[rows, columns]).ravel() == 0 if len(first) else np.zeros(0, np.bool_)
    if not is_missing.any():
        return own
    missing = coo_matrix((lengths[is_missing], (rows[is_missing], columns[is_missing])), shape=own.shape).tocsr()
    return (own + missing.maximum(missing.T)).tocsr()


def places_of_originals(places: Places, row_of: Ints) -> Places:
    """Return in which photos the originals are, without photos that show nobody whom another does not.

    A copy of a photo, or of a part of it, says nothing about who is not whom that the photo does not say.

    Args:
        row_of: the row of each face's original.
    """
    there = np.unique(np.stack([places.photos, row_of[places.faces]]), axis=1)
    places = Places(there[1], there[0])
    is_several = np.bincount(places.faces)[places.faces] > 1
    shown: dict[int, set[int]] = {}
    touched = places.take(np.isin(places.photos, places.photos[is_several]))
    for face, photo in zip(touched.faces.tolist(), touched.photos.tolist(), strict=True):
        shown.setdefault(photo, set()).add(face)
    return places.take(~np.isin(places.photos, _redundant(shown)))


def _redundant(shown: Mapping[int, set[int]]) -> list[int]:
    """Return the photos whose faces are all in another one, which is not redundant itself."""
    photos_of: dict[int, list[int]] = {}
    redundant = []
    for photo in sorted(shown, key=lambda photo: (-len(shown[photo]), photo)):
        fewest = min((photos_of.get(face, []) for face in shown[photo]), key=len)
        if any(shown[photo] <= shown[other] for other in fewest):
            redundant.append(photo)
            continue
        for face in shown[photo]:
            photos_of.setdefault(face, []).append(photo)
    return redundant
