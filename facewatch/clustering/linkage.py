"""Average linkage by itself: as a method that proposes connected components, and as a tree to be cut."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse.csgraph import connected_components

from .average import spread
from .base import GraphClusterer

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from facewatch.types import Doubles, Flags, Ints

STRICT = 0.9
"""The strict distance, as a share of the one that the engine groups by; docs/evaluation.md."""

NATURAL_GAP = 0.13
"""How much farther apart than what stays together are the parts of an obvious cut, as a share of that distance."""


@dataclass(kw_only=True)
class LinkageClusterer(GraphClusterer):
    """Connected components only, before the refinement; needs only scipy; the baseline of the other methods."""

    def propose(self, graph: csr_matrix) -> Ints:
        _, component_of = connected_components(graph, directed=False)
        return np.asarray(component_of, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class LinkageTree:
    """Which units join which, nearest first: nodes 0, 1, 2... are units, those behind them are joins of two.

    Units that may never be together are below different roots.
    """

    n_units: int
    sizes: list[int]
    """Faces below each node; what users assigned counts as many."""
    heights: list[float]
    """The mean distance at which each node came to be; never less than those below it."""
    children: dict[int, tuple[int, int]]

    @classmethod
    def over(cls, sums: Doubles, sizes: Ints, is_barred: Flags, *, has_block: bool) -> LinkageTree:
        weights = sizes.tolist()
        if has_block:
            weights[0] = max(weights[0], int(sizes.sum()))
        tree = cls(len(sums), weights, [0.0] * len(sums), {})
        nodes = list(range(len(sums)))
        for a, b, height in sorted(_joins(sums, sizes, is_barred), key=lambda join: join[2]):
            left, right = nodes[a], nodes[b]
            nodes[a] = len(tree.heights)
            tree.children[nodes[a]] = (left, right)
            tree.sizes.append(tree.sizes[left] + tree.sizes[right])
            tree.heights.append(height)
        return tree

    def roots(self) -> list[int]:
        below = {child for pair in self.children.values() for child in pair}
        return [node for node in range(len(self.heights)) if node not in below]

    def units_below(self, node: int) -> list[int]:
        todo, units = [node], []
        while todo:
            one = todo.pop()
            if one < self.n_units:
                units.append(one)
            todo += self.children.get(one, ())
        return sorted(units)

    def joints(self, least: int) -> list[int]:
        """Return the joins of two that hold at least so many faces each, the farthest first."""
        joints = [node for node, pair in self.children.items() if min(self.sizes[child] for child in pair) >= least]
        return sorted(joints, key=lambda node: (-self.heights[node], -node))

    def without(self, joints: Collection[int], least: int) -> tuple[list[list[int]], list[list[int]]]:
        """Return the groups of units after these joints were taken apart, and what hangs above them or is smaller than
        `least` faces, which is no group."""
        groups, loose, todo = list[list[int]](), list[list[int]](), self.roots()
        above = self._above(joints)
        while todo:
            node = todo.pop()
            if node in above:
                todo += self.children[node]
            else:
                (groups if self.sizes[node] >= least else loose).append(self.units_below(node))
        return sorted(groups), sorted(loose)

    def _above(self, joints: Collection[int]) -> set[int]:
        """Return the joints and all nodes that they are below of."""
        parents = {child: node for node, pair in self.children.items() for child in pair}
        above = set(joints)
        for joint in joints:
            node = parents.get(joint)
            while node is not None and node not in above:
                above.add(node)
                node = parents.get(node)
        return above


def _joins(sums: Doubles, sizes: Ints, is_barred: Flags) -> Iterator[tuple[int, int, float]]:
    """Yield (unit that grows, unit that is gone, mean distance) for all joins of average linkage, in any order that has
    those below before those above.

    The way from nearest neighbour to nearest neighbour ends with two that are each other's; joining those at once gives
    what joining the nearest two of all would give (Murtagh 1983). To be barred is to be infinitely far, which holds
    for the joined as soon as it holds for one: the condition of that.
    """
    dots, n_faces = sums @ sums.T, sizes.astype(np.float64)
    dots[is_barred] = -np.inf
    np.fill_diagonal(dots, -np.inf)
    heights, beyond = np.zeros((2, len(sums)))
    """Of each unit; what is gone is infinitely far."""
    is_open = np.ones(len(sums), np.bool_)
    way: list[int] = []
    while is_open.any():
        way = way or [int(is_open.argmax())]
        here = way[-1]
        # Row by row, when they are asked for: all at once would have to be brought up to date by columns, which lie far
        # apart in memory (three quarters of the time), and would take as much room again.
        distances = spread(dots[here] / (n_faces * n_faces[here])) + beyond
        nearest = int(distances.argmin())
        if len(way) > 1 and distances[way[-2]] <= distances[nearest]:
            nearest = way[-2]
        if not np.isfinite(distances[nearest]):
            is_open[here] = False
            way = []
        elif len(way) == 1 or nearest != way[-2]:
            way.append(nearest)
        else:
            way = way[:-2]
            into, gone = min(here, nearest), max(here, nearest)
            # Rounding may put a join a hair below what it is made of.
            heights[into] = max(float(distances[nearest]), heights[into], heights[gone])
            yield into, gone, float(heights[into])
            dots[into] += dots[gone]
            dots[:, into] = dots[into]
            n_faces[into] += n_faces[gone]
            is_open[gone], beyond[gone] = False, np.inf


def cut_tree(
    tree: LinkageTree, ceiling: float, *, into: int | None, is_strict: bool
) -> tuple[list[list[int]], list[list[int]]]:
    """Return the groups of units that are the parts, and those units that follow the nearest of them."""
    if is_strict:
        return tree.without([j for j in tree.joints(1) if tree.heights[j] > ceiling * STRICT], 1)
    obvious = _obvious(tree, ceiling)
    if into is None:
        return tree.without(obvious, 1)
    n_roots = len(tree.roots())
    if n_roots + len(obvious) == into:
        return tree.without(obvious, 1)
    # A single face that is far from all others should not be taken for the second of two people.
    for least in (2, 1):
        joints = tree.joints(least)
        n_large = sum(tree.sizes[root] >= least for root in tree.roots())
        if n_large + len(joints) >= into:
            break
    return tree.without(joints[: max(0, into - n_large)], least)


def _obvious(tree: LinkageTree, ceiling: float) -> list[int]:
    """Return the joints above the widest gap between distances that the engine would not group; none when it is
    narrow."""
    joints = [joint for joint in tree.joints(1) if tree.heights[joint] > ceiling]
    heights = [*(tree.heights[joint] for joint in joints), ceiling]
    gaps = [above - below for above, below in pairwise(heights)]
    if not gaps or max(gaps) < ceiling * NATURAL_GAP:
        return []
    return joints[: gaps.index(max(gaps)) + 1]
