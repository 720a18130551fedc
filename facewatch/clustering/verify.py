"""Refines the clusters of any method so that wrong merges are rare: labels in, labels out.

A proposal is cut, cleaned, merged with others that agree, and joined by leftovers. Everything is decided by the spread
between groups that `average` explains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facewatch.columns import slices
from facewatch.cores import on_all_cores

from .average import NOISE, AverageLinkage, FaceSet, JoinRules, Pairs, group_sums, spread
from .copies import Photos, places_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from facewatch.types import Doubles, Flags, Floats, Ints, Vectors

BLOCK_ROWS = 1024
"""Leftover faces compared with all groups at a time: 1024 x 12 000 groups of float32 are 50 MB."""

FACES_OF_PART = 8_192
"""Faces that are cut by themselves: 16 MB of 512-D vectors."""

FACES_AT_ONCE = 256
"""Faces compared with their own groups at a time: 1 MB of 512-D vectors, which stay in a processor's cache."""


def refine(proposal: Ints, faces: FaceSet, graph: csr_matrix, rules: JoinRules) -> Ints:
    """Return the labels that survive: clusters cut, cleaned, merged, and joined by leftovers; -1 is noise.

    Args:
        proposal: a method's labels, shape (n_faces,), -1 is noise.
        graph: symmetric distances, at least those of each face's neighbours under the ceiling.
        rules: when faces may be one person.
    """
    edges = edges_of(graph)
    labels = cut(proposal, edges.take(inside(proposal, edges)), faces, rules)
    labels = expel_far_faces(labels, faces.embeddings, rules.ceiling)
    labels = merge(labels, edges, faces, rules)
    labels = reassign(labels, edges, faces, rules)
    labels = attach_leftovers(labels, faces, rules)
    labels = merge(labels, edges, faces, rules, across_photos=True)
    labels = expel_far_faces(labels, faces.embeddings, rules.ceiling)
    return without_small(labels, rules.min_faces)


def inside(proposal: Ints, edges: Pairs) -> Flags:
    """Return which edges are between faces that were proposed as one group."""
    is_inside = np.empty(len(edges), np.bool_)
    for some in slices(len(edges)):
        groups = proposal[edges.left[some]]
        is_inside[some] = (groups == proposal[edges.right[some]]) & (groups != NOISE)
    return is_inside


def cut(proposal: Ints, edges: Pairs, faces: FaceSet, rules: JoinRules) -> Ints:
    """Return the groups of two and more that average linkage makes of the single faces of each proposed one.

    Each is cut by itself, some at a time, which needs less memory than all at once.
    """
    labels = np.arange(len(faces))
    part_of = _parts_of(proposal)[edges.left]
    order = np.argsort(part_of, kind="stable")
    parts = np.split(order, 1 + np.flatnonzero(np.diff(part_of[order])))

    def cut_part(part: Ints) -> None:
        inner = edges.take(part)
        members = np.unique(np.concatenate([inner.left, inner.right]))
        left, right = np.searchsorted(members, inner.left), np.searchsorted(members, inner.right)
        linkage = AverageLinkage(np.arange(len(members)), faces.take(members), rules)
        found = linkage.join(Pairs(left, right, inner.dots))
        labels[members] = np.where(found == NOISE, NOISE, members[found])

    on_all_cores(cut_part, [part for part in parts if len(part)])
    return without_small(labels, 2)


def _parts_of(proposal: Ints) -> NDArray[np.unsignedinteger]:
    """Return the part that each face is in: whole proposed groups, of about `FACES_OF_PART` faces together."""
    parts = (np.cumsum(np.bincount(proposal + 1)) - 1) // FACES_OF_PART
    # As small as they can be, numbers of edges are sorted sooner and in less room.
    return parts.astype(np.min_scalar_type(int(parts.max(initial=0))))[proposal + 1]


def merge(labels: Ints, edges: Pairs, faces: FaceSet, rules: JoinRules, *, across_photos: bool = False) -> Ints:
    """Return the groups after those that agree have become one, whatever cluster they were proposed in."""
    linkage = AverageLinkage(labels, faces, rules)
    pairs = linkage.pairs_along(edges)
    return without_small(linkage.join(pairs, across_photos=across_photos), 2)


def expel_far_faces(labels: Ints, embeddings: Vectors, ceiling: float) -> Ints:
    """Return the groups without faces whose spread to the rest of their group is above the ceiling, farthest first."""
    labels = labels.copy()
    sums, sizes = group_sums(labels, embeddings), np.bincount(labels[labels != NOISE])
    faces = np.flatnonzero(labels != NOISE)
    to_others = products(embeddings, sums, faces, labels[faces]) - 1.0
    is_far = spread(to_others / np.maximum(1, sizes[labels[faces]] - 1)) > ceiling
    suspects = np.unique(labels[faces[is_far]])
    members = faces[np.isin(labels[faces], suspects)]
    members = members[np.argsort(labels[members], kind="stable")]
    for group in np.split(members, np.flatnonzero(np.diff(labels[members])) + 1):
        labels[_far_faces(group, embeddings, ceiling)] = NOISE
    return without_small(labels, 2)


