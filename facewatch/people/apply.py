"""What follows a correction: gallery, pool and folders are brought in line with it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from facewatch.errors import EngineError, FolderError
from facewatch.folders.sheet import drop_from_sheet
from facewatch.indexing.pictures import PictureStore
from facewatch.people.corrections import Decisions
from facewatch.people.record import Decided, Renamed
from facewatch.people.undo import History, Undone

if TYPE_CHECKING:
    from facewatch.catalog import Catalog, Entry
    from facewatch.folders.sync import PeopleFolder
    from facewatch.indexing.engine import WantedEngine
    from facewatch.people.drawing import Drawing
    from facewatch.people.identities import Identities
    from facewatch.people.lookup import Lookup
    from facewatch.types import Box

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _DueRematch:
    """Faces of the pool that may be somebody else's since a decision."""

    people: tuple[int, ...]
    """Those who look like one of these."""
    faces: tuple[int, ...]
    """And these."""
    entry_id: int | None
    """The decision."""


@dataclass(frozen=True, slots=True)
class _Due:
    """What follows from decisions."""

    people: frozenset[int]
    """Who is not what they were."""
    rematches: tuple[_DueRematch, ...]


@dataclass(eq=False)
class Corrections:
    """Makes corrections and takes them back; pool and folders follow each."""

    catalog: Catalog
    engine: WantedEngine
    identities: Identities
    folder: PeopleFolder
    lookup: Lookup
    drawing: Drawing
    _is_later: bool = field(default=False, init=False)
    _due: list[_Due] = field(default_factory=list, init=False)
    """What is to follow later."""
    _unshown: set[int] = field(default_factory=set, init=False)
    """Whose folders are to follow later."""

    @contextmanager
    def following_later(self) -> Iterator[None]:
        """Of decisions made inside the pool and the folders follow by `match_due` and `show_due`, not at once. Where
        nobody comes to that, because the process is killed, the next scan does it."""
        before, self._is_later = self._is_later, True
        try:
            yield
        finally:
            self._is_later = before

    @property
    def is_later(self) -> bool:
        """Whether decisions are made now whose consequences follow later."""
        return self._is_later

    def match_due(self) -> set[int]:
        """Match the pool again where that was to follow later; belongs before the next decision, because what is
        matched is part of the one that it follows from. Returns who gained faces."""
        gained: set[int] = set()
        while self._due:
            due = self._due.pop(0)
            self._unshown |= due.people
            self.identities.renew(due.people)
            for rematch in due.rematches:
                gained |= self._match_again(rematch)
        self._unshown |= gained
        return gained

    def show_due(self) -> None:
        """Let the folders follow where that was to be later.

        Raises:
            FolderError: it is decided, but the folders do not show it.
        """
        people, self._unshown = self._unshown, set()
        self.show_in_folders(people)

    @contextmanager
    def deciding(self) -> Iterator[Decisions]:
        """Yield what makes decisions; at the end the pool is matched again and the folders follow.

        Raises:
            FolderError: the decisions stand, but the people folder cannot be written.
        """
        decisions = Decisions(self.catalog, photo_of=self.lookup.photo_id, link_at=self.lookup.link_at)
        try:
            yield decisions
        except BaseException:
            # What was decided before stands; that its folders cannot follow is not what has to be said now.
            with suppress(FolderError):
                self._follow(decisions.made)
            raise
        self._follow(decisions.made)

    def rename(self, who: str, new: str, *, may_merge: bool = False) -> Renamed:
        """Name a person and move its folder."""
        with self.deciding() as decisions:
            return decisions.rename(who, new, may_merge=may_merge)

    def add_face(self, photo_id: int, box: Box, who: str | None = None, *, is_new: bool = False) -> Decided:
        """Add a face that was missed, from a box in pixels of the upright photo; it is embedded at once.

        Raises:
            NotKnownError: there is no such photo, or nobody is called so.
            DecisionError: no face can be in the box, one is there already, or the photo cannot be read.
            EngineError: the engine is being changed, or cannot be loaded.
        """
        drawn = self.drawing.face_in(photo_id, box)
        with self.deciding() as decisions:
            return decisions.add_face(drawn, who, is_new=is_new)

    def undo(self, n: int = 1) -> Undone:
        """Take back the last decisions, in catalog and folders; see `History`."""
        return self._followed(History(self.catalog).undo(n))

    def undo_one(self, entry_id: int, *, with_chain: bool = False) -> Undone:
        """Take back one decision, and those that build on it; see `History`."""
        return self._followed(History(self.catalog).undo_one(entry_id, with_chain=with_chain))

    def redo(self) -> Undone:
        """Make again what was taken back last; see `History`."""
        return self._followed(History(self.catalog).redo())

    def history(self, who: str | None = None) -> list[Entry]:
        """Return the journal, newest first, of everybody or of one person."""
        return History(self.catalog).entries(person_id=self.lookup.person(who).id if who is not None else None)

    def follow(self, people: Collection[int]) -> None:
        """Let gallery and folders follow from what was decided about these people.

        Raises:
            FolderError: it is decided, but the folders do not show it.
        """
        self._let_follow(_Due(frozenset(people), ()))

    def show_in_folders(self, people: Collection[int]) -> None:
        """Let the folders of these people follow from what was decided about them.

        Raises:
            FolderError: it is decided, but the folders do not show it.
        """
        with self._shown_in_the_end(people):
            pass

    def _follow(self, decided: Iterable[Decided]) -> None:
        """Let gallery, folders and pool follow from decisions."""
        made = [one for one in decided if one.entry_id is not None]
        for one in made:
            if one.action == "forget":
                photos = {row.photo_id for row in self.catalog.faces.rows(one.faces)}
                PictureStore(self.catalog.path).forget(faces=one.faces, photos=photos)
        unseen = {person_id for one in made if one.action in ("forget", "hide") for person_id in one.people}
        if unseen:
            drop_from_sheet(self.folder.root, unseen)
        people = frozenset(person_id for one in made for person_id in one.people)
        new = (one.faces if one.action == "draw" else () for one in made)
        rematches = (_DueRematch(one.people, faces, one.entry_id) for one, faces in zip(made, new, strict=True))
        self._let_follow(_Due(people, tuple(rematches)))

    def _followed(self, undone: Undone) -> Undone:
        rematch = _DueRematch(undone.people, undone.doubtful, undone.entry_id)
        self._let_follow(_Due(frozenset(undone.people), (rematch,) if undone.doubtful else ()))
        return undone

    def _let_follow(self, due: _Due) -> None:
        if self._is_later:
            self._due.append(due)
            return
        self.identities.renew(due.people)
        with self._shown_in_the_end(due.people) as gained:
            for rematch in due.rematches:
                gained |= self._match_again(rematch)

    @contextmanager
    def _shown_in_the_end(self, people: Collection[int]) -> Iterator[set[int]]:
        """Show in the folders what was decided about these people, then those who gained faces
        meanwhile; the caller adds them to the yielded set.

        Raises:
            FolderError: it is decided, but the folders do not show it; said when all else is done.
        """
        gained: set[int] = set()
        fault: FolderError | None = None
        try:
            self.folder.sync(people)
        except FolderError as error:
            fault = error
        yield gained
        if fault is None:
            try:
                self.folder.sync(gained)
            except FolderError as error:
                fault = error
        if fault is not None:
            raise FolderError(f"it is decided, but the folders do not show it yet: {fault}") from fault

    def _match_again(self, rematch: _DueRematch) -> set[int]:
        """Match the pool again after a decision; returns who gained faces. Decisions need no engine: without one, or
        while it changes, the next scan does it."""
        if self.catalog.engines.in_use_name() != self.engine.name:
            return set()
        try:
            if self.engine.is_switch_under_way:
                return set()
            return self.identities.rematch(rematch.people, rematch.faces, rematch.entry_id)
        except EngineError as error:
            log.info("the pool is matched again by the next scan: %s", error)
            return set()
