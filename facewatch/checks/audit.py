"""Audits a catalog and its people folder, and repairs what needs no decision of a user."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from facewatch import ids
from facewatch.catalog import RUNS, Catalog, FaceRow, display
from facewatch.catalog.integrity import AssignedFace
from facewatch.checks import FaultKind, Finding, Fix, Severity, Words, assigned_of, named
from facewatch.checks.faces import Comparison, check_faces, fix_faces
from facewatch.errors import EngineError, FolderError
from facewatch.folders.disk import is_intact
from facewatch.folders.model import (
    EXTRAS_RECORD,
    MARKER,
    PARENTS,
    SHEET,
    Disk,
    MakeFolder,
    MakeLink,
    MoveFolder,
    MoveLink,
    Plan,
    RemoveFolder,
    RemoveLink,
)
from facewatch.folders.sheet import is_sheet
from facewatch.folders.sync import Inspected, PeopleFolder
from facewatch.fs.mounts import is_folder
from facewatch.ids import label_of
from facewatch.indexing.engine import WantedEngine
from facewatch.matching import MatchSettings
from facewatch.people.apply import Corrections
from facewatch.people.births import unborn
from facewatch.text import plural
from facewatch.types import RecordedLink


@dataclass(frozen=True, slots=True)
class Audit:
    """What checking a catalog has found."""

    findings: tuple[Finding, ...]
    left_out: tuple[str, ...]
    """What could not be checked, and why."""
    fixed: tuple[Finding, ...] = ()
    """What was wrong before it was fixed."""
    entry_id: int | None = None
    """The decision in the journal that fixed faces and people; `undo` takes it back."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left to fix or to decide."""
        return not any(finding.is_fault for finding in self.findings)


@dataclass(eq=False)
class Auditor:
    """Checks a catalog and its people folder, and fixes what takes no decision."""

    catalog: Catalog
    engine: WantedEngine
    folder: PeopleFolder
    corrections: Corrections
    settings: MatchSettings

    def check(self) -> Audit:
        """Return what is wrong; writes nothing.

        Raises:
            CatalogError: the catalog cannot be read.
        """
        catalog = self.catalog
        with catalog.read():
            damage = find_damage(catalog)
            if damage:
                return Audit(tuple(damage), ("everything else: a damaged catalog cannot be relied on",))
            left_out: list[str] = []
            in_use = catalog.engines.in_use()
            # Also of those who live no longer but still have some.
            table = catalog.faces.load(in_use.id, n_dims=in_use.n_dims, is_assigned=True) if in_use else None
            comparison = None
            if in_use is not None and table is not None:
                try:
                    info = self.engine.info_of(in_use)
                    comparison = Comparison(table, info, self.settings, catalog.people.names())
                except EngineError as error:
                    left_out.append(f"distances between faces: {error}")
            words = Words(catalog)
            findings = check_faces(catalog, table, comparison, words, find_contradictions(catalog, words))
            try:
                findings += check_folder(catalog, self.folder)
            except FolderError as error:
                left_out.append(f"links: {error}")
        return Audit(tuple(findings), tuple(left_out))

    def fix(self) -> Audit:
        """Fix what takes no decision, as one entry of the journal, match the pool again, and return what is left.

        Raises:
            FolderError: faces and people are fixed, but the people folder cannot be written.
        """
        before = self.check()
        fixable = [finding for finding in before.findings if finding.fix]
        with self.corrections.deciding() as decisions:
            decided = fix_faces(self.catalog, fixable)
            decisions.made.append(decided)
        if any(finding.fix and finding.fix.folders for finding in fixable):
            self.folder.sync()
        after = self.check()
        left = {finding.id for finding in after.findings}
        fixed = tuple(finding for finding in fixable if finding.id not in left)
        return replace(after, fixed=fixed, entry_id=decided.entry_id)


# --- the people folder ---


def check_folder(catalog: Catalog, folder: PeopleFolder) -> list[Finding]:
    """Return where the people folder does not say what the catalog says, and what others put there.

    Raises:
        FolderError: it cannot be read, or is not this catalog's.
    """
    found = folder.inspect()
    is_there = {link.path: is_intact(link.path, link.stamp, found.disk.folders) for link in found.links}
    return [
        *_lying(Words(catalog), (link for link in found.links if not is_there[link.path]), found.plan, found.disk),
        *_leading_nowhere(catalog, [link for link in found.links if is_there[link.path]]),
        *_foreign(folder.root, found),
    ]


