"""Which questions are open, best first: what a user could settle with one key each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facewatch import ids
from facewatch.catalog import Catalog, FaceTable, Person
from facewatch.matching import distances
from facewatch.matching.chances import (
    chance_of_group,
    nearest_rows,
    second_part,
)
from facewatch.people.review.question import Question, Subset, digest, id_of, text_of
from facewatch.people.review.scene import (
    N_SHOWN,
    UNKNOWN,
    PersonPair,
    PoolFace,
    Scene,
    alike_in_pool,
    faces_by_person,
    has_user_decided,
    is_undecided,
    near_people,
    nearest_pair,
)
from facewatch.people.review.which import which_questions
from facewatch.types import EngineInfo

if TYPE_CHECKING:
    from facewatch.types import Ints

_LIKELY = 0.2
"""A yes as probable as this is worth more than its faces, see `_worth`; `facewatch evaluate --simulate-user`."""
_CHANCE_OF_STRANGERS = 0.9
"""Hardly any person's group is taken for a hub, see `cohort`."""
_MOST_CHANCE_OF_STILL = 0.8
"""Faces more probably their person than this are not asked about; `facewatch evaluate --simulate-user`."""
_LARGER = 2
"""Times that those asked about can outnumber those that users assigned: a few hard ones cast no doubt."""
_WRONG = 5.0
"""Settled faces that a wrong one is worth: it draws others after it; `facewatch evaluate --simulate-user`."""
_LEAST_CHANCE_OF_NAMED = 0.5
"""Two people who both have a name must be this probably one: a user has probably compared them already."""
_MOST_CANDIDATES = 256
"""Faces of the pool that one person is asked about at a time; the rest comes up when these are answered."""


@dataclass(frozen=True, slots=True)
class _Atom:
    """Faces of the pool that lie near each other, or a group, that may be a person."""

    faces: tuple[int, ...]
    """Of the pool."""
    group: int | None
    n_faces: int
    photos: frozenset[int]
    chance: float
    distance: float


def open_questions(
    catalog: Catalog,
    engine_id: int,
    info: EngineInfo,
    *,
    parts: Collection[Subset] = (),
    table: FaceTable | None = None,
    n_open: int | None = None,
) -> list[Question]:
    """Return every question that is open, best first.

    Nobody is asked about again that was said to be somebody else, and nobody who is in a photo with the other and does
    not look like it. What a user said in the people folder and left unclear comes first, then two people who both have
    a name: no run makes them one. Groups that are near everybody come last, and before that one question is about all
    of them.

    Args:
        parts: what is asked about apart, because it was not all the same.
        table: all faces of the library as this engine sees them; None: they are read.
        n_open: how many faces are open; None: they are counted.
    """
    if table is None:
        table = catalog.faces.load(engine_id, n_dims=info.n_dims)
    scene = Scene(catalog, table, info)
    about_known = list(_is_questions(scene, [part for part in parts if part.kind == "is"]))
    likely = {face_id for question in about_known if question.chance >= _LIKELY for face_id in question.loose}
    still = _still_questions(scene, [part for part in parts if part.kind == "still"])
    strangers = _strangers_questions(scene)
    questions = [*about_known, *_one_questions(scene), *still, *_who_questions(scene, likely), *strangers]
    worth = _worth(scene, questions, catalog.faces.n_open() if n_open is None else n_open)
    names = catalog.people.names()

    def is_of_named(question: Question) -> bool:
        return question.kind == "one" and all(person_id in names for person_id in question.people)

    def is_of_hub(question: Question) -> bool:
        return question.kind == "who" and not scene.hubs.isdisjoint(question.people)

    best_first = sorted(questions, key=lambda q: (not is_of_named(q), is_of_hub(q), -worth(q), q.id))
    return [*which_questions(catalog), *best_first]


def _worth(scene: Scene, questions: Iterable[Question], n_open: int) -> Callable[[Question], float]:
    """Return what says how much an answer is worth: the share that it settles of all faces that are open, and, where
    somebody who has a name probably gains them, also the share of all that such people would gain. Faces that somebody
    loses who they are not count `_WRONG` times.

    By their number alone the few faces that the people lack whom a user cares for would wait behind every stranger
    with many photos.
    """
    likely = {
        question.id: question.settles
        for question in questions
        if question.kind == "is" and question.chance >= _LIKELY and scene.people[question.people[0]].name is not None
    }
    n_likely = sum(likely.values())

    def worth(question: Question) -> float:
        of_named = likely[question.id] / n_likely if question.id in likely else 0.0
        return (question.settles + _WRONG * question.puts_right) / max(1, n_open) + of_named

    return worth


