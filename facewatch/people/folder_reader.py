"""Reads the people folder back before it is planned, and decides what follows: at once, when asked to, or never."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from facewatch.errors import FolderError
from facewatch.folders.asked import set_asked
from facewatch.folders.following import follow
from facewatch.folders.observed import Doubt, ReadBack
from facewatch.folders.sync import Concluded
from facewatch.people.dropped import keep_links, still_asked

if TYPE_CHECKING:
    from facewatch.catalog import Catalog
    from facewatch.folders.model import Applied, Plan
    from facewatch.folders.sync import PeopleFolder
    from facewatch.library.roots import Libraries
    from facewatch.people.apply import Corrections
    from facewatch.people.from_folder import LeftAside, Reading
    from facewatch.types import OnDemand

# What reads a meaning into the folder is imported where there is something to read: most syncs find it as it was left.

log = logging.getLogger(__name__)


class EditMode(StrEnum):
    """What is done with what somebody did in the people folder."""

    FOLLOW = "follow"
    """It is decided so."""
    ASK = "ask"
    """It waits until somebody accepts it."""
    IGNORE = "ignore"
    """It is put right."""


WAITING = "folders_waiting"
"""The setting that says what in the people folder waits for a word, for those who only ask; see `Waiting`."""
_OWN = "folders_own"
"""The setting that keeps which files of somebody's own were in the folders of people when they were read last, as JSON,
so that each is said once."""
_MOST_OWN = 1000
"""Of more files it is said each time that they are there."""
_TOLD = "folders_told"
"""The setting that says that somebody was told once that the folder can be edited."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Changes in the people folder from which nothing was concluded yet."""

    n_changes: int
    doubt: Doubt | None
    """Why they are not believed; None: the settings say to ask."""

    def as_text(self) -> str:
        return f"{self.n_changes} {self.doubt.value if self.doubt else ''}"

    @classmethod
    def of(cls, catalog: Catalog) -> Waiting | None:
        """Return what is on record as waiting; None: nothing."""
        n_changes, _, doubt = (catalog.settings.get(WAITING) or "").partition(" ")
        return cls(int(n_changes), Doubt(doubt) if doubt else None) if n_changes else None


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be concluded and done, if nothing else changed."""

    reading: Reading
    plan: Plan


@dataclass(eq=False)
class FolderReader:
    """Reads the people folder back before it is planned; what `PeopleFolder.edits` asks for."""

    catalog: Catalog
    folder: PeopleFolder
    corrections: OnDemand[Corrections]
    libraries: Libraries
    mode: EditMode
    most_changes: int
    say: Callable[[Reading], Sequence[str]]
    """Returns what was concluded in words, for the log."""
    is_said: bool = field(default=False, init=False)
    """Whether whoever calls says what was concluded: then it is not logged, but"""
    readings: list[Reading] = field(default_factory=list, init=False)
    """kept here. A watcher that runs for months must keep none."""
    _is_accepted: bool = field(default=False, init=False)
    _said: frozenset[str] = field(default=frozenset(), init=False)
    """What the log said when the folder was read last: what is left alone is there every time."""

    def accept(self) -> Applied:
        """Bring the folder in line with the catalog, and believe what somebody did in it, however strange it is.

        Raises:
            FolderError: it cannot be written.
        """
        self._is_accepted = True
        try:
            return self.folder.sync()
        finally:
            self._is_accepted = False

    def repair(self) -> Applied:
        """Put the folder back as the catalog says: what somebody did in it means nothing.

        Raises:
            FolderError: it cannot be written.
        """
        applied = self.folder.sync(is_repair=True)
        self._set_waiting(None)
        set_asked(self.catalog, still_asked(self.catalog, ()))
        return applied

    def conclude(self, seen: ReadBack) -> Concluded:
        """Decide what follows from what somebody did in the folder."""
        doubt = None if self._is_accepted else seen.doubt
        if seen.n_changes and (doubt is not None or (self.mode is EditMode.ASK and not self._is_accepted)):
            return self._wait(seen, doubt)
        self._set_waiting(None)
        if not seen.observations:
            self._set_own(())
            set_asked(self.catalog, still_asked(self.catalog, ()))
            return Concluded()
        from facewatch.people.from_folder import Conclusions, concerned

        corrections = self.corrections()
        with corrections.following_later(), corrections.deciding() as decisions:
            reading = Conclusions(self.catalog, decisions, self._is_away, self._reach).draw(seen)
        self._tell(reading)
        set_asked(self.catalog, still_asked(self.catalog, reading.asked))
        people = frozenset[int]().union(*(one.people for one in reading.conclusions))
        return Concluded(people | concerned(seen), reading.held)

    def keep_up(self) -> None:
        """See `keep_links`."""
        keep_links(self.catalog, self.folder.root)

    def settle(self) -> None:
        """Match again where faces have left or come, and show that; whoever lets all of that follow later does it."""
        corrections = self.corrections()
        if not corrections.is_later:
            corrections.match_due()
            corrections.show_due()

    @property
    def _reach(self) -> float:
        engine = self.corrections().engine
        return 0.0 if engine.is_switch_under_way else engine.info.thresholds.match

    def preview(self) -> Preview:
        """Return what would be concluded, and then done to the folder; changes nothing.

        Raises:
            FolderError: it is not there, or not this catalog's.
        """
        if (fault := self.folder.fault()) is not None:
            raise FolderError(fault)
        from facewatch.people.corrections import Decisions
        from facewatch.people.from_folder import Conclusions, Reading

        with self.catalog.snapshot() as trial:
            reading = Reading()
            seen = self.folder.read_back(most_changes=self.most_changes) if self.folder.is_readable else ReadBack()
            if self.mode is EditMode.IGNORE:
                follow(trial, seen)
            else:
                reading = Conclusions(trial, Decisions(trial), self._is_away, self._reach).draw(seen)
                reading = replace(reading, is_waiting=self._is_to_wait(seen))
            return Preview(reading, self.folder.on(trial).plan())

    def _is_to_wait(self, seen: ReadBack) -> bool:
        return bool(seen.n_changes) and (seen.doubt is not None or self.mode is EditMode.ASK)

    def _wait(self, seen: ReadBack, doubt: Doubt | None) -> Concluded:
        from facewatch.people.from_folder import Reading, concerned

        reading = Reading(doubt=doubt, n_changes=seen.n_changes, is_waiting=True)
        is_news = self._set_waiting(Waiting(seen.n_changes, doubt))
        self._keep(reading)
        held = None if doubt is not None else concerned(seen)
        return Concluded(held=held, faults=tuple(self.say(reading)) if is_news and not self.is_said else ())

    def _set_waiting(self, waiting: Waiting | None) -> bool:
        """Record what waits; whether that is news."""
        text = waiting.as_text() if waiting else None
        if text == self.catalog.settings.get(WAITING):
            return False
        with self.catalog.write():
            if text is None:
                self.catalog.settings.unset(WAITING)
            else:
                self.catalog.settings.set(WAITING, text)
        return True

    def _tell(self, reading: Reading) -> None:
        if reading.conclusions and self.catalog.settings.get(_TOLD) is None:
            with self.catalog.write():
                self.catalog.settings.set(_TOLD, self.catalog.now())
            reading = replace(reading, is_first=True)
        reading = replace(reading, asides=self._with_news(reading.asides))
        self._keep(reading)
        lines = tuple(self.say(reading))
        for line in lines if not self.is_said else ():
            if line not in self._said:
                log.info("%s", line)
        self._said = frozenset(lines)

    def _with_news(self, asides: Sequence[LeftAside]) -> tuple[LeftAside, ...]:
        """Tell files that are somebody's own from those of which that was said before."""
        from facewatch.people.from_folder import Aside

        before = self._set_own([left.path for left in asides if left.why is Aside.UNKNOWN])
        return tuple(
            replace(left, is_new=False) if left.why is Aside.UNKNOWN and left.path in before else left
            for left in asides
        )

    def _set_own(self, found: Sequence[str]) -> frozenset[str]:
        """Keep which files are there that are somebody's own; returns those of before. A folder that has not changed is
        not read again: what was in it is still there."""
        before = self.catalog.settings.get(_OWN) or "[]"
        known = frozenset[str](json.loads(before))
        there = {path for path in known if os.path.lexists(self.folder.root / path)}
        now = json.dumps(sorted(there.union(found))[:_MOST_OWN])
        if now != before:
            with self.catalog.write():
                self.catalog.settings.set(_OWN, now)
        return known

    def _keep(self, reading: Reading) -> None:
        if self.is_said:
            self.readings.append(reading)

    def _is_away(self, photo_id: int) -> bool:
        """Whether none of a photo's files is there, though their libraries are."""
        files = [Path(file) for file in self.catalog.files.sources([photo_id]).get(photo_id, ())]
        roots = [root for root in self.catalog.roots.all() if any(file.is_relative_to(root) for file in files)]
        return not any(map(os.path.lexists, files)) and all(map(self.libraries.is_there, roots))
