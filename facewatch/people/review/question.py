"""A question of the review."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from facewatch import ids
from facewatch.folders.asked import Asked

Kind = Literal["which", "is", "one", "still", "who", "strangers"]


@dataclass(frozen=True, slots=True)
class Question:
    """Something that one answer settles."""

    id: str
    """Says what it is about: the same question has the same id as long as it is open."""
    kind: Kind
    """which: faces of a photo, one of which a user said is a person; is: faces and groups that may be a person; one:
    two people who may be one; still: faces of somebody with a name who may be somebody else; who: somebody without a
    name."""
    text: str
    people: tuple[int, ...]
    """which: the person, or nobody if it is somebody new; is: the person, then the groups that may be it; one: the
    larger first; still: the person; who: the person, or nobody; strangers: groups without a name."""
    labels: tuple[str, ...]
    """What those are called."""
    faces: tuple[int, ...]
    """Faces to show, best first: every one of `loose`, and some of each group or person."""
    loose: tuple[int, ...]
    """Single faces that it is about: of the pool, or for still those of the person that may be somebody else."""
    n_faces: int
    """Faces that the answer is about."""
    chance: float
    """How probable the expected answer is, 0 to 1."""
    settles: float
    """Faces that were open and belong to somebody afterwards, on average; none for still."""
    distance: float
    """Of the nearest face or group from the person; between the two; from the person's other faces; 0 for others."""
    dropped: Asked | None = None
    """which: the photo in the person's folder."""

    @property
    def groups(self) -> tuple[int, ...]:
        """The people without a name who may be the person that is asked about."""
        return self.people[1:] if self.kind == "is" else ()

    @property
    def puts_right(self) -> float:
        """Faces that are taken from somebody who they are not, on average."""
        return (1.0 - self.chance) * self.n_faces if self.kind == "still" else 0.0


@dataclass(frozen=True, slots=True)
class Subset:
    """Faces and groups that were asked about together with others, and were not all the same."""

    kind: Kind
    person_id: int
    loose: frozenset[int]
    groups: frozenset[int]


def id_of(kind: Kind, person_id: int, loose: Iterable[int], groups: Iterable[int]) -> str:
    """Return the id of a question whether these faces and groups are a person."""
    return f"{kind}:{ids.person(person_id)}:{digest(loose, groups)}"


def text_of(kind: Kind, label: str, n_faces: int) -> str:
    """Return the words of a question whether so many faces are a person who is called so."""
    faces = "is this face" if n_faces == 1 else f"are these {n_faces} faces"
    return f"{faces} of {label} really {label}?" if kind == "still" else f"{faces} {label}?"


def digest(loose: Iterable[int], groups: Iterable[int]) -> str:
    """Return a few letters that only these faces and groups have."""
    said = f"{sorted(loose)} {sorted(groups)}"
    return hashlib.sha256(said.encode()).hexdigest()[:6]