# --- is it somebody who is known? ---


def _is_questions(scene: Scene, parts: Collection[Subset]) -> Iterator[Question]:
    """Yield the questions whether faces and groups are somebody whom a user has named or hidden."""
    candidates: dict[int, list[_Atom]] = defaultdict(list)
    for person_id, rows in faces_by_person(scene).items():
        candidates[person_id] += _near_each_other(scene, rows, person_id, parts)
    for person_id, atom in _groups_by_person(scene):
        candidates[person_id].append(atom)
    for person_id, atoms in candidates.items():
        for together in _by_part(person_id, atoms, parts):
            for chosen in _in_questions(together):
                yield _is_question(scene, person_id, chosen)


def _near_each_other(
    scene: Scene, candidates: Sequence[PoolFace], person_id: int, parts: Collection[Subset]
) -> Iterator[_Atom]:
    """Yield the candidates of one person, those together that look like each other: probably all are it, or none."""
    best = sorted(candidates, key=lambda one: (-one.chance, one.row))[:_MOST_CANDIDATES]
    faces = [int(scene.table.ids[one.row]) for one in best]
    part = [next((n for n, p in enumerate(parts) if p.person_id == person_id and i in p.loose), -1) for i in faces]
    vectors = scene.table.embeddings[[one.row for one in best]]
    is_near = distances(vectors @ vectors.T) < scene.thresholds.cluster - scene.thresholds.singleton_penalty
    photos = [int(scene.table.photos[one.row]) for one in best]
    left = list(range(len(best)))
    while left:
        own = [left.pop(0)]
        for i in list(left):
            if part[i] == part[own[0]] and is_near[own, i].all() and photos[i] not in {photos[k] for k in own}:
                own.append(i)
                left.remove(i)
        yield _Atom(
            faces=tuple(faces[i] for i in own),
            group=None,
            n_faces=len(own),
            photos=frozenset(photos[i] for i in own),
            chance=float(np.mean([best[i].chance for i in own])),
            distance=min(best[i].distance for i in own),
        )


def _groups_by_person(scene: Scene) -> Iterator[tuple[int, _Atom]]:
    """Yield the people without a name that may be somebody known, with that person."""
    for pair in scene.likely_pairs:
        group, person = scene.person(pair.row), scene.person(pair.other)
        if has_user_decided(person):
            photos = frozenset(scene.photos_of[group.id])
            yield person.id, _Atom((), group.id, scene.size(group.id), photos, pair.chance, pair.distance)


def _by_part(person_id: int, atoms: Sequence[_Atom], parts: Collection[Subset]) -> Iterator[list[_Atom]]:
    """Yield what may be asked about together."""
    own = [part for part in parts if part.person_id == person_id]
    by_part: dict[int, list[_Atom]] = defaultdict(list)
    for atom in atoms:
        number = next(
            (n for n, part in enumerate(own) if atom.group in part.groups or part.loose & set(atom.faces)), -1
        )
        by_part[number].append(atom)
    yield from by_part.values()


def _in_questions(atoms: Sequence[_Atom]) -> Iterator[list[_Atom]]:
    """Yield what goes into one question each: as much as makes the faces settled by a yes, times its chance, most.

    So a question is large where it is safe and small where it is doubtful.
    """
    left = sorted(atoms, key=lambda atom: (-atom.chance, -atom.n_faces, atom.group or 0, atom.faces))
    while left:
        chosen = [left.pop(0)]
        chance, n_faces, photos = chosen[0].chance, chosen[0].n_faces, set(chosen[0].photos)
        for atom in list(left):
            is_worth_it = chance * atom.chance * (n_faces + atom.n_faces) > chance * n_faces
            if is_worth_it and photos.isdisjoint(atom.photos):
                chosen.append(atom)
                left.remove(atom)
                chance, n_faces = chance * atom.chance, n_faces + atom.n_faces
                photos |= atom.photos
        yield chosen


def _is_question(scene: Scene, person_id: int, atoms: Sequence[_Atom]) -> Question:
    groups = sorted(atom.group for atom in atoms if atom.group is not None)
    loose = tuple(face_id for atom in atoms for face_id in atom.faces)
    shown = [f for atom in atoms for f in (atom.faces if atom.group is None else scene.shown(atom.group))]
    n_faces = sum(atom.n_faces for atom in atoms)
    chance = float(np.prod([atom.chance for atom in atoms]))
    label = scene.people[person_id].label
    people = (person_id, *groups)
    return Question(
        id=id_of("is", person_id, loose, groups),
        kind="is",
        text=text_of("is", label, n_faces),
        people=people,
        labels=tuple(scene.people[p].label for p in people),
        faces=tuple(shown),
        loose=loose,
        n_faces=n_faces,
        chance=chance,
        settles=chance * n_faces,
        distance=min(atom.distance for atom in atoms),
    )