class _Wrong(StrEnum):
    """How a folder differs from what is on record."""

    ABSENT = "not there"
    REPLACED = "replaced"
    TO_MAKE = "to make"
    TO_REMOVE = "to remove"
    FOLDER_IS_NOBODYS = "a folder without a person"
    FOLDER_TO_RENAME = "to be called"
    FOLDER_TO_MAKE = "a folder to make"


@dataclass(slots=True)
class _FolderFaults:
    """How one folder differs, as it is counted."""

    counts: Counter[tuple[_Wrong, str]] = field(default_factory=Counter)
    """By the difference, and the name that the folder is to have."""
    people: set[int] = field(default_factory=set)
    photos: set[int] = field(default_factory=set)

    def add(self, wrong: _Wrong, *, person_id: int | None = None, photo_id: int | None = None, name: str = "") -> None:
        self.counts[wrong, name] += 1
        self.people |= {person_id} if person_id is not None and person_id > 0 else set()
        self.photos |= {photo_id} if photo_id is not None else set()

    def __str__(self) -> str:
        """Return "2 links not there, a folder to make"."""
        return ", ".join(_difference(wrong, name, n) for (wrong, name), n in self.counts.items())


def _difference(wrong: _Wrong, name: str, n: int) -> str:
    match wrong:
        case _Wrong.FOLDER_TO_RENAME:
            return f"{wrong} {display(name)}"
        case _Wrong.FOLDER_IS_NOBODYS | _Wrong.FOLDER_TO_MAKE:
            return wrong.value
    return f"{plural(n, 'link')} {wrong}"


def _lying(words: Words, lost: Iterable[RecordedLink], plan: Plan, disk: Disk) -> Iterator[Finding]:
    """Yield one finding for each folder with links that are not as recorded, the lost ones, and for each that is not as
    it should be."""
    faults: dict[str, _FolderFaults] = defaultdict(_FolderFaults)
    reported: set[str] = set()
    for link in lost:
        folder, _, name = link.path.rpartition("/")
        wrong = _Wrong.ABSENT if name not in disk.folders.get(folder, {}) else _Wrong.REPLACED
        faults[folder].add(wrong, person_id=link.person_id, photo_id=link.photo_id)
        reported.add(link.path)
    for action in plan.actions:
        match action:
            case MakeLink() | RemoveLink() if action.path in reported:
                pass
            case MakeLink() | MoveLink():
                folder = action.path.rpartition("/")[0]
                faults[folder].add(_Wrong.TO_MAKE, person_id=action.person_id, photo_id=action.photo_id)
            case RemoveLink():
                faults[action.path.rpartition("/")[0]].add(_Wrong.TO_REMOVE)
            case RemoveFolder():
                faults[action.path].add(_Wrong.FOLDER_IS_NOBODYS)
            case MoveFolder():
                faults[action.old].add(_Wrong.FOLDER_TO_RENAME, person_id=action.person_id, name=action.new)
            case MakeFolder():
                faults[action.path].add(_Wrong.FOLDER_TO_MAKE, person_id=action.person_id)
    for folder, found in sorted(faults.items()):
        yield Finding(
            id=f"links:{folder}",
            kind=FaultKind.LINKS,
            severity=Severity.BROKEN,
            text=f"the folder {display(folder)} is not as recorded: {found}",
            people=tuple(sorted(found.people)),
            photos=words.paths(sorted(found.photos)),
            remedies=("facewatch folders",),
            fix=Fix(folders=True),
        )


def _leading_nowhere(catalog: Catalog, intact: Sequence[RecordedLink]) -> Iterator[Finding]:
    """Yield what happened to libraries that intact links lead to: a file is gone since the last scan."""
    offline = [root for root in catalog.roots.all() if not is_folder(root)]
    # Not by a Path: of 80,000 links that takes seconds.
    absent = {source for source in {link.source for link in intact} if not os.path.exists(source)}  # noqa: PTH110
    absent -= {source for source in absent if any(Path(source).is_relative_to(root) for root in offline)}
    gone = [link for link in intact if link.source in absent]
    if gone:
        names = ", ".join(display(link.path) for link in gone[:5]) + (", ..." if len(gone) > 5 else "")
        yield Finding(
            id="links-nowhere",
            kind=FaultKind.LINKS,
            severity=Severity.BROKEN,
            text=f"{len(gone)} link(s) lead to files that are gone since the last scan: {names}",
            people=tuple(sorted({link.person_id for link in gone})),
            photos=tuple(dict.fromkeys(link.source for link in gone)),
            remedies=("facewatch scan",),
        )
    for root in offline:
        yield Finding(
            id=f"offline:{display(str(root))}",
            kind=FaultKind.LINKS,
            severity=Severity.REMARK,
            text=f"{display(str(root))} is not there, so links into it lead nowhere for now: plug it in",
        )


