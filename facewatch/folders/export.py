"""A folder that photos, or faces cut out of them, are exported into: what is in it stays, what is missing is added.

A file in it, MARK, says whose it is and of which form, and has a line for each file that was written; the line is
written before the file gets its name, under which it appears as a whole. So an export that was cut off goes on where
it was. Nothing is ever written over, renamed or removed, whoever put it there.
"""

from __future__ import annotations

import errno
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from shutil import disk_usage
from typing import Literal

from facewatch.catalog import Catalog
from facewatch.errors import BusyError, FolderError
from facewatch.folders.apply import refusal
from facewatch.folders.check import NEW_FOLDER, check_apart
from facewatch.folders.ctimes import fingerprints_of, keep_ctimes
from facewatch.folders.disk import LinkMaker, OpenedFolder, make_link, opened_folder_of, read_entries
from facewatch.folders.model import UNNAMED, Entries, LinkKind, folder_names, link_names, name_key, safe_name
from facewatch.fs.atomic import UNSUPPORTED, rename_apart, write_part
from facewatch.fs.beneath import open_file
from facewatch.fs.locks import take_lock
from facewatch.ids import label_of
from facewatch.types import Fingerprint

MARK = ".facewatch-export"
_PART = ".facewatch-export.part"
_MOST_NAME_BYTES = 200
"""Of a person's name in that of a file; a name may have 255."""


@dataclass(frozen=True, slots=True)
class ExportForm:
    """What the files of an export are; a folder holds those of one form."""

    content: Literal["photos", "faces"] = "photos"
    link: LinkKind = "copy"
    """How photos get there; faces are pictures of their own."""
    is_flat: bool = False
    """All in one folder; else a folder per person."""
    side: int = 0
    """Of faces, in pixels, at most; 0: the files are photos."""
    margin: float = 0.0
    """Around faces, as a share of them."""


@dataclass(frozen=True, slots=True)
class ExportItem:
    """One photo of somebody, or one face."""

    photo_id: int
    face_id: int | None
    """None: the whole photo."""
    person_id: int | None
    """None: of several people."""
    name: str | None
    """Of the person; None is one that nobody has named yet."""
    source: str
    """The path of the photo, from which a file has its name."""
    n_bytes: int
    """Of the file that it becomes; of a face about so many, of a link 0."""

    @property
    def key(self) -> str:
        """What tells it from all others, in every export of one catalog."""
        return f"{self.person_id or 0}:{self.photo_id}:{self.face_id or 0}"


