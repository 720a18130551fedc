"""The people folder of a catalog: keeps it in line with the catalog, and records in the catalog what was done to it."""

from __future__ import annotations

import gc
import logging
import math
import os
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from facewatch.catalog import Catalog
from facewatch.errors import FolderError
from facewatch.folders.apply import apply, check_room, remove_empty
from facewatch.folders.asked import asked_in
from facewatch.folders.check import (
    PlaceFault,
    check_people_folder,
    fault_beside,
    fault_of,
    find_renamed,
    owner_of,
    set_state,
)
from facewatch.folders.ctimes import fingerprints_of, keep_ctimes
from facewatch.folders.disk import LinkMaker, is_intact, make_link, read_disk, read_entry
from facewatch.folders.extras import ExtrasRecord
from facewatch.folders.following import follow, follow_folders
from facewatch.folders.ledger import INTENTS, CatalogLedger
from facewatch.folders.model import (
    LINK_KINDS,
    MARKER,
    Action,
    Applied,
    Disk,
    Entries,
    FaceMaker,
    FolderEntry,
    LinkKind,
    MakeLink,
    MoveLink,
    Plan,
    RemoveLink,
    Shape,
    fits_folder,
    home_of,
    kind_of_links,
)
from facewatch.folders.observed import ReadBack
from facewatch.folders.plan import plan
from facewatch.folders.readback import FolderView, own_paths, read_back
from facewatch.folders.recovery import resume
from facewatch.folders.state import FolderState
from facewatch.folders.viewing import read_view, sha256_of
from facewatch.folders.wanted import Wanted
from facewatch.fs.mounts import Asker, is_folder
from facewatch.types import Fingerprint, RecordedLink

log = logging.getLogger(__name__)

DRIVE = "people_drive"
"""The setting that says on which device the people folder was when it was used last."""


@dataclass(frozen=True, slots=True)
class Concluded:
    """What follows, for a sync, from what somebody did in the people folder."""

    people: frozenset[int] = frozenset()
    """Who is not what they were."""
    held: frozenset[int] | None = frozenset()
    """Whose folders are to stay as they are, until somebody says what is meant; None: everybody's."""
    faults: tuple[str, ...] = ()
    """Why, one line each."""


class Edits(Protocol):
    """What reads the people folder back before it is planned anew."""

    @property
    def most_changes(self) -> int:
        """More at once are not believed."""
        ...

    def keep_up(self) -> None:
        """Put on record which links are ours by what was decided since, before they are compared; called by the one
        writer."""
        ...

    def conclude(self, seen: ReadBack) -> Concluded:
        """Decide what follows from what somebody did in the folder; called by the one writer."""
        ...

    def settle(self) -> None:
        """Do what follows from those decisions and may take its time; called when the folder shows them."""
        ...


@dataclass(frozen=True, slots=True)
class Inspected:
    """The people folder as it is on record and as it stands."""

    links: list[RecordedLink]
    """On record, of people."""
    made: set[str]
    """The paths of all folders and of all links that are on record, extra folders and years among them."""
    plan: Plan
    """What it lacks or has too much."""
    disk: Disk
    """What it holds of what is on record."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read before a plan."""

    links: Sequence[RecordedLink]
    """On record, of those that are planned for."""
    folders: Mapping[str, Entries]
    """As they stand, by path."""


_NOTHING_CONCLUDED = Concluded()


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was seen in the folder before a plan."""

    concluded: Concluded = _NOTHING_CONCLUDED
    known: _Known | None = None
    """What was read for that, if it still holds."""
    emptied: tuple[str, ...] = ()
    """Years that somebody moved all links out of."""


class _Pace:
    """Lets others write now and then, while links are made that take their time."""

    def __init__(self, catalog: Catalog, clock: Callable[[], float], held_seconds: float) -> None:
        self._catalog, self._clock, self._held_seconds = catalog, clock, held_seconds
        self._since = clock()

    def pause(self, ledger: CatalogLedger) -> bool:
        """Return whether what was planned holds still."""
        if self._clock() - self._since < self._held_seconds:
            return True
        ledger.commit()
        is_alone = self._catalog.give_way()
        self._since = self._clock()
        return is_alone


@contextmanager
def _uncollected() -> Iterator[None]:
    """Make many values, none of which refers to itself: to look for such meanwhile takes a tenth of the time that
    50,000 links take."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


