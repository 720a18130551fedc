"""Records decisions in the journal, and what each did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from facewatch.catalog import USER, Catalog, FaceRow, Person
from facewatch.ids import label_of

FROM_FOLDER = "folder"
"""What the details of an entry of the journal call where it came from: the people folder."""

_MOST_RECORDED = 50
"""Faces of a decision that the journal names for people to read; what undoes it knows all."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A face that somebody had before a decision."""

    face_id: int
    person_id: int
    who: str
    """What that person was called then."""
    is_let_go: bool
    """A run had assigned it, and that contradicted the decision; else it is a face that the decision was about."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What a decision did."""

    entry_id: int | None
    """Its entry in the journal; None: all of it was so already."""
    action: str
    people: tuple[int, ...]
    """Whom it was about; the first is the one that stands in the command."""
    faces: tuple[int, ...]
    """Faces that it was about or that it moved."""
    released: tuple[int, ...] = ()
    """Faces that a run had assigned and that belong to nobody now, because they contradicted the decision."""
    lost: tuple[Lost, ...] = ()
    """From whom a face was taken, by the user's word or because it contradicted that."""
    photos: tuple[int, ...] = ()
    """Photos that it was about as wholes."""

    @property
    def taken(self) -> dict[str, int]:
        """How many of the faces that it was about it took from whom."""
        return Counter(lost.who for lost in self.lost if not lost.is_let_go)

    @property
    def let_go(self) -> dict[str, int]:
        """How many of the released faces were whose."""
        return Counter(lost.who for lost in self.lost if lost.is_let_go)


@dataclass(frozen=True, slots=True)
class Renamed:
    person: Person
    old_label: str
    merged: Person | None
    """The person that is now part of it."""
    decided: Decided


class Result:
    """What a decision has done so far; called, it says what it did."""

    def __init__(self, action: str, people: list[int]) -> None:
        self.action = action
        self.people = people
        self.faces: list[int] = []
        self.released: list[int] = []
        self.lost: list[Lost] = []
        self.photos: list[int] = []
        self.entry_id: int | None = None

    def __call__(self) -> Decided:
        people = tuple(dict.fromkeys(self.people))
        return Decided(
            self.entry_id,
            self.action,
            people,
            faces=tuple(self.faces),
            released=tuple(self.released),
            lost=tuple(self.lost),
            photos=tuple(self.photos),
        )


class Recorder:
    """Records decisions in the journal, each with what it took from whom."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.made: list[Decided] = []
        """What was decided through this object, for those who have to follow."""
        self._is_one = False
        self._first: int | None = None
        """The entry of what is being decided as one, when there is one."""
        self._reason: Mapping[str, object] = {}
        """What stands in the details of what is being decided as one."""

    @contextmanager
    def _deciding(self, action: str, people: Sequence[int], **details: object) -> Iterator[Result]:
        """Record a decision; the result is complete when it is on record."""
        result = Result(action, list(people))
        catalog, first = self._catalog, self._first
        with catalog.journal.recording(USER, action, parent_id=first, now=catalog.now()) as record:
            yield result
            catalog.people.drop_covers()
            catalog.assignments.forget_guesses()
            record.details.update({name.rstrip("_"): value for name, value in details.items()})
            record.details.update(people=result.people, n_faces=len(result.faces), n_released=len(result.released))
            record.details.update(face_ids=result.faces[:_MOST_RECORDED])
            if result.photos:
                record.details.update(n_photos=len(result.photos), photo_ids=result.photos[:_MOST_RECORDED])
            record.details.update(lost=[asdict(lost) for lost in result.lost[:_MOST_RECORDED]], **self._reason)
        result.entry_id = first if first is not None and record.entry_id is not None else record.entry_id
        if self._is_one:
            self._first = result.entry_id if first is None else first
        self.made.append(result())

    @contextmanager
    def all_or_none(self) -> Iterator[None]:
        """What is decided inside stands as a whole, or nothing of it does."""
        n_before = len(self.made)
        try:
            with self._catalog.write():
                yield
        except BaseException:
            del self.made[n_before:]
            raise

    @contextmanager
    def as_one(self, **reason: object) -> Iterator[None]:
        """What is decided inside is one decision: what is on record first stands for all of it, and takes it back.
        `reason` is recorded with each."""
        self._is_one, self._first, self._reason = True, None, reason
        try:
            yield
        finally:
            self._is_one, self._first, self._reason = False, None, {}

    def _mark_losers(self, rows: Iterable[FaceRow], winner: int | None, result: Result) -> None:
        """Whoever loses a face by a user's word is marked as edited."""
        losing = [row for row in rows if row.person_id != winner]
        self._lose(losing, result)
        losers = list(dict.fromkeys(row.person_id for row in losing if row.person_id is not None))
        self._catalog.people.mark_edited(losers)
        result.people += losers

    def _release(self, rows: Sequence[FaceRow], result: Result) -> None:
        """Unassign these, which contradict the decision."""
        result.released += [row.id for row in rows]
        self._lose(rows, result, is_let_go=True)
        self._catalog.assignments.release([row.id for row in rows])

    def _lose(self, rows: Iterable[FaceRow], result: Result, *, is_let_go: bool = False) -> None:
        """Note from whom these are taken."""
        result.lost += [
            Lost(row.id, row.person_id, self._label(row.person_id), is_let_go)
            for row in rows
            if row.person_id is not None
        ]

    def _label(self, person_id: int | None) -> str:
        if person_id is None:
            return "nobody"
        return self._catalog.people.label(person_id) or label_of(person_id)