@dataclass(frozen=True, slots=True)
class ExportFile:
    """An item, and the file that it is to become."""

    item: ExportItem
    path: str
    """Below the folder."""


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What a folder lacks."""

    made: tuple[ExportFile, ...]
    n_there: int
    """Files that an earlier export made; whatever became of them, they stay."""

    @property
    def n_bytes(self) -> int:
        return sum(file.item.n_bytes for file in self.made)


def plan_export(
    items: Iterable[ExportItem], recorded: Mapping[str, str], folders: Mapping[str, Entries], *, form: ExportForm
) -> ExportPlan:
    """Return what is missing of these items, and the name that each gets; no name is there already.

    Args:
        recorded: the path of each item that was made, by its key.
        folders: what is in the folder (""), and in those in it.
    """
    names = _Names(recorded, folders, form)
    made, n_there = [], 0
    for item in items:
        if names.is_there(recorded.get(item.key, "")):
            n_there += 1
        else:
            made.append(ExportFile(item, names.take(item)))
    return ExportPlan(tuple(made), n_there)


class _Names:
    """The names that are taken, on a disk that ignores case and composition."""

    def __init__(self, recorded: Mapping[str, str], folders: Mapping[str, Entries], form: ExportForm) -> None:
        self._form = form
        self._taken = {name_key(path): {name_key(name) for name in names} for path, names in folders.items()}
        folders_of = ((key, _divided(path)[0]) for key, path in recorded.items())
        self._owners = {name_key(folder): int(key.partition(":")[0]) for key, folder in folders_of if folder}
        self._folders: dict[int, str] = {}
        self._counts: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(1))

    def is_there(self, path: str) -> bool:
        return self._is_taken(*_divided(path))

    def take(self, item: ExportItem) -> str:
        """Return a path that nothing has."""
        folder = "" if self._form.is_flat or item.person_id is None else self._folder_of(item.person_id, item.name)
        name = next(name for name in self._candidates(item, folder) if not self._is_taken(folder, name))
        self._taken.setdefault(name_key(folder), set()).add(name_key(name))
        return f"{folder}/{name}" if folder else name

    def _candidates(self, item: ExportItem, folder: str) -> Iterator[str]:
        if item.face_id is None:
            return link_names(item.source)
        whose = ""
        if self._form.is_flat:
            label = safe_name(item.name or label_of(item.person_id or 0)).encode()[:_MOST_NAME_BYTES]
            whose = f"{label.decode(errors='ignore')} "
        return (f"{whose}{number:04}.jpg" for number in self._counts[f"{folder}/{whose}"])

    def _folder_of(self, person_id: int, name: str | None) -> str:
        if person_id not in self._folders:
            folder = next(path for path in folder_names(person_id, name) if self._may_be_folder(path, person_id))
            self._folders[person_id] = folder
            self._owners[name_key(folder)] = person_id
        return self._folders[person_id]

    def _may_be_folder(self, path: str, person_id: int) -> bool:
        """Whether it is this person's, or nobody's: not there yet, or empty as a crash leaves it."""
        owner, inside = self._owners.get(name_key(path)), self._taken.get(name_key(path))
        if owner not in (None, person_id):
            return False
        return not self.is_there(path) or (inside is not None and (owner == person_id or not inside))

    def _is_taken(self, folder: str, name: str) -> bool:
        return bool(name) and name_key(name) in self._taken.get(name_key(folder), ())


def _divided(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder, name


class ExportFolder:
    """A folder that is exported into."""

    def __init__(
        self, catalog: Catalog, root: Path, form: ExportForm, *, people: Path, make_link: LinkMaker = make_link
    ) -> None:
        """`people`: the people folder.

        Raises:
            FolderError: it lies in a library, in the people folder, or around one of these.
        """
        self.root = root
        self.form = form
        self._catalog = catalog
        self._make_link = make_link
        self._real = os.path.realpath(root)
        check_apart(root, catalog.roots.all(), people)

    def plan(self, items: Sequence[ExportItem]) -> ExportPlan:
        """Return what the folder lacks; changes nothing.

        Raises:
            FolderError: it is somebody else's, holds another form, or cannot be read.
        """
        try:
            with OpenedFolder(self._real) as opened:
                return self._plan(opened, items)
        except FileNotFoundError:
            return plan_export(items, {}, {}, form=self.form)
        except OSError as error:
            raise refusal(self.root, error, other=NEW_FOLDER) from error

    @contextmanager
    def writing(self, items: Sequence[ExportItem]) -> Iterator[tuple[ExportPlan, ExportWriter]]:
        """Make the folder if it is not there, and yield what it lacks and what writes that.

        Raises:
            FolderError: it is somebody else's, holds another form, cannot be written, or has no room.
            BusyError: another export writes to it.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with OpenedFolder(self._real) as opened:
                self._plan(opened, ())
                with self._marked(opened.top) as mark:
                    plan = self._plan(opened, items)
                    self._check_room(plan.n_bytes)
                    libraries = [os.fspath(root) for root in self._catalog.roots.all()]
                    writer = ExportWriter(self.root, opened, mark, self.form.link, libraries, self._make_link)
                    try:
                        yield plan, writer
                    finally:
                        keep_ctimes(self._catalog, writer.hard_linked)
        except OSError as error:
            raise refusal(self.root, error, other=NEW_FOLDER) from error

    def _check_room(self, n_bytes: int) -> None:
        n_free = disk_usage(self._real).free
        if n_bytes > n_free:
            raise FolderError(
                f"{self.root}: {n_bytes / 1e6:.0f} MB are to be written, and its disk has {n_free / 1e6:.0f} MB left: "
                "free some space, export fewer photos, or name a folder on another disk"
            )

    def _plan(self, opened: OpenedFolder, items: Sequence[ExportItem]) -> ExportPlan:
        folders: dict[str, Entries] = {"": read_entries(opened.top)}
        recorded = self._recorded(opened.top, folders[""])
        if items and not self.form.is_flat:
            folders |= _read_folders(opened, folders[""])
        return plan_export(items, recorded, folders, form=self.form)

    def _recorded(self, top: int, entries: Entries) -> dict[str, str]:
        """Return the path of each item that was made, by its key.

        Raises:
            FolderError: the folder is another catalog's, holds another form, or is nobody's and not empty.
        """
        if MARK not in entries:
            if entries.keys() - {_PART}:
                raise FolderError(f"{self.root}: is not empty, and no export made it: {NEW_FOLDER}")
            return {}
        try:
            with os.fdopen(open_file(MARK, top), encoding="utf-8") as file:
                first, *lines = file.read().split("\n")
            head = json.loads(first)
            library, form = head["library"], ExportForm(**head["form"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FolderError(f"{self.root / MARK}: cannot be read ({error}): {NEW_FOLDER}") from error
        if library != self._catalog.library_id:
            raise FolderError(f"{self.root}: is an export of another catalog: {NEW_FOLDER}")
        if form != self.form:
            raise FolderError(f"{self.root}: holds {_what(form)}, not {_what(self.form)}: {NEW_FOLDER}")
        return dict(filter(None, map(_read_line, lines)))

    @contextmanager
    def _marked(self, top: int) -> Iterator[int]:
        """Mark the folder if nobody did, and yield the mark, opened for adding lines, which keeps others out."""
        if MARK not in read_entries(top):
            head = {"program": "facewatch", "library": self._catalog.library_id, "form": asdict(self.form)}
            write_part(_PART, json.dumps(head) + "\n", top, 0o666)
            with suppress(FileExistsError):
                rename_apart(_PART, MARK, old_fd=top, new_fd=top)
        mark = open_file(MARK, top, os.O_RDWR | os.O_APPEND)
        try:
            if not _is_ours_alone(mark):
                raise BusyError(f"{self.root}: another export writes to it now: wait for it, or {NEW_FOLDER}")
            # The last line may have been cut off.
            os.write(mark, b"\n")
            yield mark
        finally:
            os.close(mark)


def _read_folders(opened: OpenedFolder, entries: Entries) -> dict[str, Entries]:
    """Return what is in the folders of people, and in the one that holds those of people without a name."""

    def below(folder: str, entries: Entries) -> dict[str, Entries]:
        paths = [f"{folder}{name}" for name, entry in entries.items() if entry.kind == "dir"]
        return {path: read_entries(opened.enter(path)) for path in paths}

    found = below("", entries)
    return found | below(f"{UNNAMED}/", found.get(UNNAMED, {}))


def _is_ours_alone(mark: int) -> bool:
    try:
        return take_lock(mark)
    except OSError:  # a file system without locks
        return True


def _read_line(line: str) -> tuple[str, str] | None:
    try:
        key, path = json.loads(line)
    except (ValueError, TypeError):
        return None
    return (key, path) if isinstance(key, str) and isinstance(path, str) and key.partition(":")[0].isdigit() else None


def _what(form: ExportForm) -> str:
    where = "in one folder" if form.is_flat else "in a folder per person"
    if form.content == "faces":
        return f"faces of {form.side} pixels with a margin of {form.margin:g} {where}"
    kinds = {"copy": "copies of photos", "symlink": "links to photos", "hardlink": "hard links to photos"}
    return f"{kinds[form.link]} {where}"


@dataclass(slots=True)
class ExportWriter:
    """Writes files into an export folder, each of which is there as a whole or not at all."""

    root: Path
    opened: OpenedFolder
    mark: int
    """The descriptor of the file that records what was written."""
    kind: LinkKind
    libraries: Sequence[str]
    """No link is followed on the way from one of these to a photo."""
    make_link: LinkMaker
    hard_linked: dict[Path, Fingerprint] = field(default_factory=dict)
    """Photos as they were before."""
    n_made: int = 0

    def write(self, file: ExportFile, content: bytes) -> None:
        """Write a file with this content.

        Raises:
            OSError: it cannot be written.
        """

        def make() -> None:
            handle = os.open(_PART, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=self.opened.top)
            with os.fdopen(handle, "wb") as part:
                part.write(content)

        self._place(file, make)

    def link(self, file: ExportFile, sources: Sequence[Path]) -> None:
        """Make a file a link to a photo, or a copy of it: of the first of these that is there.

        Raises:
            OSError: none of them is there, or the link cannot be made.
            FolderError: the folder cannot hold such links, or is gone.
        """
        for source in sources[:-1]:
            with suppress(FileNotFoundError):
                return self._place(file, lambda source=source: self._make(file, source))  # type: ignore[misc]
        try:
            self._place(file, lambda: self._make(file, sources[-1]))
        except OSError as error:
            self._check_is_there()
            if self.kind == "copy" or self.n_made or error.errno not in UNSUPPORTED:
                raise
            raise FolderError(f"{self.root}: {_refused(self.kind, error)}") from error

    def _check_is_there(self) -> None:
        """Refuse to go on without the folder: it is not the photos that are missing then."""
        try:
            os.stat(MARK, dir_fd=self.opened.top)
        except OSError as error:
            raise FolderError(
                f"{self.root}: not there any more ({error.strerror}): connect its disk, then export again"
            ) from error

    def _make(self, file: ExportFile, source: Path) -> None:
        """Make what is to become the file."""
        top = self.opened.top
        with opened_folder_of(os.fspath(source), self.libraries) as folder:
            # A link to nowhere could be made, too.
            os.close(open_file(source.name, folder))
            if self.kind == "symlink":
                real = os.path.join(os.path.realpath(self.root), os.path.dirname(file.path))
                target = os.path.join(os.path.relpath(source.parent, real), source.name)
                return self.make_link("symlink", target, _PART, target_fd=None, dir_fd=top)
            if self.kind == "hardlink":
                for photo, before in fingerprints_of([source]).items():
                    self.hard_linked.setdefault(photo, before)
            self.make_link(self.kind, source.name, _PART, target_fd=folder, dir_fd=top)

    def _place(self, file: ExportFile, make: Callable[[], None]) -> None:
        """Have a part made, record the file, and give the part its name."""
        top = self.opened.top
        folder, name = _divided(file.path)
        with suppress(FileNotFoundError):
            os.unlink(_PART, dir_fd=top)
        try:
            make()
            self._make_folder(folder)
            os.write(self.mark, json.dumps([file.item.key, file.path]).encode() + b"\n")
            rename_apart(_PART, name, old_fd=top, new_fd=self.opened.enter(folder))
        except BaseException:
            with suppress(OSError):
                os.unlink(_PART, dir_fd=top)
            raise
        self.n_made += 1

    def _make_folder(self, path: str) -> None:
        parent, name = _divided(path)
        if name and not self.opened.is_in_place(path):
            self._make_folder(parent)
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=self.opened.enter(parent))


def _refused(kind: LinkKind, error: OSError) -> str:
    if error.errno == errno.EXDEV:
        return "hard links need photos and folder on one file system, and they are on two: --link copy, or symlink"
    other = "symlink" if kind == "hardlink" else "hardlink"
    return f"cannot hold a {kind} ({error.strerror}): --link copy, or {other}"
