"""Looking a whole catalog over, the people folder with it: its numbers, what is wrong, and mending what takes no
decision."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from facewatch import folders
from facewatch.catalog import Catalog, FaceTable, KnownEngine, LinkRow, display
from facewatch.checks.faces import Finding, Kind, Mend, Sight, Words, find_damage, look, mend
from facewatch.errors import EngineError, FolderError
from facewatch.folders.disk import is_intact
from facewatch.fs.mounts import is_folder
from facewatch.matching import Aggregation, Gallery
from facewatch.people.identities import fill_gallery
from facewatch.people.record import Decided
from facewatch.reports.stats import Stats, stats_of
from facewatch.text import plural
from facewatch.types import EngineInfo

if TYPE_CHECKING:
    from facewatch.app import App


@dataclass(frozen=True, slots=True)
class Audit:
    """What looking a catalog over has found."""

    findings: tuple[Finding, ...]
    left_out: tuple[str, ...]
    """What could not be looked at, and why."""
    mended: tuple[Finding, ...] = ()
    """What was wrong before it was mended."""
    entry_id: int | None = None
    """The decision in the journal that mended faces and people; `undo` takes it back."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left to mend or to decide."""
        return not any(finding.is_fault for finding in self.findings)


def audit(app: App) -> Audit:
    """Return what is wrong; writes nothing.

    Raises:
        CatalogError: the catalog cannot be read.
    """
    catalog = app.catalog
    with catalog.read():
        damage = find_damage(catalog)
        if damage:
            return Audit(tuple(damage), ("everything else: a damaged catalog cannot be relied on",))
        left_out: list[str] = []
        engine = _in_use(catalog)
        table = catalog.faces.load(engine.id, n_dims=engine.n_dims, people=_everybody(app)) if engine else None
        sight = _sight(app, engine, table, left_out.append)
        findings = look(catalog, table, sight)
        findings += _look_at_folders(app, left_out.append)
    return Audit(tuple(findings), tuple(left_out))


def audit_and_mend(app: App) -> Audit:
    """Mend what takes no decision, as one entry of the journal, look at the pool again, and return what is left.

    Raises:
        FolderError: faces and people are mended, but the people folder cannot be written.
    """
    before = audit(app)
    decided = _mend(app, [finding for finding in before.findings if finding.mend])
    after = audit(app)
    left = {finding.id for finding in after.findings}
    mended = tuple(finding for finding in before.findings if finding.mend and finding.id not in left)
    return replace(after, mended=mended, entry_id=decided.entry_id)


def stats(app: App) -> Stats:
    """Return the catalog in numbers; writes nothing, and no model need be here.

    Raises:
        CatalogError: the catalog cannot be read.
    """
    catalog, match = app.catalog, None
    with catalog.read():
        engine = _in_use(catalog)
        if engine:
            with suppress(EngineError):
                match = _info(app, engine).thresholds.match - app.config["match.strictness"]
        return stats_of(catalog, match=match, n_shortlist=app.config["match.shortlist"])


def _in_use(catalog: Catalog) -> KnownEngine | None:
    return next((engine for engine in catalog.engines.all() if engine.is_in_use), None)


def _mend(app: App, findings: Iterable[Finding]) -> Decided:
    findings = list(findings)
    with app.corrections.deciding() as decisions:
        decided = mend(app.catalog, findings)
        decisions.made.append(decided)
    if any(finding.mend and finding.mend.folders for finding in findings):
        app.folder.sync()
    return decided


def _everybody(app: App) -> list[int]:
    """Return who can have faces: the living, and those that live no longer but still have some."""
    strays = {stray.person_id for stray in app.catalog.integrity.strays()}
    return [*(person.id for person in app.catalog.people.all()), *strays]


def _sight(
    app: App, engine: KnownEngine | None, table: FaceTable | None, leave_out: Callable[[str], None]
) -> Sight | None:
    """Return how the engine in use compares faces, unless nobody can say."""
    if engine is None or table is None:
        return None
    try:
        info = _info(app, engine)
    except EngineError as error:
        leave_out(f"distances between faces: {error}")
        return None
    shortlist, strictness = app.config["match.shortlist"], app.config["match.strictness"]
    aggregation = Aggregation(app.config["match.aggregation"])

    def gallery_of(faces: FaceTable) -> Gallery:
        gallery = Gallery(info.n_dims, info.thresholds, app.identities.settings)
        fill_gallery(gallery, faces)
        gallery.set_named(app.catalog.people.names())
        return gallery

    return Sight(table, info.thresholds, gallery_of, shortlist, strictness, aggregation)


def _info(app: App, engine: KnownEngine) -> EngineInfo:
    """Return what identifies the engine in use.

    Raises:
        EngineError: its files are absent, or the settings want another one.
    """
    info = app.engine.info
    if info.fingerprint != engine.fingerprint:
        raise EngineError(f"the engine is being changed from {engine.name} to {info.name}; `facewatch scan` ends that")
    return info


# --- the people folder ---