_HELD_SECONDS = 0.3
"""For so long nobody else may decide anything: whoever waits a second thinks that it hangs."""
_LONGEST_HELD_SECONDS = 10.0
"""Longer than planning anew and starting workers takes, and less than others wait."""


class PeopleFolder:
    """The folders of all people, kept as the catalog says."""

    def __init__(
        self,
        catalog: Catalog,
        root: Path,
        *,
        shape: Shape,
        before_sync: Callable[[], None] = lambda: None,
        after_sync: Callable[[Collection[int] | None], None] = lambda _: None,
        make_link: LinkMaker = make_link,
        cutting: Callable[[Sequence[Action]], AbstractContextManager[FaceMaker | None]] = lambda _: nullcontext(),
        clock: Callable[[], float] = time.monotonic,
        edits: Callable[[], Edits] | None = None,
    ) -> None:
        """`before_sync` is called before it is asked what the catalog wants of it, `after_sync` when the folders of
        these people, or of everybody (None), are as it does. `edits` returns what reads back what somebody does in the
        folder; None: that means nothing, and is put right."""
        self.root = root
        self._catalog = catalog
        self._before_sync = before_sync
        self._after_sync = after_sync
        self._shape = shape
        self._wanted = Wanted(catalog, shape)
        self._kind: LinkKind | None = shape.kind
        self._make_link = make_link
        self._cutting = cutting
        self._clock = clock
        self._is_checked = False
        self._is_tried = False
        """Links were tried with a photo, or it is set of what kind they are."""
        self._asker = Asker()
        self._is_believed_deleted = False
        self._edits = edits
        self._state = FolderState(catalog, root)
        self._extras = ExtrasRecord(root)
        self._said = frozenset[str]()
        """What is wrong with the settings, and was logged."""

    @property
    def kind(self) -> LinkKind:
        """What stands for a photo in the folders."""
        return "face" if self._shape.has_faces else self.link_kind

    @property
    def link_kind(self) -> LinkKind:
        """How photos get into the folders, where they do."""
        return self._kind or kind_of_links(None, self._catalog.links.most_common_kind())

    def plan(self, only: Collection[int] | None = None) -> Plan:
        """Return what the people folder lacks or has too much, of everybody or `only` of these; changes nothing."""
        only = self._with_groups(only)
        return self._plan(only, _Known(self._recorded_links(only), {}))

    def _plan(self, only: Collection[int] | None, known: _Known) -> Plan:
        return self._compared(only, known)[0]

    def _compared(self, only: Collection[int] | None, known: _Known) -> tuple[Plan, Disk]:
        """Return what is lacking or too much, and what the folder was seen to hold."""
        with _uncollected():
            own, others = self._made(only)
            groups, faults = self._wanted.groups()
            wanted, links = self._wanted.folders(only, groups), known.links
            disk = read_disk(self.root, wanted, links, own, self.kind, known=known.folders)
            made = plan(wanted, links, own, disk, self.kind, reserved=list(others.values()))
        return (replace(made, faults=(*made.faults, *faults)) if only is None else made), disk

    def _with_groups(self, only: Collection[int] | None) -> Collection[int] | None:
        """Return these people and the groups that they are in, and those that are no more."""
        if only is None:
            return None
        groups = self._wanted.groups()[0]
        concerned = {group.id for group in groups if not {group.id, *group.people}.isdisjoint(only)}
        return {*only, *concerned, *(self._extras.folders().keys() - {group.id for group in groups})}

    def _made(self, only: Collection[int] | None) -> tuple[dict[int, str], dict[int, str]]:
        """Return the folders of these people, and those of the others."""
        made = {**self._catalog.links.folders(), **self._extras.folders()}
        own = {person_id: folder for person_id, folder in made.items() if only is None or person_id in only}
        return own, {person_id: folder for person_id, folder in made.items() if person_id not in own}

    def inspect(self) -> Inspected:
        """Return what is on record of the people folder, and what it holds and lacks of that; changes nothing.

        Raises:
            FolderError: it cannot be read.
        """
        with _uncollected():
            links = self._catalog.links.all()
            recorded = [*links, *self._extras.links()]
            plan, seen = self._compared(None, _Known(recorded, {}))
            disk = read_disk(self.root, (), recorded, self._catalog.links.folders(), self.kind, known=seen.folders)
            paths = {link.path for link in recorded}
            folders = {*self._made(None)[0].values(), *(path.rpartition("/")[0] for path in paths)}
            return Inspected(links, folders | paths, plan, disk)

    def outdated(self) -> set[int]:
        """Return who needs another folder or other links, by what is on record; the disk is not read."""
        people = self._catalog.links.outdated(unnamed_photos=self._shape.unnamed_photos)
        for person in self._catalog.people.all():
            if person.folder and not fits_folder(person.id, person.name, person.folder):
                people.add(person.id)
        return people | self._outdated_groups()

    def _outdated_groups(self) -> set[int]:
        made, recorded = self._extras.folders(), defaultdict[int, dict[int, str]](dict)
        for link in self._extras.links():
            recorded[link.person_id][link.photo_id] = link.source
        outdated = made.keys() | recorded.keys()
        for group in self._wanted.groups()[0]:
            sources = self._catalog.files.sources(self._wanted.photos_of(group))
            links, folder = recorded[group.id], made.get(group.id)
            is_good = links.keys() == sources.keys() and all(links[p] in sources[p] for p in links)
            if is_good and (folder is None or fits_folder(group.id, group.name, folder)):
                outdated -= {group.id}
            else:
                outdated |= {group.id}
        return outdated

    def on(self, catalog: Catalog) -> PeopleFolder:
        """Return the same folder as another catalog, a snapshot for instance, has it."""
        return PeopleFolder(catalog, self.root, shape=self._shape)

    def sync(self, only: Collection[int] | None = None, *, is_repair: bool = False) -> Applied:
        """Bring the people folder in line with the catalog, for everybody or `only` of these. What somebody did in it
        is concluded first (see `Edits`); in a repair it means nothing, and is put right.

        Raises:
            FolderError: it cannot be written, or cannot hold links.
        """
        if only is not None and self._shape.n_suggested:
            only = {*only, *self._outdated_groups()}  # any decision may change what is suggested of anybody
        if only is not None and not only:
            return Applied(0, 0, 0, ())
        self._before_sync()
        # What a decision changes is soon made. Who makes it all lets others decide amid that, each time they do so more
        # seldom: two of that kind would else plan by turns, and make nothing.
        patient = only is None and not self._catalog.is_exclusive
        held_seconds = _HELD_SECONDS if patient else math.inf
        done = self._sync(only, is_repair=is_repair, held_seconds=held_seconds)
        while not done.is_whole:
            held_seconds = min(2 * held_seconds, _LONGEST_HELD_SECONDS)
            done = self._sync(only, is_repair=is_repair, held_seconds=held_seconds).after(done)
        return done

    def _sync(self, only: Collection[int] | None, *, is_repair: bool, held_seconds: float) -> Applied:
        """Do as `sync`, until another process decides something."""
        with self._catalog.exclusive():
            pace = _Pace(self._catalog, self._clock, held_seconds)
            self.check()
            ledger = CatalogLedger(self._catalog, self.kind, self._extras)
            self._resume(ledger)
            is_cut_off = self._state.is_cut_off
            if is_repair or not self._state.is_as_left:
                self._take_stock()
            if is_repair or is_cut_off or not self._state.is_as_left:
                only = None
            only = self._with_groups(only)
            if self._edits is not None:
                self._edits().keep_up()
            seen = self._read_back(only) if not (is_repair or is_cut_off) else _Seen()
            concluded, known = seen.concluded, seen.known
            if concluded.held is not None and not concluded.held:
                remove_empty(self.root, seen.emptied)
            only = self._with_groups(self._concerned(only, concluded))
            only = only if only is None else set(only) - (concluded.held or set())
            plan = self._plan(only, known) if known is not None else self.plan(only)
            applied = self._apply(plan, only, ledger, pace)
        for fault in (*concluded.faults, *(fault for fault in applied.faults if fault not in self._said)):
            log.warning("%s", fault)
        self._said = self._said.union(self._wanted.groups()[1])
        if applied.is_whole:
            self._after_sync(only)
        if concluded.people and self._edits is not None:
            self._edits().settle()
        return applied

    def _apply(self, plan: Plan, only: Collection[int] | None, ledger: CatalogLedger, pace: _Pace) -> Applied:
        """Do what is planned, and record that it is done."""
        if self.kind == "copy":
            check_room(plan, self.root)
        linked = self._hard_linked(plan, only)
        if plan.actions:
            self._state.begin()
        try:
            with self._cutting(plan.actions if self._shape.has_faces else ()) as make_face:
                applied = apply(
                    plan,
                    self.root,
                    kind=self.kind,
                    ledger=ledger,
                    make_link=self._make_link,
                    make_face=make_face,
                    libraries=self._catalog.roots.all(),
                    intend=ledger.intend,
                    pause=partial(pace.pause, ledger),
                )
        except FolderError:
            ledger.end()  # all that was done is on record; what differs from now on is somebody's doing
            raise
        if applied.is_whole:
            ledger.end()
            self._state.end()
        keep_ctimes(self._catalog, linked)
        return applied

    @property
    def is_readable(self) -> bool:
        """Whether the folder is there and as this catalog left it, so that what differs is somebody's doing."""
        is_on_record = not self._state.is_cut_off and self._catalog.settings.get(INTENTS) is None
        return (self.root / MARKER).exists() and self._state.is_as_left and is_on_record

    def is_as_recorded(self, path: str) -> bool:
        """Whether at a path below the folder stands what is on record for it, or nothing; quick. Of the folder itself
        that cannot be said."""
        if not path:
            return False
        entry, link = read_entry(str(self.root / path)), self._catalog.links.at(path) or self._extras.at(path)
        if link is not None:
            return entry.bears(link.stamp)
        is_ours = path in self._made(None)[0].values() or self._is_year(path)
        return entry.kind in (("dir",) if is_ours else ("cover", "other"))

    def _is_year(self, path: str) -> bool:
        """Whether it is a year in somebody's folder, with links of ours."""
        return home_of(f"{path}/") != path and self._catalog.links.is_any_below(path)

    def _read_back(self, only: Collection[int] | None) -> _Seen:
        """Conclude what somebody did in the folder; where that is to be synced for few, if something of theirs is not
        as it was left."""
        if not self._state.is_as_left:
            return _Seen()
        if only is not None and (known := self._intact(only)) is not None:
            return _Seen(known=known)
        view = self._view()
        self._extras.follow(view.folders)
        if self._edits is None:
            follow(self._catalog, self._differences(view, 0))
            return _Seen()
        edits = self._edits()
        concluded = edits.conclude(self._differences(view, edits.most_changes))
        holds = only is None and concluded == _NOTHING_CONCLUDED
        known = _Known([*view.links, *self._extras.links()], view.folders) if holds else None
        years = {year for year, inside in view.folders.items() if not inside and home_of(f"{year}/") != year}
        emptied = years & {link.path.rpartition("/")[0] for link in view.links} if years else ()
        return _Seen(concluded, known, tuple(sorted(emptied)))

    def _take_stock(self) -> None:
        """What stands in the folder now says nothing: it is not as this catalog left it."""
        if not (self.root / MARKER).exists():
            return  # the plan says so
        view = self._view()
        seen, is_as_left = self._differences(view, 0), self._state.is_as_left
        if follow(self._catalog, seen) if is_as_left else follow_folders(self._catalog, seen, view):
            view = self._view()
        self._state.set_own(own_paths(self._catalog.links.folders(), view))
        self._state.begin()

    def _concerned(self, only: Collection[int] | None, concluded: Concluded) -> Collection[int] | None:
        """Return whose folders are to be synced."""
        if concluded.held is None:
            return ()
        wanted = None if only is None else {*only, *concluded.people}
        if not concluded.held:
            return wanted
        return (self._everybody() if wanted is None else wanted) - concluded.held

    def _everybody(self) -> set[int]:
        """Return all people who have a folder, or may get one."""
        recorded = {row.person_id for row in self._catalog.links.all()}
        return self._wanted.people() | self._made(None)[0].keys() | recorded

    def _intact(self, only: Collection[int]) -> _Known | None:
        """Return folders and links of these people, if all stand where they were made."""
        own, _ = self._made(only)
        links = self._recorded_links(only)
        folders = read_disk(self.root, (), links, own, self.kind).folders
        are_there = all(folder in folders for folder in own.values())
        is_whole = are_there and all(is_intact(link.path, link.stamp, folders) for link in links)
        return _Known(links, folders) if is_whole else None

    def read_back(self, *, most_changes: int) -> ReadBack:
        """Return what somebody did in the folder since it was synced; see `readback`."""
        return self._differences(self._view(), most_changes)

    def _differences(self, view: FolderView, most_changes: int) -> ReadBack:
        return read_back(self._catalog.links.folders(), view, most_changes=most_changes)

    def _view(self) -> FolderView:
        """Return all that stands in the folder, and which photos what is on no record stands for."""
        asked = frozenset(one.path for one in asked_in(self._catalog))
        with _uncollected():
            links = self._catalog.links.all()
            return read_view(self.root, links, self._photo_of, self._state.own(), asked, self._extras.links())

    def _photo_of(self, path: str, entry: FolderEntry) -> int | None:
        """Return the photo of the library that a link leads to, or whose content a file has."""
        files = self._catalog.files
        if entry.kind == "symlink":
            file = files.at(Path(os.path.normpath(os.path.join(os.path.dirname(path), entry.target))))
            return file.photo_id if file is not None else None
        sha256 = sha256_of(path) if files.is_size_known(entry.size) else None
        return self._catalog.photos.with_hash(sha256) if sha256 is not None else None

    def _hard_linked(self, plan: Plan, only: Collection[int] | None) -> dict[Path, Fingerprint]:
        """Return the photos that the plan makes hard links to, or takes some from, as they are before that."""
        removals = [action for action in plan.actions if isinstance(action, RemoveLink)]
        removed = {action.link_id for action in removals if action.stamp.startswith("hardlink:")}
        links = self._recorded_links(only) if removed else []
        sources = {link.source for link in links if link.link_id in removed}
        made = [action for action in plan.actions if isinstance(action, MakeLink | MoveLink)]
        sources |= {a.source for a in made if self.kind == "hardlink" or (a.stamp or "").startswith("hardlink:")}
        return fingerprints_of(map(Path, sources))

    def _resume(self, ledger: CatalogLedger) -> None:
        """Record what a sync that was cut off had done, before anything is planned."""
        intents = self._catalog.settings.get(INTENTS)
        if intents and resume(intents, self.root, self._made(None)[0], ledger):
            ledger.commit()
            ledger.end()

    def check(self) -> None:
        """Make the folder, once: if it vanishes later its disk was unplugged, and making it would be wrong. Try what
        links it can hold, again when there is a photo to try it with.

        Raises:
            FolderError: it cannot be used, or is not marked any more.
        """
        fault = None if self._is_checked else fault_beside(self.root, self._catalog.roots.all())
        if fault is None and is_folder(self.root):
            owner = owner_of(self.root)
            is_foreign = owner != self._catalog.library_id if self._is_checked else not owner
            fault = self._fault() if is_foreign else None
        if fault is not None:
            raise FolderError(str(fault))
        if self._is_checked and (self._is_tried or not (self.root / MARKER).exists()):
            return
        if not is_folder(self.root):
            self._check_may_be_made()
        photo = self._catalog.photos.some()
        tried = fingerprints_of(map(Path, self._catalog.files.sources([photo])[photo][:1] if photo is not None else ()))
        sample = next(iter(tried), None)
        self._kind = check_people_folder(
            self.root,
            self._catalog.library_id,
            "copy" if self._shape.has_faces else self.kind,
            instead=LINK_KINDS if self._shape.kind is None else (),
            sample=sample,
            make_link=self._make_link,
        )
        if self.kind == "hardlink":
            keep_ctimes(self._catalog, tried)
        self._is_checked, self._is_tried = True, sample is not None or self._shape.kind is not None
        settings, drive = self._catalog.settings, str(self.root.stat().st_dev)
        before = settings.get("people_folder")
        if (before, settings.get(DRIVE)) == (str(self.root), drive):
            return
        if before is not None and before != str(self.root):
            became = "stays as it is" if os.path.lexists(before) else "is not there any more"
            log.warning("%s: the people folder from now on; %s %s", self.root, before, became)
        with self._catalog.write():
            settings.set("people_folder", str(self.root))
            settings.set(DRIVE, drive)

    def hand_over(self) -> None:
        """Mark it as this catalog's, whosever it was.

        Raises:
            FolderError: it cannot be written.
        """
        if is_folder(self.root):
            set_state(self.root, self._catalog.library_id, "")
        self._is_checked = False
        self.check()

    def mark_again(self) -> None:
        """If it is there and its mark was deleted or damaged, it is marked again, as what it was.

        Raises:
            FolderError: it cannot be written.
        """
        if is_folder(self.root) and not owner_of(self.root):
            self._state.mark_again()

    def believe_deleted(self) -> None:
        """If it is not there, it is made again, wherever it was."""
        self._is_believed_deleted = True

    def _check_may_be_made(self) -> None:
        """Distinguish a people folder that is still to be made, or was deleted, from one that was renamed or unplugged.

        Raises:
            FolderError: there would be two of it then.
        """
        settings, fault = self._catalog.settings, self._fault()
        if fault is None or self._is_believed_deleted:
            return
        is_drive_here = settings.get(DRIVE) in (None, str(_existing(self.root).stat().st_dev))
        is_renamed = find_renamed([self.root.parent], self._catalog.library_id) not in (None, self.root)
        if is_renamed or not is_drive_here:
            raise FolderError(str(fault))
        log.warning("%s: was not there any more, and is made again", self.root)

    def fault(self) -> str | None:
        """Return why it cannot be used, and what to do, by reading alone."""
        silence: PlaceFault | None = PlaceFault(f"{self.root}: does not answer", "check its drive, or its server")
        fault = self._asker.ask(self.root, self._asking_fault(), otherwise=silence)
        return str(fault) if fault else None

    def _fault(self) -> PlaceFault | None:
        return self._asking_fault()()

    def _asking_fault(self) -> Callable[[], PlaceFault | None]:
        """Return what looks for a fault; the catalog is asked before, as another thread may do that."""
        libraries = self._catalog.roots.all()
        return partial(fault_of, self.root, self._catalog.library_id, was_used=self._was_used, libraries=libraries)

    @property
    def _was_used(self) -> bool:
        """Whether folders were made in it, not in another one."""
        return self._catalog.settings.get("people_folder") == str(self.root) and bool(self._catalog.links.folders())

    def _recorded_links(self, only: Collection[int] | None) -> list[RecordedLink]:
        """Return what is on record, for everybody or `only` for these, groups among them."""
        extras = self._extras.links()
        links = self._catalog.links.all(only)
        return [*links, *(link for link in extras if only is None or link.person_id in only)]


def _existing(path: Path) -> Path:
    """Return the nearest folder above a path that is there."""
    return next((place for place in path.parents if is_folder(place)), Path("/"))