def reassign(labels: Ints, edges: Pairs, faces: FaceSet, rules: JoinRules) -> Ints:
    """Return the groups after each face that fits another group clearly better than its own has moved there.

    Groups that no edge of the face leads to are not compared. All faces move at once, so nothing goes in circles.
    After average linkage hardly a face moves: none of LFW's.
    """
    ends = np.concatenate([edges.left, edges.right]).astype(np.int64), labels[np.concatenate([edges.right, edges.left])]
    is_other = (labels[ends[0]] != NOISE) & (ends[1] != NOISE) & (labels[ends[0]] != ends[1])
    n_groups = int(labels.max(initial=0)) + 1
    keys = np.sort(ends[0][is_other] * n_groups + ends[1][is_other])
    movers, others = np.divmod(keys[np.diff(keys, prepend=-1) != 0], n_groups)
    sums, sizes = group_sums(labels, faces.embeddings), np.bincount(labels[labels != NOISE])
    own = spread((products(faces.embeddings, sums, movers, labels[movers]) - 1.0) / (sizes[labels[movers]] - 1))
    to_other = spread(products(faces.embeddings, sums, movers, others) / sizes[others])
    is_near = to_other + rules.singleton_penalty / sizes[others] <= rules.ceiling
    is_clear = is_near & (own - to_other >= rules.margin)
    wishes = sorted(zip(to_other[is_clear].tolist(), movers[is_clear].tolist(), others[is_clear].tolist(), strict=True))
    return without_small(granted(labels, wishes, faces.photos), 2)


def attach_leftovers(labels: Ints, faces: FaceSet, rules: JoinRules) -> Ints:
    """Return the groups with each face that had none added to its nearest one, if that is near and clearly nearest."""
    if (labels == NOISE).all():
        return labels
    return granted(labels, sorted(_wishes(labels, faces.embeddings, rules)), faces.photos)


def granted(labels: Ints, wishes: list[tuple[float, int, int]], photos: Photos) -> Ints:
    """Return the labels after each face went to the first group it wished that has no face in its photo."""
    places = places_of(photos).in_company()
    taken = set(zip(labels[places.faces].tolist(), places.photos.tolist(), strict=True))
    in_photos: dict[int, list[int]] = {}
    for face, photo in zip(places.faces.tolist(), places.photos.tolist(), strict=True):
        in_photos.setdefault(face, []).append(photo)
    labels, moved = labels.copy(), set()
    for _, face, group in wishes:
        wanted = {(group, photo) for photo in in_photos.get(face, ())}
        if face not in moved and wanted.isdisjoint(taken):
            labels[face] = group
            taken |= wanted
            moved.add(face)
    return labels


def without_small(labels: Ints, min_faces: int) -> Ints:
    """Return the groups of at least so many faces, numbered 0, 1, 2... in the order of their numbers before."""
    sizes = np.bincount(labels[labels != NOISE], minlength=1)
    is_kept = sizes >= min_faces
    renamed = np.where(is_kept, np.cumsum(is_kept) - 1, NOISE)
    return np.where(labels == NOISE, NOISE, renamed[labels])


def _wishes(labels: Ints, embeddings: Vectors, rules: JoinRules) -> Iterator[tuple[float, int, int]]:
    """Yield spread, face and group for each face outside the groups that has a near and clearly nearest group."""
    sizes = np.bincount(labels[labels != NOISE])
    means = np.asarray(group_sums(labels, embeddings) / sizes[:, None].astype(np.float32), np.float32)
    doubts = rules.singleton_penalty / sizes
    for faces in blocks(np.flatnonzero(labels == NOISE), BLOCK_ROWS):
        nearest, highest, next_highest = two_highest(embeddings[faces] @ means.T)
        best, runner_up = (spread(cosines.astype(np.float64)) for cosines in (highest, next_highest))
        is_clear = (best + doubts[nearest] <= rules.ceiling) & (runner_up - best >= rules.margin)
        for row in np.flatnonzero(is_clear):
            yield float(best[row]), int(faces[row]), int(nearest[row])


def two_highest(
    cosines: Floats,
) -> tuple[Ints, Floats, Floats]:
    """Return the column of the highest of each row, it, and the next highest (-1: there is none); changes the array."""
    nearest, rows = cosines.argmax(axis=1), np.arange(len(cosines))
    best = cosines[rows, nearest]
    cosines[rows, nearest] = -1.0
    return nearest, best, cosines.max(axis=1)


def products(embeddings: Vectors, sums: Floats, faces: Ints, groups: Ints) -> Doubles:
    """Return the product of each face with the sum of a group: the sum of its cosines with all members."""
    products = np.empty(len(faces))
    for rows in blocks(np.arange(len(faces))):
        products[rows] = np.einsum("ij,ij->i", embeddings[faces[rows]], sums[groups[rows]])
    return products


def _far_faces(group: Ints, embeddings: Vectors, ceiling: float) -> Ints:
    """Return the faces that have to leave a group until the spread of each to the others is at most the ceiling."""
    vectors = embeddings[group].astype(np.float64)
    cosines = vectors @ vectors.sum(axis=0) - 1.0
    is_member = np.ones(len(group), dtype=bool)
    for n_others in range(len(group) - 1, 0, -1):
        farthest = int(np.where(is_member, cosines, np.inf).argmin())
        if spread(cosines[farthest] / n_others) <= ceiling:
            break
        is_member[farthest] = False
        cosines -= vectors @ vectors[farthest]
    return group[~is_member]


def edges_of(graph: csr_matrix) -> Pairs:
    """Return every edge of a symmetric graph once, as a pair of single faces."""
    rows = rows_of(graph)
    once = rows < graph.indices
    rows, columns, cosines = rows[once], graph.indices[once], graph.data[once]
    # In place: 1 - distance**2 / 2.
    np.square(cosines, out=cosines)
    cosines /= -2.0
    cosines += 1.0
    return Pairs(rows, columns, cosines)


def rows_of(graph: csr_matrix) -> NDArray[np.int32]:
    """Return the row of each entry."""
    return np.repeat(np.arange(graph.shape[0], dtype=np.int32), np.diff(graph.indptr))


def blocks(faces: Ints, n_at_once: int = FACES_AT_ONCE) -> Iterator[Ints]:
    yield from (faces[start : start + n_at_once] for start in range(0, len(faces), n_at_once))