# --- are two people one? ---


def _named_pairs(scene: Scene) -> Iterator[PersonPair]:
    """Yield two people who both have a name and look very much alike."""

    def is_named(person: Person) -> bool:
        return person.name is not None and not person.is_hidden

    for row, possible in near_people(scene, is_named):
        pair = nearest_pair(scene, row, possible)
        if is_named(scene.person(pair.other)) and pair.chance >= _LEAST_CHANCE_OF_NAMED:
            yield pair


def _one_questions(scene: Scene) -> Iterator[Question]:
    unnamed = [pair for pair in scene.likely_pairs if is_undecided(scene.person(pair.other))]
    asked: set[frozenset[int]] = set()
    for pair in (*unnamed, *_named_pairs(scene)):
        if (both := frozenset((pair.row, pair.other))) not in asked:
            asked.add(both)
            yield _one_question(scene, pair)


def _one_question(scene: Scene, pair: PersonPair) -> Question:
    both = (scene.person(pair.row), scene.person(pair.other))
    larger, smaller = sorted(both, key=lambda p: (p.name is None, -scene.size(p.id), p.id))
    n_smaller = scene.size(smaller.id)
    faces = (*scene.shown(larger.id, N_SHOWN // 2), *scene.shown(smaller.id, N_SHOWN // 2))
    low, high = sorted((larger.id, smaller.id))
    return Question(
        id=f"one:{ids.person(low)}:{ids.person(high)}",
        kind="one",
        text=f"are {larger.label} and {smaller.label} the same person?",
        people=(larger.id, smaller.id),
        labels=(larger.label, smaller.label),
        faces=faces,
        loose=(),
        n_faces=n_smaller + scene.size(larger.id),
        chance=pair.chance,
        # It saves the answer who the smaller one is.
        settles=pair.chance * n_smaller,
        distance=pair.distance,
    )


# --- is it still who it was? ---


@dataclass(frozen=True, slots=True)
class _Doubt:
    """Faces that runs assigned to somebody, and that may be somebody else; rows of the table."""

    person_id: int
    rows: Ints
    others: Ints
    """Other faces of the person."""
    distance: float
    """Between the two, in the mean."""
    most: float
    """The chance that they are the person is no higher than this, as a user said."""


def _still_questions(scene: Scene, parts: Collection[Subset]) -> Iterator[Question]:
    """Yield the questions whether faces that runs assigned to somebody who has a name are that person."""
    doubts = [doubt for person in scene.people.values() for doubt in _doubts(scene, person, parts)]
    means = np.array([scene.table.embeddings[doubt.rows].mean(axis=0) for doubt in doubts], np.float32)
    n_dims = scene.table.embeddings.shape[1]
    for start, best, far in nearest_rows(means.reshape(-1, n_dims), scene.profiles.means, 1 + 4):
        for doubt, rows, apart in zip(doubts[start:], best.tolist(), far.tolist(), strict=False):
            near = [(row, d) for row, d in zip(rows, apart, strict=True) if scene.profiles.ids[row] != doubt.person_id]
            # To leave out those that it cannot be only makes it more probable, and takes longer.
            if _chance_of(scene, doubt, near) >= _MOST_CHANCE_OF_STILL:
                continue
            chance = _chance_of(scene, doubt, [(row, d) for row, d in near if _can_be_all(scene, doubt, row)])
            if chance < _MOST_CHANCE_OF_STILL:
                yield _still_question(scene, doubt, chance)


def _doubts(scene: Scene, person: Person, parts: Collection[Subset]) -> Iterator[_Doubt]:
    """Yield what is asked about apart, then the part of all others that is smaller, or that no user confirmed."""
    if person.name is None or person.is_hidden:
        return
    table, rows = scene.table, scene.evidence(person.id)
    free = rows[~table.by_user[rows]]
    left = rows
    for part in parts:
        if part.person_id == person.id and (own := free[np.isin(table.ids[free], list(part.loose))]).size:
            left = np.setdiff1d(left, own)
            if len(others := np.setdiff1d(rows, own)):
                # It was not all the same, so one of the halves is somebody else.
                yield _doubt(table, person, own, others, most=0.5)
    doubtful, others = _parted(table, left)
    if len(doubtful) and len(others):
        yield _doubt(table, person, doubtful, others, most=1.0)


def _doubt(table: FaceTable, person: Person, rows: Ints, others: Ints, *, most: float) -> _Doubt:
    one, other = (table.embeddings[part].mean(axis=0) for part in (rows, others))
    return _Doubt(person.id, rows, others, float(distances(np.array([one @ other], np.float32))[0]), most)


def _parted(table: FaceTable, rows: Ints) -> tuple[Ints, Ints]:
    """Return the part of these rows that may be somebody else, none if they have no two, and the other part."""
    by_user = table.by_user[rows]
    if len(rows) < 2 or by_user.all():
        return rows[:0], rows
    is_second = second_part(table.embeddings[rows], by_user)
    first, second = rows[~is_second], rows[is_second]
    if not by_user.any():
        return (second, first) if len(second) <= len(first) else (first, second)
    return (second, first) if len(second) <= _LARGER * len(first) else _parted(table, second)


def _chance_of(scene: Scene, doubt: _Doubt, others: Iterable[tuple[int, float]]) -> float:
    """Return how probably the faces are their person and none of these others."""
    next_far = min((far for _, far in others), default=UNKNOWN)
    return min(doubt.most, chance_of_group(doubt.distance, next_far, scene.thresholds))


def _can_be_all(scene: Scene, doubt: _Doubt, row: int) -> bool:
    """Whether the faces may be who is in this row of the profiles."""
    return all(scene.can_be(face, int(scene.profiles.ids[row])) for face in doubt.rows.tolist())


def _still_question(scene: Scene, doubt: _Doubt, chance: float) -> Question:
    table, label = scene.table, scene.people[doubt.person_id].label
    alike = table.embeddings[doubt.rows] @ table.embeddings[doubt.others].mean(axis=0)
    # Those least like the person are the most informative.
    faces = tuple(table.ids[doubt.rows[np.argsort(alike, kind="stable")]].tolist())
    n_faces = len(faces)
    return Question(
        id=id_of("still", doubt.person_id, faces, ()),
        kind="still",
        text=text_of("still", label, n_faces),
        people=(doubt.person_id,),
        labels=(label,),
        faces=faces,
        loose=faces,
        n_faces=n_faces,
        chance=chance,
        settles=0.0,
        distance=doubt.distance,
    )


# --- who is this? ---


def _who_questions(scene: Scene, likely: Collection[int]) -> Iterator[Question]:
    """Yield the questions who somebody without a name is, and who faces of the pool are but those that are likely
    somebody known."""
    for person in scene.people.values():
        if is_undecided(person) and (n_faces := scene.size(person.id)):
            yield _who_question(scene, f"who:{ids.person(person.id)}", (person,), scene.shown(person.id), (), n_faces)
    for faces in alike_in_pool(scene, likely):
        # Ids of many would be too long to type.
        known_by = "+".join(map(ids.face, faces)) if len(faces) <= 2 else f"faces:{digest(faces, ())}"
        yield _who_question(scene, f"who:{known_by}", (), faces, faces, len(faces))


def _who_question(
    scene: Scene,
    question_id: str,
    people: Sequence[Person],
    faces: Sequence[int],
    loose: Sequence[int],
    n_faces: int,
) -> Question:
    n_photos = len(scene.photos_of[people[0].id]) if people else n_faces
    return Question(
        id=question_id,
        kind="who",
        text=f"who is this ({n_photos} photo{'' if n_photos == 1 else 's'})?",
        people=tuple(person.id for person in people),
        labels=tuple(person.label for person in people),
        faces=tuple(faces),
        loose=tuple(loose),
        n_faces=n_faces,
        chance=1.0,
        settles=float(n_faces),
        distance=0.0,
    )


# --- is it nobody? ---


def _strangers_questions(scene: Scene) -> Iterator[Question]:
    """Yield the one question whether the groups that are near everybody are faces, and of anybody."""
    groups = sorted(scene.hubs, key=lambda person_id: (-scene.size(person_id), person_id))
    if not groups:
        return
    each = max(1, N_SHOWN // len(groups))
    n_faces = sum(map(scene.size, groups))
    yield Question(
        id=f"strangers:{digest((), groups)}",
        kind="strangers",
        text=f"are these {n_faces} faces no faces, or strangers whom you do not care about?",
        people=tuple(groups),
        labels=tuple(scene.people[person_id].label for person_id in groups),
        faces=tuple(face_id for person_id in groups for face_id in scene.shown(person_id, each)),
        loose=(),
        n_faces=n_faces,
        chance=_CHANCE_OF_STRANGERS,
        settles=_CHANCE_OF_STRANGERS * n_faces,
        distance=0.0,
    )