def _foreign(root: Path, found: Inspected) -> Iterator[Finding]:
    """Yield how much there is in the people folder that others put there; it is never touched."""
    ours = found.made.union(PARENTS, {MARKER, EXTRAS_RECORD})
    if is_sheet(root / SHEET):
        ours.add(SHEET)
    n_files = n_folders = 0
    for folder, entries in found.disk.folders.items():
        others = (entry for name, entry in entries.items() if (f"{folder}/{name}" if folder else name) not in ours)
        kinds = Counter(entry.kind for entry in others)
        n_folders += kinds["dir"]
        n_files += kinds.total() - kinds["dir"] - kinds["cover"]
    if n_files or n_folders:
        yield Finding(
            id="foreign",
            kind=FaultKind.LINKS,
            severity=Severity.REMARK,
            text=f"{plural(n_files, 'file')} and {plural(n_folders, 'folder')} in {display(str(root))} are not "
            "facewatch's; they stay",
        )


# --- a catalog that contradicts itself ---


def find_contradictions(catalog: Catalog, words: Words) -> list[Finding]:
    """Return what cannot be by the program's own rules: a fault of a program, a hand in the catalog, or a date that was
    learned later."""
    successors, circles = _successors(catalog)
    return [
        *(_circle(people, lives) for people, lives in circles),
        *_strays(catalog, successors, words),
        *_against_rejections(catalog, words),
        *_marked(catalog, words),
        *_unborn(catalog, words),
        *_dangling(catalog),
    ]


def find_damage(catalog: Catalog) -> list[Finding]:
    """Return what SQLite says of the file; where there is anything, nothing else can be relied on."""
    verdict = catalog.check()
    if verdict == "ok":
        return []
    return [
        Finding(
            id="damage",
            kind=FaultKind.CATALOG,
            severity=Severity.BROKEN,
            text=f"{display(str(catalog.path))} is damaged ({verdict}): move it away, and put a backup in its place",
        )
    ]


def _successors(catalog: Catalog) -> tuple[dict[int, int], list[tuple[tuple[int, ...], int]]]:
    """Return in whom each merged person ends, and the circles of merges, each with who of it is to live."""
    merges = catalog.integrity.merges()
    ends: dict[int, int] = {}
    circles: dict[tuple[int, ...], int] = {}
    for person_id in merges:
        way = [person_id]
        while way[-1] in merges and merges[way[-1]] not in way:
            way.append(merges[way[-1]])
        end = way[-1]
        if end in merges:
            circle = tuple(sorted(way[way.index(merges[end]) :]))
            # Whoever holds most faces; all of them are one, as users said.
            circles[circle] = end = min(circle, key=lambda p: (-len(catalog.faces.of_person(p)), p))
        ends[person_id] = end
    return ends, list(circles.items())


def _circle(people: tuple[int, ...], lives: int) -> Finding:
    others = ", ".join(label_of(person_id) for person_id in people if person_id != lives)
    also = f" and {others}" if others else " with itself"
    return Finding(
        id=f"circle:{people[0]}",
        kind=FaultKind.CATALOG,
        severity=Severity.BROKEN,
        text=f"{label_of(lives)}{also} were merged in a circle, so that none of them lives: {label_of(lives)} would",
        people=people,
        fix=Fix(revives=lives),
    )


def _strays(catalog: Catalog, successors: Mapping[int, int], words: Words) -> Iterator[Finding]:
    strays = [stray for stray in catalog.integrity.strays() if successors.get(stray.person_id) != stray.person_id]
    rows = {row.id: row for row in catalog.faces.rows([stray.face_id for stray in strays])}
    alive = {*words.everybody, *(end for end in successors.values() if end in successors)}
    # Beside a face that a user assigned, a run would place the released ones there again.
    stuck = {
        stray.person_id
        for stray in strays
        if rows[stray.face_id].source not in RUNS and successors.get(stray.person_id) not in alive
    }
    for stray in strays:
        row, assigned = rows[stray.face_id], AssignedFace(stray.face_id, stray.person_id)
        successor = successors.get(stray.person_id) if stray.is_merged else None
        fix = None
        if (
            successor in alive
            and successor is not None
            and (row.source not in RUNS or _can_be(catalog, row, successor))
        ):
            fix = Fix(moves=((assigned, successor),), gains=(successor,))
        elif row.source in RUNS and stray.person_id not in stuck:
            fix = Fix(releases=(assigned,))
        yield Finding(
            id=f"stray:{row.id}",
            kind=FaultKind.CATALOG,
            severity=Severity.BROKEN,
            text=f"face {ids.face(row.id)} belongs to {label_of(stray.person_id)}, "
            + ("who was merged into another" if stray.is_merged else "who is gone"),
            people=(stray.person_id,),
            faces=(row.id,),
            photos=words.paths([row.photo_id]),
            remedies=(f"facewatch assign {ids.face(row.id)} NAME", f"facewatch unassign {ids.face(row.id)}"),
            fix=fix,
        )


