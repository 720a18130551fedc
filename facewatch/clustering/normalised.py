"""Groups judged by what they have in common beyond what each has with strangers (S-norm, see `cohort`).

The same steps as in `verify`, on centred vectors: faces are linked, groups whose middles agree become one, single faces
join the group that they are clearly nearest to, and once more. So one set of thresholds serves family photos and film
stills.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from facewatch.cohort import Cohort, are_hubs
from facewatch.types import distance_of

from .average import NOISE, AverageLinkage, FaceSet, JoinRules, Pairs, group_sums, spread
from .twice import mean_within
from .vectors import CentredVectors
from .verify import blocks, cut, edges_of, granted, inside, merge, refine, two_highest, without_small

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from facewatch.types import Doubles, Floats, Ints, Normalisation

MOST_LEAD = 0.15
"""More of a lead over the next group is no more evidence."""
ROUNDS = 2
"""Rounds of joining single faces and groups; a third changes nothing on LFW."""
MEASURED_FACES = 3_000
"""The limits were measured in a library of so many faces and hold up to there: of a smaller one most people are yet to
come, and a single face has only strangers to join."""
_LEFTOVERS_AT_ONCE = 1024


def refine_normalised(
    proposal: Ints,
    faces: FaceSet,
    graph: csr_matrix,
    rules: JoinRules,
    normalisation: Normalisation,
) -> Ints:
    """Return what `verify.refine` does, judged by normalised similarities.

    Whom a method proposed together are no strangers to each other. The arguments are those of `verify.refine`; the
    faces come in an order that has nothing to do with who they are.
    """
    limits = _for_size(normalisation, len(faces))
    edges = edges_of(graph)
    known = refine(proposal, faces, graph, rules) if limits.link is None else proposal
    cohort = Cohort.of(faces.embeddings, alone(known), normalisation)
    centred = CentredVectors(faces.embeddings, cohort)
    judged = FaceSet(centred, faces.photos, cohort.similarity(centred, alone(known)))
    products = cohort.centred_products(faces.embeddings, edges.left, edges.right, edges.dots)
    normalised = Pairs(edges.left, edges.right, products)
    labels, linking = known, replace(rules, likeness=limits.likeness, singleton_penalty=limits.singleton_penalty)
    if limits.link is not None:
        linking = replace(linking, ceiling=distance_of(limits.link))
        labels = cut(proposal, normalised.take(inside(proposal, edges)), judged, linking)
        labels = merge(labels, normalised, judged, linking)
    joining = replace(linking, ceiling=distance_of(limits.merge), singleton_penalty=0.0)
    labels = _merge_middles(labels, normalised, judged, joining, cohort)
    for _ in range(ROUNDS):
        labels = _attach(labels, judged, cohort, limits)
        labels = _merge_middles(labels, normalised, judged, joining, cohort)
    labels = _merge_in_company(labels, edges, faces, rules)
    return without_small(labels, rules.min_faces)


class MiddleLinkage(AverageLinkage):
    """Groups that are joined when their middles are alike, beyond what each middle has with strangers."""

    def __init__(self, labels: Ints, faces: FaceSet, rules: JoinRules, cohort: Cohort) -> None:
        n_groups = int(labels.max(initial=-1)) + 1
        self._cohort = cohort
        self._lengths, self._with_strangers = np.ones(n_groups), np.zeros(n_groups)
        super().__init__(labels, faces, rules)

    def _spreads(self, pairs: Pairs, means: Doubles) -> Doubles:
        cosines = pairs.dots / (self._lengths[pairs.left] * self._lengths[pairs.right])
        return spread(cosines - (self._with_strangers[pairs.left] + self._with_strangers[pairs.right]) / 2.0)

    def _update_within(self, groups: Ints) -> None:
        super()._update_within(groups)
        self._lengths[groups] = np.maximum(1e-6, np.sqrt(self._dots(groups, groups)))
        middles = (self._sums[groups] / self._lengths[groups, None]).astype(np.float32)
        self._with_strangers[groups] = self._cohort.regrouped(alone(self.labels)).similarity(middles, groups)


def _merge_middles(labels: Ints, edges: Pairs, faces: FaceSet, rules: JoinRules, cohort: Cohort) -> Ints:
    """Return the groups after those whose middles agree have become one; only pairs with an edge are compared."""
    linkage = MiddleLinkage(labels, faces, rules, cohort)
    return without_small(linkage.join(linkage.pairs_along(edges)), 2)


def _merge_in_company(labels: Ints, edges: Pairs, faces: FaceSet, rules: JoinRules) -> Ints:
    """Return the groups after those that are one person twice in some photos have become one; see `twice`, whose
    limits hold for similarities as they come."""
    linkage = AverageLinkage(labels, faces, rules)
    pairs = linkage.pairs_along(edges)
    return without_small(linkage.join(pairs.take(linkage.in_company(pairs)), across_photos=True), 2)


def _attach(labels: Ints, faces: FaceSet, cohort: Cohort, normalisation: Normalisation) -> Ints:
    """Return the groups with each single face added to the group whose middle it is near, and clearly nearest."""
    if (labels == NOISE).all():
        return labels
    sums = group_sums(labels, faces.embeddings)
    middles = sums / np.maximum(1e-6, np.linalg.norm(sums, axis=1, keepdims=True))
    near, farthest = cohort.regrouped(alone(labels)).similarities(middles, np.arange(len(middles)))
    sizes = np.bincount(labels[labels != NOISE], minlength=len(sums))
    members = _likeness_of_members(np.einsum("ij,ij->i", sums, sums).astype(np.float64), sizes)
    needed = near / 2.0 + np.maximum(normalisation.attach, normalisation.outlier * (members - near))
    # A group of poor faces, which is near everybody, would draw in face after face.
    needed[are_hubs(sums, sizes, farthest)] = np.inf
    return granted(labels, sorted(_wishes(labels, faces, middles, needed, normalisation)), faces.photos)


def _wishes(
    labels: Ints,
    faces: FaceSet,
    middles: Floats,
    needed: NDArray[np.floating],
    normalisation: Normalisation,
) -> Iterator[tuple[float, int, int]]:
    """Yield how far (nearest first), face and group for each face outside the groups that has a clearly nearest one."""
    assert faces.strangers is not None
    for leftovers in blocks(np.flatnonzero(labels == NOISE), _LEFTOVERS_AT_ONCE):
        # How much more alike than is needed.
        more = faces.embeddings[leftovers] @ middles.T - needed.astype(np.float32)
        nearest, best, next_best = two_highest(more - faces.strangers[leftovers, None] / 2.0)
        lead = np.minimum(best - next_best, MOST_LEAD)
        is_clear = (best >= 0) & (best + lead >= normalisation.no_rival_bonus - normalisation.attach)
        for row in np.flatnonzero(is_clear):
            yield -float(best[row]), int(leftovers[row]), int(nearest[row])


def _likeness_of_members(squares: Doubles, sizes: Ints) -> Doubles:
    """Return the cosine that a face of each group has with the middle of the others, on average."""
    within = mean_within(squares, sizes, math.sqrt(2.0))
    others = sizes - 1
    likeness: Doubles = within / np.sqrt(np.maximum(1e-6, (1.0 + (others - 1) * within) / others))
    return likeness


def _for_size(limits: Normalisation, n_faces: int) -> Normalisation:
    """Return the limits for a library of so many faces: the more, the nearer is the best of all strangers."""
    by = limits.per_decade * math.log10(max(MEASURED_FACES, n_faces) / MEASURED_FACES)
    return replace(
        limits,
        singleton_penalty=limits.singleton_penalty + by,
        merge=limits.merge + by,
        attach=limits.attach + by,
        no_rival_bonus=limits.no_rival_bonus + by,
    )


def alone(labels: Ints) -> Ints:
    """Return the labels with a number of its own for each face that has none."""
    return np.where(labels == NOISE, len(labels) + np.arange(len(labels)), labels)