def _look_at_folders(app: App, leave_out: Callable[[str], None]) -> list[Finding]:
    """Return where the people folder does not say what the catalog says, and what others put there."""
    catalog, root = app.catalog, app.folder.root
    links, made = catalog.links.all(), catalog.links.folders()
    recorded = [
        folders.RecordedLink(row.id, row.person_id, row.photo_id, row.path, Path(row.source), row.stamp)
        for row in links
    ]
    try:
        plan = app.folder.plan()
        disk = folders.read_disk(root, (), recorded, made, app.config["folders.link"])
    except FolderError as error:
        leave_out(f"links: {error}")
        return []
    return [
        *_lying(Words(catalog), links, plan, disk),
        *_leading_nowhere(app, links, disk),
        *_foreign(root, links, made.values(), disk),
    ]


def _lying(words: Words, links: Iterable[LinkRow], plan: folders.Plan, disk: folders.Disk) -> Iterator[Finding]:
    """Yield one finding for each folder with links that are not as recorded, and for each that is not as it should
    be."""
    wrong: dict[str, Counter[str]] = defaultdict(Counter)
    people: dict[str, set[int]] = defaultdict(set)
    photos: dict[str, set[int]] = defaultdict(set)
    told: set[str] = set()
    for link in links:
        folder, _, name = link.path.rpartition("/")
        if not is_intact(link.path, link.stamp, disk.folders):
            wrong[folder]["not there" if name not in disk.folders.get(folder, {}) else "replaced"] += 1
            people[folder].add(link.person_id)
            photos[folder].add(link.photo_id)
            told.add(link.path)
    for action in plan.actions:
        match action:
            case folders.MakeLink() | folders.RemoveLink() if action.path in told:
                pass
            case folders.MakeLink():
                folder = action.path.rpartition("/")[0]
                wrong[folder]["to make"] += 1
                people[folder].add(action.person_id)
                photos[folder].add(action.photo_id)
            case folders.RemoveLink():
                wrong[action.path.rpartition("/")[0]]["to remove"] += 1
            case folders.RemoveFolder():
                wrong[action.path]["a folder without a person"] += 1
            case folders.MoveFolder():
                wrong[action.old][f"to be called {action.new}"] += 1
                people[action.old].add(action.person_id)
            case folders.MakeFolder():
                wrong[action.path]["a folder to make"] += 1
                people[action.path].add(action.person_id)
    for folder, counts in sorted(wrong.items()):
        yield Finding(
            f"links:{folder}",
            Kind.LINKS,
            f"the folder {display(folder)} is not as recorded: {_listed(counts)}",
            people=tuple(sorted(people[folder])),
            photos=words.paths(sorted(photos[folder])),
            remedies=("facewatch folders",),
            mend=Mend(folders=True),
        )


def _listed(counts: Counter[str]) -> str:
    """Return "2 links not there, a folder to make"."""
    said = []
    for what, n in counts.items():
        if what.startswith(("a folder", "to be called")):
            said.append(display(what))
        else:
            said.append(f"{plural(n, 'link')} {what}")
    return ", ".join(said)


def _leading_nowhere(app: App, links: Iterable[LinkRow], disk: folders.Disk) -> Iterator[Finding]:
    """Yield what happened to libraries that intact links lead to: a file is gone since the last scan."""
    offline = [root for root in app.catalog.roots.all() if not is_folder(root)]
    gone = [
        link
        for link in links
        if is_intact(link.path, link.stamp, disk.folders)
        and not Path(link.source).exists()
        and not any(Path(link.source).is_relative_to(root) for root in offline)
    ]
    if gone:
        names = ", ".join(display(link.path) for link in gone[:5]) + (", ..." if len(gone) > 5 else "")
        yield Finding(
            "links-nowhere",
            Kind.LINKS,
            f"{len(gone)} link(s) lead to files that are gone since the last scan: {names}",
            people=tuple(sorted({link.person_id for link in gone})),
            photos=tuple(dict.fromkeys(link.source for link in gone)),
            remedies=("facewatch scan",),
        )
    for root in offline:
        yield Finding(
            f"offline:{display(str(root))}",
            Kind.LINKS,
            f"{display(str(root))} is not there, so links into it lead nowhere for now: plug it in",
            is_fault=False,
        )


def _foreign(root: Path, links: Iterable[LinkRow], made: Iterable[str], disk: folders.Disk) -> Iterator[Finding]:
    """Yield how much there is in the people folder that others put there; it is never touched."""
    ours = {folders.MARKER, *(link.path for link in links)}
    if folders.is_sheet(root / folders.SHEET):
        ours.add(folders.SHEET)
    own_folders = {*made, folders.UNNAMED}
    n_files = n_folders = 0
    for folder, entries in disk.folders.items():
        for name, entry in entries.items():
            path = f"{folder}/{name}" if folder else name
            if entry.kind == "dir":
                n_folders += path not in own_folders
            elif path not in ours:
                n_files += 1
    if n_files or n_folders:
        yield Finding(
            "foreign",
            Kind.LINKS,
            f"{plural(n_files, 'file')} and {plural(n_folders, 'folder')} in {display(str(root))} are not "
            "facewatch's; they stay",
            is_fault=False,
        )
