"""A folder of links to photos that somebody searched for: another search renews it; only what was made in it goes.

A file in it, MARK, says whose it is and records the links: it is written before they are made, so that after a crash
the disk may be behind the record, and nothing of ours is ever taken for a stranger's. What bears no longer the stamp
that it had is a stranger's (see `folders`).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from facewatch.catalog import Catalog
from facewatch.errors import FolderError
from facewatch.folders.apply import FULL, refusal
from facewatch.folders.check import NEW_FOLDER, check_apart, link_fault
from facewatch.folders.ctimes import fingerprints_of, keep_ctimes
from facewatch.folders.disk import LinkMaker, OpenedFolder, make_link, opened_folder_of, read_entries, read_entry
from facewatch.folders.model import Entries, FolderEntry, LinkKind, WantedLink, link_names, name_key, printable
from facewatch.fs.atomic import UNSUPPORTED, rename_apart, write_part
from facewatch.fs.beneath import open_file
from facewatch.types import Fingerprint

log = logging.getLogger(__name__)

MARK = ".facewatch-photos"
"""Not the name that marks people folders: this is none, wherever it lies."""
_PART = ".facewatch-photos.part"


@dataclass(frozen=True, slots=True)
class PhotoLink:
    """A link to a photo."""

    name: str
    """In the folder."""
    source: str
    """The file that it stands for, absolute."""
    stamp: str
    """What stands there when it is made (see `FolderEntry.stamp`); of a symlink that is all of it."""


@dataclass(frozen=True, slots=True)
class PhotoPlan:
    """What makes a folder as it is wanted."""

    kept: tuple[PhotoLink, ...] = ()
    removed: tuple[PhotoLink, ...] = ()
    made: tuple[PhotoLink, ...] = ()
    faults: tuple[str, ...] = ()
    """What cannot be linked to, a line each."""

    def describe(self) -> list[str]:
        """Return a printable line for each link that goes or comes."""
        lines = [f"remove {link.name}" for link in self.removed]
        return [printable(line) for line in (*lines, *(f"make {link.name} -> {link.source}" for link in self.made))]


@dataclass(frozen=True, slots=True)
class LinkedPhotos:
    """What was done to a folder."""

    n_links: int
    """In it now."""
    n_made: int
    n_removed: int
    faults: tuple[str, ...]
    """What could not be done, one line each; the next time it is tried again."""


def plan_photos(
    wanted: Iterable[WantedLink],
    recorded: Iterable[PhotoLink],
    entries: Entries,
    sources: Entries,
    *,
    root: str,
    kind: LinkKind,
) -> PhotoPlan:
    """Return what makes a folder as wanted; nothing to do is a plan that makes and removes nothing.

    Args:
        entries: what is in the folder, by name.
        sources: the files that hard links and copies may be made of, by path.
        root: the real path of the folder.
    """
    ours = [link for link in recorded if link.name in entries and entries[link.name].bears(link.stamp)]
    by_source = {link.source: link for link in reversed(ours)}
    kept: dict[str, PhotoLink] = {}
    newcomers: list[str] = []
    for photo in wanted:
        paths = photo.sources
        link = next((by_source[path] for path in paths if path in by_source), None)
        if link is not None and _is_good(link, _stamp(link.source, root, kind, sources), kind):
            kept[link.name] = link
        else:
            newcomers += paths[:1]
    removed = tuple(link for link in ours if link.name not in kept)
    taken = {name_key(name) for name in entries} - {name_key(link.name) for link in removed}
    made, faults = [], []
    for path in newcomers:
        stamp = _stamp(path, root, kind, sources)
        if not stamp:
            faults.append(printable(f"{path}: not there now; the next time it is tried again"))
            continue
        name = next(name for name in link_names(path) if name_key(name) not in taken)
        taken.add(name_key(name))
        made.append(PhotoLink(name, path, stamp))
    return PhotoPlan(tuple(kept.values()), removed, tuple(made), tuple(faults))


def _stamp(source: str, root: str, kind: LinkKind, sources: Entries) -> str:
    """Return the stamp that a link to a file has; "": it is not there, and a link of that kind needs it."""
    if kind == "symlink":
        head, name = os.path.split(source)
        return f"symlink:{os.path.join(os.path.relpath(head, root), name)}"
    entry = sources.get(source, FolderEntry("other"))
    return entry.stamp(kind) if entry.kind == "file" else ""


def _is_good(link: PhotoLink, wanted: str, kind: LinkKind) -> bool:
    """Whether a link of ours that is there can stay; of a copy, or another hard link, it is not asked what it holds."""
    return link.stamp == wanted if kind == "symlink" else link.stamp.startswith(f"{kind}:")


class PhotoFolder:
    """A folder of links to photos."""

    def __init__(
        self, catalog: Catalog, root: Path, *, kind: LinkKind, people: Path, make_link: LinkMaker = make_link
    ) -> None:
        """`people`: the people folder.

        Raises:
            FolderError: it lies in a library, in the people folder, or around one of these.
        """
        self.root = root
        self._catalog = catalog
        self._kind: LinkKind = kind
        self._make_link = make_link
        self._real = os.path.realpath(root)
        check_apart(root, catalog.roots.all(), people)

    def plan(self, wanted: Sequence[WantedLink]) -> PhotoPlan:
        """Return what the folder lacks or has too much; changes nothing.

        Raises:
            FolderError: it is somebody else's, or cannot be read.
        """
        try:
            with OpenedFolder(self._real) as opened:
                return self._plan(opened.top, wanted)
        except FileNotFoundError:
            return plan_photos(wanted, (), {}, self._sources(wanted), root=self._real, kind=self._kind)
        except OSError as error:
            raise refusal(self.root, error, other=NEW_FOLDER) from error

    def sync(self, wanted: Sequence[WantedLink]) -> LinkedPhotos:
        """Make the folder if it is not there, and link to these photos and no others.

        Raises:
            FolderError: it is somebody else's, or cannot be written.
        """
        try:
            with self._catalog.exclusive():
                self.root.mkdir(parents=True, exist_ok=True)
                with OpenedFolder(self._real) as opened:
                    done = self._apply(opened.top, self._plan(opened.top, wanted))
        except OSError as error:
            raise refusal(self.root, error, other=NEW_FOLDER) from error
        for fault in done.faults:
            log.warning("%s", fault)
        return done

    def _plan(self, top: int, wanted: Sequence[WantedLink]) -> PhotoPlan:
        entries = read_entries(top)
        recorded = self._recorded(top, entries)
        return plan_photos(wanted, recorded, entries, self._sources(wanted), root=self._real, kind=self._kind)

    def _sources(self, wanted: Sequence[WantedLink]) -> dict[str, FolderEntry]:
        if self._kind == "symlink":
            return {}
        return {source: read_entry(source) for link in wanted for source in link.sources}

    def _recorded(self, top: int, entries: Entries) -> list[PhotoLink]:
        """Return the links on record.

        Raises:
            FolderError: the folder is another catalog's, or nobody's and not empty.
        """
        if MARK not in entries:
            if entries:
                raise FolderError(f"{self.root}: is not empty, and facewatch did not make it: {NEW_FOLDER}")
            return []
        try:
            with os.fdopen(open_file(MARK, top), encoding="utf-8") as file:
                record = json.load(file)
            library, links = record["library"], [_read_link(link) for link in record["links"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FolderError(f"{self.root / MARK}: cannot be read ({error}): {NEW_FOLDER}") from error
        if library != self._catalog.library_id:
            raise FolderError(f"{self.root}: is a folder of another catalog: {NEW_FOLDER}")
        return [link for link in links if _is_name(link.name)]

    def _apply(self, top: int, plan: PhotoPlan) -> LinkedPhotos:
        linked = self._hard_linked(plan)
        self._record(top, (*plan.kept, *plan.removed, *plan.made))
        faults = list(plan.faults)
        left = [link for link in plan.removed if not self._remove(link, top, faults)]
        made = self._make_all(plan.made, top, faults)
        self._record(top, (*plan.kept, *left, *made))
        keep_ctimes(self._catalog, linked)
        n_links, n_removed = len(plan.kept) + len(left) + len(made), len(plan.removed) - len(left)
        return LinkedPhotos(n_links, n_made=len(made), n_removed=n_removed, faults=tuple(faults))

    def _remove(self, link: PhotoLink, top: int, faults: list[str]) -> bool:
        """Remove a link of ours; False, with a fault: that cannot be done."""
        try:
            if read_entry(link.name, top).bears(link.stamp):
                os.unlink(link.name, dir_fd=top)
        except OSError as error:
            faults.append(printable(f"cannot remove {link.name}: {error.strerror}"))
            return False
        return True

    def _make_all(self, links: Sequence[PhotoLink], top: int, faults: list[str]) -> list[PhotoLink]:
        """Make links, and return those that could be made."""
        made, refused = [], []
        for link in links:
            try:
                made.append(self._make(link, top))
            except OSError as error:
                if error.errno in FULL:
                    raise
                refused.append(error)
                faults.append(printable(f"cannot make {link.name} -> {link.source}: {error.strerror}"))
        if refused and not made and all(error.errno in UNSUPPORTED for error in refused):
            raise FolderError(f"{self.root}: {link_fault(self._kind, refused[0])}") from refused[0]
        return made

    def _hard_linked(self, plan: PhotoPlan) -> Mapping[Path, Fingerprint]:
        links = [link for link in (*plan.removed, *plan.made) if link.stamp.startswith("hardlink:")]
        return fingerprints_of(Path(link.source) for link in links)

    def _make(self, link: PhotoLink, top: int) -> PhotoLink:
        """Make a link, and return it with the stamp that it has."""
        if self._kind == "symlink":
            self._make_link("symlink", link.stamp.partition(":")[2], link.name, target_fd=None, dir_fd=top)
            return link
        with opened_folder_of(link.source, [os.fspath(root) for root in self._catalog.roots.all()]) as folder:
            name = os.path.basename(link.source)
            if self._kind == "hardlink":
                self._make_link("hardlink", name, link.name, target_fd=folder, dir_fd=top)
            else:
                self._copy(name, folder, link.name, top)
        return replace(link, stamp=read_entry(link.name, top).stamp(self._kind))

    def _copy(self, source: str, folder: int, name: str, top: int) -> None:
        """Make a copy that has its name only when it is whole."""
        with suppress(FileNotFoundError):
            os.unlink(_PART, dir_fd=top)
        try:
            self._make_link(self._kind, source, _PART, target_fd=folder, dir_fd=top)
            rename_apart(_PART, name, old_fd=top, new_fd=top)
        except OSError:
            with suppress(OSError):
                os.unlink(_PART, dir_fd=top)
            raise

    def _record(self, top: int, links: Iterable[PhotoLink]) -> None:
        record = {
            "program": "facewatch",
            "library": self._catalog.library_id,
            "links": [asdict(link) for link in links],
        }
        write_part(_PART, json.dumps(record), top, 0o666)
        os.replace(_PART, MARK, src_dir_fd=top, dst_dir_fd=top)


def _read_link(record: Mapping[str, object]) -> PhotoLink:
    return PhotoLink(str(record["name"]), str(record["source"]), str(record["stamp"]))


def _is_name(name: str) -> bool:
    """Whether this is a name in a folder, and none of those that are no link's."""
    return name not in ("", ".", "..", MARK, _PART) and "/" not in name and "\0" not in name
