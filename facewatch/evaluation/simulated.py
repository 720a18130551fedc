"""A simulated user: names the largest people while photos arrive, then answers the questions of `review` truthfully."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facewatch.catalog import NOBODY
from facewatch.evaluation.ways import Arrival, Library, OpenApp, scratch, shuffled_batches
from facewatch.people.corrections import Decisions
from facewatch.people.review.answers import Answer
from facewatch.people.review.coverage import Coverage
from facewatch.people.review.question import Question
from facewatch.people.review.session import Review
from facewatch.types import Tier

if TYPE_CHECKING:
    from facewatch.app import App
    from facewatch.evaluation.labelled import Sample

N_LARGEST = 20
"""People whom the user names."""
N_ANSWERS = 50
MOST_ANSWERS = 300
"""So many are given, after those, in the hope that the largest people are complete."""
COMPLETE = 0.99
"""Of somebody's faces that are good enough to be matched."""
NEARLY_ALL = 0.75
"""Of the faces that are seen of a group: then its person is plain, and the others are seen to be somebody else."""
STRANGER = -1
"""The true person of a face that has no label."""


@dataclass(frozen=True, slots=True)
class Named:
    """How well the named people are known; of labelled faces only."""

    n_people: int
    """True people who have a name."""
    n_in: int
    """Labelled faces that belong to somebody with a name."""
    n_right: int
    """Of those, the ones that are theirs."""
    n_known: int
    """Faces of the people who had a name before the questions that belong to them."""
    n_theirs: int
    """Faces of those people."""

    @property
    def precision(self) -> float:
        return self.n_right / self.n_in if self.n_in else 1.0

    @property
    def recall(self) -> float:
        return self.n_known / self.n_theirs if self.n_theirs else 1.0


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Labelled faces, good enough to be matched, that belonged to nobody with a name before the questions."""

    n_faces: int
    n_settled: int
    """Of those, the ones that do afterwards."""

    @property
    def share(self) -> float:
        return self.n_settled / self.n_faces if self.n_faces else 1.0


@dataclass(frozen=True, slots=True)
class Churn:
    """Faces that had a person and have another one, or none, because photos came.

    That a group which no user touched grows, or becomes one with another, does not count.
    """

    n_faces: int
    """That had a person when the last photos came."""
    n_changed: int
    """Over all batches."""

    @property
    def share(self) -> float:
        return self.n_changed / self.n_faces if self.n_faces else 0.0


class Churns(NamedTuple):
    """Churn by whether a user had decided about the person."""

    decided: Churn
    """Of people with a name, hidden or touched by the user."""
    others: Churn


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many answers it takes until each of the largest people has `COMPLETE` of their faces."""

    n_people: int
    n_complete: int
    """Of them, when the last answer was given."""
    n_answers: int | None
    """After so many answers all were complete; None: not after as many as were given."""
    n_given: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a user who names and answers makes of photos that arrive."""

    method: str
    before: Named
    """When all photos are there and no question was answered."""
    after: Named
    unsettled: Unsettled
    n_at_most: int
    """Of the unsettled faces, those of as many people as there are answers, the largest: what naming each of them
    with one answer would settle."""
    expected: tuple[Coverage, ...]
    """How much the questions said that more and more answers would settle, before the first was answered."""
    of_named: Unsettled
    """Only faces of people who had a name before the questions."""
    answers: Mapping[str, int]
    """How often each was given, by kind of question and answer: "is yes"."""
    n_namings: int
    """How often the user gave a name while photos came, or joined a group to a name."""
    wanted: Wanted
    churn: Churns
    seconds: float

    @property
    def n_answers(self) -> int:
        return sum(self.answers.values())

    @property
    def share_of_missing(self) -> float:
        """Of the faces that the named people lacked, the share that they gained."""
        missing = self.before.n_theirs - self.before.n_known
        return (self.after.n_known - self.before.n_known) / missing if missing else 1.0


def simulate(
    sample: Sample,
    open_app: OpenApp,
    method: str,
    arrival: Arrival,
    *,
    n_largest: int = N_LARGEST,
    n_answers: int = N_ANSWERS,
    most_answers: int = MOST_ANSWERS,
    n_wanted: int | None = None,
    batch_done: Callable[[], None] = lambda: None,
) -> Simulation:
    """Return how it goes when photos arrive in random order in batches: after a third of them, and again after two
    thirds, the user names everybody who is one of the largest people, and when all are there answers questions.

    Args:
        n_answers: after how many of them it is measured what they did.
        most_answers: with how many, those included, it is tried to make the largest people complete.
        n_wanted: how many of the largest people those are; None: those whom the user names.
        batch_done: called after each batch.
    """
    started = perf_counter()
    batches = shuffled_batches(sample.photos, arrival)
    namings = {len(batches) // 3, 2 * len(batches) // 3}
    with scratch(open_app) as app:
        user = _User(app, sample, _largest(sample, n_largest))
        churn = ChurnWatch(user.library)
        for number, batch in enumerate(batches):
            if number in namings:
                user.name_people()
            with churn.watching():
                user.library.add(batch)
                app.grouping.recluster(method=method)
            batch_done()
        if len(batches) < 3:
            user.name_people()
        goal = _Goal(user, _largest(sample, n_largest if n_wanted is None else n_wanted))
        return _question_time(user, method, n_answers, most_answers, goal, churn, started)


def _largest(sample: Sample, n_largest: int) -> set[int]:
    """Return the people with most labelled faces; of equal ones those whose names come first."""
    counts = np.bincount(sample.person, minlength=len(sample.names))
    order = np.argsort(-counts, kind="stable")[:n_largest]
    return {int(person) for person in order if counts[person]}


class _Goal:
    """Sees after how many answers each of these people is complete."""

    def __init__(self, user: _User, people: Collection[int]) -> None:
        self._user = user
        self._people = people
        self._reached: int | None = None
        self._n_given = 0
        self._check()

    @property
    def is_reached(self) -> bool:
        return self._reached is not None

    def _check(self) -> None:
        if not self.is_reached and self._n_complete() == len(self._people):
            self._reached = self._n_given

    def answered(self) -> None:
        self._n_given += 1
        self._check()

    def wanted(self) -> Wanted:
        return Wanted(len(self._people), self._n_complete(), self._reached, self._n_given)

    def _n_complete(self) -> int:
        shares = self._user.known_of(self._people)
        return sum(share >= COMPLETE for share in shares)


def _question_time(
    user: _User, method: str, n_answers: int, most_answers: int, goal: _Goal, churn: ChurnWatch, started: float
) -> Simulation:
    truth, named = user.truth(), user.named()
    before = user.measure(truth, named)
    open_faces = user.unsettled(truth)
    sizes = Counter(truth[face_id] for face_id in open_faces)
    review = user.review()
    expected = review.coverage()
    answers = user.answer_questions(review, n_answers, goal.answered)
    still_open = user.unsettled(user.truth())
    of_named = {face_id for face_id in open_faces if truth[face_id] in named}
    after = user.measure(truth, named)
    while not goal.is_reached and goal.wanted().n_given < most_answers:
        if not user.answer_questions(review, 1, goal.answered):
            break
    return Simulation(
        method=method,
        before=before,
        after=after,
        unsettled=Unsettled(len(open_faces), len(open_faces - still_open)),
        n_at_most=sum(n for _, n in sizes.most_common(n_answers)),
        expected=tuple(expected),
        of_named=Unsettled(len(of_named), len(of_named - still_open)),
        answers=dict(sorted(answers.items())),
        n_namings=user.n_namings,
        wanted=goal.wanted(),
        churn=churn.churns(),
        seconds=perf_counter() - started,
    )


@dataclass(frozen=True, slots=True)
class _Said:
    """What the user says to a question."""

    answer: Answer
    name: str = ""
    """Who it is that the odd faces are not."""
    odd: tuple[int, ...] = ()


class _User:
    """Somebody who knows everybody, and says so truthfully."""

    def __init__(self, app: App, sample: Sample, largest: Collection[int]) -> None:
        self.library = Library(app)
        self._app = app
        self._catalog = app.catalog
        self._sample = sample
        self._largest = largest
        self._number = {name: number for number, name in enumerate(sample.names)}
        self.n_namings = 0

    def truth(self) -> dict[int, int]:
        """Return who each labelled face that is there truly is."""
        rows, face_ids = self.library.rows(self._sample)
        return dict(zip(face_ids, self._sample.person[rows].tolist(), strict=True))

    # --- naming ---

    def name_people(self) -> None:
        """Name each group that is mostly one of the largest people; a second one of the same name joins the first."""
        truth, faces_of = self.truth(), self.library.faces_of()
        with self.deciding() as decisions:
            for person in self._catalog.people.all():
                if person.name is None and (who := _majority(faces_of.get(person.id, ()), truth)) in self._largest:
                    name = self._sample.names[who]
                    decisions.rename(str(person.id), name, may_merge=name in self._catalog.people.names().values())
                    self.n_namings += 1

    @contextmanager
    def deciding(self) -> Iterator[Decisions]:
        """Yield what makes decisions, which are followed as the app does it; there are no folders."""
        decisions = Decisions(self._catalog)
        yield decisions
        for one in decisions.made:
            if one.entry_id is not None:
                self._app.identities.forget_gallery()
                self._app.identities.rematch(one.people, one.released + one.faces, one.entry_id)

    # --- answering ---

    def review(self) -> Review:
        app = self._app
        return Review(self._catalog, app.engine.id, app.engine.info, deciding=self.deciding, undo=app.corrections.undo)

    def answer_questions(
        self, review: Review, n_answers: int, answered: Callable[[], None] = lambda: None
    ) -> Counter[str]:
        """Answer the best questions one after the other, call `answered` after each and return how often what was said.

        Faces that were seen not to belong to what was named are rejected, which counts as one answer more.
        """
        truth, given = self.truth(), Counter[str]()
        while given.total() < n_answers and (question := review.next()) is not None:
            said = self.answer(question, truth)
            review.answer(question, said.answer)
            given[f"{question.kind} {said.answer.verb}"] += 1
            answered()
            if said.odd and given.total() < n_answers:
                with self.deciding() as decisions:
                    decisions.reject([str(face_id) for face_id in said.odd], said.name)
                given[f"{question.kind} reject"] += 1
                answered()
        return given

    def answer(self, question: Question, truth: Mapping[int, int]) -> _Said:
        """Return the truth as somebody sees it who looks at the faces.

        Where all are right the answer is yes, where none is it is no, and what is mixed is divided. A group can only
        be answered as a whole: when nearly all that is seen of it is one person it is that person, and the odd faces
        are rejected; else it is skipped, as is a group of somebody whom nobody knows. Single faces of such people
        stay with nobody.
        """
        said = {"is": self._is, "one": self._one, "still": self._is, "who": self._who, "strangers": self._strangers}
        return said[question.kind](question, truth)

    def _is(self, question: Question, truth: Mapping[int, int]) -> _Said:
        asked = self._number.get(question.labels[0], STRANGER)
        faces_of = self.library.faces_of()
        faces = [*question.loose, *(face_id for group in question.groups for face_id in faces_of.get(group, ()))]
        n_right = sum(truth.get(face_id, STRANGER) == asked for face_id in faces)
        if n_right in (0, len(faces)):
            return _Said(Answer("yes" if n_right else "no"))
        if len(question.loose) + len(question.groups) > 1:
            return _Said(Answer("divide"))
        who, odd = seen_to_be(question.faces, truth)
        return _Said(Answer("yes"), question.labels[0], odd) if who == asked else _Said(Answer("skip"))

    def _one(self, question: Question, truth: Mapping[int, int]) -> _Said:
        faces_of = self.library.faces_of()
        one, other = (seen_to_be(faces_of.get(person_id, ()), truth)[0] for person_id in question.people)
        if None in (one, other):
            return _Said(Answer("skip"))
        return _Said(Answer("yes" if one == other != STRANGER else "no"))

    def _who(self, question: Question, truth: Mapping[int, int]) -> _Said:
        who, odd = seen_to_be(question.faces, truth)
        if who is None or who == STRANGER:
            return _Said(Answer("skip" if who is None or question.people else "hide"))
        name = self._sample.names[who]
        return _Said(Answer("name", name), name, odd)

    def _strangers(self, question: Question, truth: Mapping[int, int]) -> _Said:
        faces_of = self.library.faces_of()
        faces = [face_id for group in question.people for face_id in faces_of.get(group, ())]
        return _Said(Answer("skip" if any(face_id in truth for face_id in faces) else "hide"))

    # --- measuring ---

    def named(self) -> set[int]:
        """Return the true people who have a name."""
        return {self._number[name] for name in self._catalog.people.names().values()}

    def measure(self, truth: Mapping[int, int], named_before: Collection[int]) -> Named:
        names, people = self._catalog.people.names(), self.library.people()
        said = {f: self._number[names[p]] for f in truth if (p := people.get(f, NOBODY)) in names}
        theirs = [face_id for face_id, person in truth.items() if person in named_before]
        return Named(
            n_people=len(set(said.values())),
            n_in=len(said),
            n_right=sum(truth[face_id] == person for face_id, person in said.items()),
            n_known=sum(said.get(face_id) == truth[face_id] for face_id in theirs),
            n_theirs=len(theirs),
        )

    def known_of(self, people: Collection[int]) -> list[float]:
        """Return for each of these true people the share of their faces that belongs to them under their name; of
        those that are good enough to be matched."""
        truth, names = self.truth(), self._catalog.people.names()
        n_theirs, n_known = Counter[int](), Counter[int]()
        for face_id, person in self._matchable():
            if (who := truth.get(face_id, STRANGER)) in people:
                n_theirs[who] += 1
                n_known[who] += names.get(person) == self._sample.names[who]
        return [n_known[who] / n_theirs[who] if n_theirs[who] else 1.0 for who in people]

    def unsettled(self, truth: Collection[int]) -> set[int]:
        """Return the labelled faces, good enough to be matched, that belong to nobody with a name."""
        names = self._catalog.people.names()
        return {face_id for face_id, person in self._matchable() if face_id in truth and person not in names}

    def _matchable(self) -> Iterator[tuple[int, int]]:
        """Yield the faces that are good enough to be matched, and whose they are."""
        table = self.library.table()
        can_match = table.tiers != Tier.SHOW.value
        yield from zip(table.ids[can_match].tolist(), table.people[can_match].tolist(), strict=True)


def _majority(faces: Collection[int], truth: Mapping[int, int]) -> int:
    """Return who more than half of the labelled faces are."""
    counts = Counter(truth[face_id] for face_id in faces if face_id in truth)
    who, n = counts.most_common(1)[0] if counts else (STRANGER, 0)
    return who if 2 * n > counts.total() else STRANGER


def seen_to_be(faces: Collection[int], truth: Mapping[int, int]) -> tuple[int | None, tuple[int, ...]]:
    """Return who nearly all of these are, and those who are not; None: they are several people."""
    who, n = Counter(truth.get(face_id, STRANGER) for face_id in faces).most_common(1)[0] if faces else (None, 0)
    if n < NEARLY_ALL * len(faces):
        return None, ()
    return who, tuple(face_id for face_id in faces if truth.get(face_id, STRANGER) != who)


class ChurnWatch:
    """Records which faces change their person while photos arrive."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._n_changed = Counter[bool]()
        """By whether a user had decided about the person before; so is `_n_faces`."""
        self._n_faces = Counter[bool]()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count what changes inside."""
        people = self._library.catalog.people
        before, decided = self._library.people(), {p.id for p in people.all() if not p.is_machine_made}
        yield
        after = self._library.people()
        self._n_faces.clear()
        for face_id, person_id in before.items():
            is_decided, lives_in = person_id in decided, person_id
            while not is_decided and (into := people.merged_into(lives_in)) is not None:
                lives_in = into
            self._n_faces[is_decided] += 1
            self._n_changed[is_decided] += after.get(face_id) != lives_in

    def churns(self) -> Churns:
        return Churns(*(Churn(self._n_faces[is_decided], self._n_changed[is_decided]) for is_decided in (True, False)))


def rows_of(simulation: Simulation) -> list[tuple[str, str, str]]:
    """Return what was measured for people to read: what it is, the number, and what it is made of."""

    def row(what: str, share: float, n: int, n_of: int) -> tuple[str, str, str]:
        return what, f"{share:.4f}", f"{n} of {n_of} faces"

    before, after, wanted = simulation.before, simulation.after, simulation.wanted
    gained, missing = after.n_known - before.n_known, before.n_theirs - before.n_known
    whens = (("before", before), ("after", after))
    settled = (
        ("of faces of nobody with a name", simulation.unsettled),
        ("of those whose person had a name", simulation.of_named),
    )
    churn = (("named, hidden or touched", simulation.churn.decided), ("other", simulation.churn.others))
    n_at_most, n_faces = simulation.n_at_most, simulation.unsettled.n_faces
    most = f"the most that naming {simulation.n_answers} people could assign"
    return [
        *(row(f"precision of named people {when}", one.precision, one.n_right, one.n_in) for when, one in whens),
        *(row(f"recall of those named before, {when}", one.recall, one.n_known, one.n_theirs) for when, one in whens),
        row("gained of what they lacked", simulation.share_of_missing, gained, missing),
        *(row(f"assigned by the answers, {what}", one.share, one.n_settled, one.n_faces) for what, one in settled),
        row(most, n_at_most / max(1, n_faces), n_at_most, n_faces),
        *(
            (f"expected to be assigned by {one.n_answers} answers", f"{one.share:.4f}", f"{one.n_faces:.0f} faces")
            for one in simulation.expected
        ),
        *(row(f"faces of {who} people that moved", one.share, one.n_changed, one.n_faces) for who, one in churn),
        (
            f"answers until the {wanted.n_people} largest people have {COMPLETE:g} of their faces",
            f"over {wanted.n_given}" if wanted.n_answers is None else str(wanted.n_answers),
            f"{wanted.n_complete} of them have; {simulation.n_namings} names were given while photos came",
        ),
        ("answers", str(simulation.n_answers), ", ".join(f"{n} {what}" for what, n in simulation.answers.items())),
    ]
