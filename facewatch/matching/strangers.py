"""How alike two are beside what each of them has with strangers: see `cohort`. It is told; matching does not ask it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from facewatch.cohort import MOST_MEMBERS, MOST_OF_ONE, Cohort

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from facewatch.matching.member import Member
    from facewatch.types import Normalisation


@dataclass(frozen=True, slots=True)
class Evidence:
    """How alike two are, as cosines of centred vectors."""

    similarity: float
    strangers: float
    """What the two have with strangers, on the mean."""

    @property
    def normalised(self) -> float:
        return self.similarity - self.strangers


class Strangers:
    """Known people as strangers of each other: few faces of each, and of many people not all."""

    def __init__(self, members: Mapping[int, Member], normalisation: Normalisation) -> None:
        """`members` may change later; who the strangers are stays."""
        self._members = members
        vectors: list[NDArray[np.float32]] = []
        groups: list[int] = []
        for person_id in np.random.default_rng(0).permutation(sorted(members)).tolist():
            # What its poor faces have with others says nothing of it.
            few = members[person_id].founding[:MOST_OF_ONE]
            vectors.append(few)
            groups += [person_id] * len(few)
            if len(groups) >= MOST_MEMBERS:
                break
        self._cohort = Cohort.of(np.concatenate(vectors), np.array(groups, np.int64), normalisation)

    @property
    def n_faces(self) -> int:
        """Faces that stand for all."""
        return len(self._cohort)

    def of_face(self, embedding: NDArray[np.float32], own_id: int, person_id: int) -> Evidence:
        """Return how alike a face and a person are.

        Args:
            own_id: whose the face is; any number that is nobody's: it is nobody's.
        """
        return self._evidence(self._cohort.centred(embedding[None])[0], self._middle(person_id), own_id, person_id)

    def of_people(self, one: int, other: int) -> Evidence:
        """Return how alike two people are as a whole."""
        return self._evidence(self._middle(one), self._middle(other), one, other)

    def _middle(self, person_id: int) -> NDArray[np.float32]:
        total = self._cohort.centred(self._members[person_id].founding).sum(axis=0)
        middle: NDArray[np.float32] = total / max(float(np.linalg.norm(total)), 1e-6)
        return middle

    def _evidence(self, vector: NDArray[np.float32], middle: NDArray[np.float32], one: int, other: int) -> Evidence:
        # Neither of them is a stranger to the other here.
        groups = self._cohort.groups
        cohort = replace(self._cohort, groups=np.where(groups == one, other, groups))
        strangers = cohort.similarity(np.stack([vector, middle]), np.array([other, other]))
        return Evidence(float(vector @ middle), float(strangers.mean()))