def _can_be(catalog: Catalog, row: FaceRow, person_id: int) -> bool:
    """Whether a face may be that person: nobody said that it is not, and no other of the photo is."""
    is_rejected = person_id in catalog.rejections.all().get(row.id, ())
    return not is_rejected and not catalog.faces.beside([row.photo_id], person_id)


def _against_rejections(catalog: Catalog, words: Words) -> Iterator[Finding]:
    found = catalog.integrity.assigned_against_rejections()
    rows = {row.id: row for row in catalog.faces.rows([assigned.face_id for assigned in found])}
    for assigned in found:
        face_id, person_id = assigned.face_id, assigned.person_id
        who, is_run = words.label(person_id), rows[face_id].source in RUNS
        yield Finding(
            id=f"rejected:{face_id}:{person_id}",
            kind=FaultKind.CATALOG,
            severity=Severity.BROKEN,
            text=f"face {ids.face(face_id)} belongs to {who}, though you said that it does not"
            + ("" if is_run else ", and assigned it there"),
            people=(person_id,),
            faces=(face_id,),
            photos=words.paths([rows[face_id].photo_id]),
            remedies=(
                f"facewatch reject {ids.face(face_id)} {words.who(person_id)}",
                f"facewatch unassign {ids.face(face_id)} && "
                f"facewatch assign {ids.face(face_id)} {words.who(person_id)}",
            ),
            fix=Fix(releases=(assigned,)) if is_run else None,
        )


def _marked(catalog: Catalog, words: Words) -> Iterator[Finding]:
    found = catalog.integrity.assigned_though_marked()
    rows = {row.id: row for row in catalog.faces.rows([assigned.face_id for assigned in found])}
    for assigned in found:
        face_id, person_id = assigned.face_id, assigned.person_id
        row = rows[face_id]
        yield Finding(
            id=f"marked:{face_id}",
            kind=FaultKind.CATALOG,
            severity=Severity.BROKEN,
            text=f"face {ids.face(face_id)} belongs to {words.label(person_id)}, though a user marked it ({row.mark})",
            people=(person_id,),
            faces=(face_id,),
            photos=words.paths([row.photo_id]),
            remedies=(
                f"facewatch unassign {ids.face(face_id)}",
                f"facewatch unassign {ids.face(face_id)} && "
                f"facewatch assign {ids.face(face_id)} {words.who(person_id)}",
            ),
            fix=Fix(releases=(assigned,)) if row.source in RUNS else None,
        )


def _unborn(catalog: Catalog, words: Words) -> Iterator[Finding]:
    rows = unborn(catalog, words.everybody)
    taken = catalog.photos.taken({row.photo_id for row in rows})
    for row in rows:
        assert row.person_id is not None
        person, paths, is_run = words.everybody[row.person_id], words.paths([row.photo_id]), row.source in RUNS
        yield Finding(
            id=f"unborn:{row.id}:{person.id}",
            kind=FaultKind.CATALOG,
            severity=Severity.BROKEN if is_run else Severity.REMARK,
            text=f"face {ids.face(row.id)} in {named(paths)} is {person.label}, born {person.born}, but the photo was"
            f" taken on {taken[row.photo_id][:10]}" + ("" if is_run else "; you assigned it, so it stays"),
            people=(person.id,),
            faces=(row.id,),
            photos=paths,
            remedies=(
                f"facewatch reject {ids.face(row.id)} {words.who(person.id)}",
                f"facewatch confirm {ids.face(row.id)}",
            ),
            fix=Fix(releases=assigned_of([row])) if is_run else None,
        )


def _dangling(catalog: Catalog) -> Iterator[Finding]:
    for (table, parent), n in catalog.integrity.dangling().items():
        yield Finding(
            id=f"dangling:{table}:{parent}",
            kind=FaultKind.CATALOG,
            severity=Severity.BROKEN,
            text=f"{n} row(s) of the table {table} name a row of {parent} that is not there; put a backup of "
            f"{display(str(catalog.path))} in its place",
        )
