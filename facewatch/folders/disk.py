"""The people folder on the disk: lists it and makes links in it.

It is worked on by descriptors: what is done in it happens in it, whoever puts a link in the place of a folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Protocol

from facewatch.errors import FolderError
from facewatch.folders.marks import FACE_KEY, HEAD_BYTES, is_as_made, key_of
from facewatch.folders.model import (
    COVERS,
    MARKER,
    N_CANDIDATES,
    PARENTS,
    Disk,
    Entries,
    FolderEntry,
    LinkKind,
    WantedFolder,
    folder_names,
    home_of,
    temporary_folder,
)
from facewatch.fs import beneath
from facewatch.fs.beneath import open_file, open_folder_beneath
from facewatch.types import RecordedLink


def read_disk(
    root: Path,
    wanted: Iterable[WantedFolder],
    links: Iterable[RecordedLink],
    folders: Mapping[int, str],
    kind: LinkKind,
    *,
    known: Mapping[str, Entries] = MappingProxyType({}),
) -> Disk:
    """Return what stands in the folders that are recorded or wanted; follows no link and reads nothing else.

    Args:
        known: folders that have just been read, by path.

    Raises:
        FolderError: there are records, but the folder and its marker are gone: an unplugged disk is not a deletion.
    """
    wanted, links = list(wanted), list(links)
    top = os.path.realpath(root)
    if (links or folders) and not os.path.lexists(f"{top}/{MARKER}"):
        raise FolderError(
            f"{root}: this is not the people folder any more (no {MARKER} in it): connect its disk; "
            "if it was deleted, facewatch folders makes it again"
        )
    concerned = _concerned(wanted, links, folders)
    found = _read_folders(top, ["", *PARENTS, *sorted(concerned - {"", *PARENTS})], known)
    sources = {} if kind in ("symlink", "face") else _read_sources(wanted, links, found)
    return Disk(top, found, sources)


def _concerned(wanted: Iterable[WantedFolder], links: Iterable[RecordedLink], folders: Mapping[int, str]) -> set[str]:
    """Return the folders that are recorded, those that may be wanted, and the years in them."""
    homes = {person_id: {folder, temporary_folder(person_id)} for person_id, folder in folders.items()}
    years: dict[int, set[str]] = {}
    for person in wanted:
        options = islice(folder_names(person.person_id, person.name), N_CANDIDATES)
        homes.setdefault(person.person_id, set()).update(options)
        years[person.person_id] = {link.subfolder for link in person.links if link.subfolder}
    found: set[str] = set()
    for person_id, folder in {(link.person_id, link.path.rpartition("/")[0]) for link in links}:
        home = home_of(f"{folder}/")
        found |= {folder, home}
        if folder != home:
            years.setdefault(person_id, set()).add(folder[len(home) + 1 :])
    for person_id, mine in homes.items():
        found |= mine
        found |= {f"{home}/{year}" for home in mine for year in years.get(person_id, ())}
    return found.union(*(_above(folder) for folder in found))


def _above(folder: str) -> set[str]:
    """Return the folders that one is in: somebody may have put it into a group of their own."""
    parts = folder.split("/")
    return {"/".join(parts[:n]) for n in range(1, len(parts))}


def _read_folders(top: str, folders: Iterable[str], known: Mapping[str, Entries]) -> dict[str, Entries]:
    """Return the entries of those that are there; parents come first, and the people folder before all."""
    found: dict[str, Entries] = {"": {}}
    folder = ""
    try:
        with contextlib.suppress(FileNotFoundError), OpenedFolder(top) as opened:
            for folder in folders:
                parent, _, name = folder.rpartition("/")
                if not folder or found.get(parent, {}).get(name, FolderEntry("other")).kind == "dir":
                    found[folder] = known[folder] if folder in known else _read_folder(opened, folder)
    except OSError as error:
        # What cannot be seen must not pass for gone, or its records would be dropped.
        path = f"{top}/{folder}".rstrip("/")
        raise FolderError(f"{path}: cannot be read ({error.strerror}): give facewatch the right to read it") from error
    return found


def _read_folder(opened: OpenedFolder, path: str) -> dict[str, FolderEntry]:
    """Return the entries of a folder; none when it has vanished, or become a link, since it was seen."""
    try:
        return read_entries(opened.enter(path))
    except (FileNotFoundError, NotADirectoryError):
        return {}


def read_entries(folder: int) -> dict[str, FolderEntry]:
    """Return what is in an opened folder, by name.

    Raises:
        OSError: it cannot be listed, or is gone.
    """
    dir_fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        with os.scandir(dir_fd) as entries:
            # HFS+ hands back names decomposed; ours are composed, and macOS takes either.
            composed = sys.platform == "darwin"
            return {
                unicodedata.normalize("NFC", e.name) if composed else e.name: _read_listed(e, dir_fd) for e in entries
            }
    finally:
        os.close(dir_fd)


def _read_listed(entry: os.DirEntry[str], dir_fd: int) -> FolderEntry:
    """Return an entry of a folder that was just listed; of a link only its text is asked, which is most of the time."""
    if entry.is_symlink():
        with contextlib.suppress(OSError):  # it may be something else by now
            return FolderEntry("symlink", target=os.readlink(entry.name, dir_fd=dir_fd))
    return read_entry(entry.name, dir_fd)


def read_entry(name: str, dir_fd: int | None = None) -> FolderEntry:
    """Return an entry of an opened folder; one that is not there is of kind "other", which nothing is done to."""
    try:
        info = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        if stat.S_ISLNK(info.st_mode):
            return FolderEntry("symlink", target=os.readlink(name, dir_fd=dir_fd))
    except (FileNotFoundError, NotADirectoryError):
        return FolderEntry("other")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return read_entry(name, dir_fd)  # it was a link until now, and is something else
    if stat.S_ISREG(info.st_mode):
        if os.path.basename(name) in COVERS and (key := _cover_key(name, dir_fd)) is not None:
            return FolderEntry("cover", target=key)
        return FolderEntry("file", inode=info.st_ino, size=info.st_size, mtime_ns=info.st_mtime_ns)
    return FolderEntry("dir" if stat.S_ISDIR(info.st_mode) else "other")


def _cover_key(name: str, dir_fd: int | None) -> str | None:
    try:
        with os.fdopen(os.open(name, _TO_READ, dir_fd=dir_fd), "rb") as file:
            key = key_of(file.read(HEAD_BYTES))
    except OSError:
        return None
    return None if key is None or key.startswith(FACE_KEY) else key


_TO_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def remove_covers(folder: int, names: Iterable[str] = COVERS) -> None:
    """Remove the covers of ours in an opened folder; what somebody has changed is theirs, and stays."""
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            if read_entry(name, folder).kind == "cover" and _is_as_made(name, folder):
                os.unlink(name, dir_fd=folder)


def _is_as_made(name: str, folder: int) -> bool:
    return is_as_made(_content(name, folder))


def face_in(name: str, folder: int) -> str | None:
    """Return the id of the face that a picture of ours in an opened folder shows, "0": none; None: it is none of ours.

    Raises:
        OSError: it cannot be read.
    """
    data = _content(name, folder)
    key = (key_of(data) or "") if is_as_made(data) else ""
    return key.removeprefix(FACE_KEY) if key.startswith(FACE_KEY) else None


def _content(name: str, folder: int) -> bytes:
    with os.fdopen(os.open(name, _TO_READ, dir_fd=folder), "rb") as file:
        return file.read()


def _read_sources(wanted: list[WantedFolder], links: list[RecordedLink], found: Mapping[str, Entries]) -> Entries:
    """Return the source files of wanted links that are not on disk as recorded."""
    intact = {(link.person_id, link.photo_id) for link in links if is_intact(link.path, link.stamp, found)}
    sources = {}
    for person in wanted:
        for source in (
            s for link in person.links if (person.person_id, link.photo_id) not in intact for s in link.sources
        ):
            with contextlib.suppress(OSError):  # the fault is reported when the link is made
                sources[source] = read_entry(source)
    return sources


def is_intact(path: str, stamp: str, folders: Mapping[str, Entries]) -> bool:
    folder, _, name = path.rpartition("/")
    entry = folders.get(folder, {}).get(name)
    return entry is not None and entry.bears(stamp)


_NO_FOLDER = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EMLINK}


@dataclass(frozen=True, slots=True)
class _Opened:
    handle: int
    identity: tuple[int, int]
    """Its device and inode, which no other has while it is open."""


class OpenedFolder:
    """The people folder, opened, with those folders in it that were entered last. Close it, or use it with `with`."""

    def __init__(self, root: str) -> None:
        """Open the people folder, which may be a link.

        Raises:
            OSError: it is not there, or cannot be entered.
        """
        self.top = beneath.open_folder_beneath(root, "")
        self._open: dict[str, _Opened] = {}

    def __enter__(self) -> OpenedFolder:
        return self

    def __exit__(self, *_: object) -> None:
        for path in list(self._open):
            self._close(path)
        os.close(self.top)

    def enter(self, path: str) -> int:
        """Return a descriptor of the folder that has this path now ("": the people folder); for use until the next.

        Those that hold folders stay: people move out of that of the unnamed, and into it.

        Raises:
            NotADirectoryError: there is none, or a link has its place.
            OSError: it cannot be entered.
        """
        if not path:
            return self.top
        if not self.is_in_place(path):
            self._open[path] = self._entered(path)
        return self._open[path].handle

    def is_in_place(self, path: str) -> bool:
        """Whether the folder that was entered last by this path has it still."""
        if not path:
            return True
        parent, _, name = path.rpartition("/")
        folder = self._open.get(path)
        if folder is None or not self.is_in_place(parent):
            return False
        try:
            return _identity(os.stat(name, dir_fd=self._handle(parent), follow_symlinks=False)) == folder.identity
        except OSError:
            return False

    def _entered(self, path: str) -> _Opened:
        parent, _, name = path.rpartition("/")
        above = self.enter(parent)
        for other in self._open.keys() - {parent, *PARENTS} | self._open.keys() & {path}:
            self._close(other)
        try:
            handle = beneath.enter(name, above)
        except OSError as error:
            if error.errno in _NO_FOLDER:
                raise NotADirectoryError(errno.ENOTDIR, f"{path} is not a folder") from error
            raise
        return _Opened(handle, _identity(os.fstat(handle)))

    def _handle(self, path: str) -> int:
        return self._open[path].handle if path else self.top

    def _close(self, path: str) -> None:
        os.close(self._open.pop(path).handle)


def _identity(info: os.stat_result) -> tuple[int, int]:
    return info.st_dev, info.st_ino


class LinkMaker(Protocol):
    """What makes one link in a folder of the people folder."""

    def __call__(self, kind: LinkKind, target: str, name: str, *, target_fd: int | None, dir_fd: int) -> None:
        """Make a link; never in place of something.

        Args:
            target: the text of a symlink; the file that a hard link or a copy is made of, in the folder `target_fd`.
            name: of the link, in the folder `dir_fd`.

        Raises:
            FileNotFoundError: the file is not there, or no file but a link, for instance.
            OSError: the link cannot be made.
        """


def make_link(kind: LinkKind, target: str, name: str, *, target_fd: int | None, dir_fd: int) -> None:
    """Make a symlink of that text, or a hard link to, a copy or a clone of that file (see `LinkMaker`)."""
    if kind == "symlink":
        os.symlink(target, name, dir_fd=dir_fd)
    elif target_fd is None:
        raise ValueError("a hard link or a copy is made of a file in an opened folder")
    elif kind == "hardlink":
        _link(target, name, target_fd, dir_fd)
    else:
        _copy(target, name, target_fd, dir_fd, _clone if kind == "reflink" else shutil.copyfileobj)


def _link(target: str, name: str, target_fd: int, dir_fd: int) -> None:
    os.link(target, name, src_dir_fd=target_fd, dst_dir_fd=dir_fd, follow_symlinks=False)
    if not stat.S_ISREG(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=dir_fd)  # only now is it known what was linked to
        raise FileNotFoundError(errno.ENOENT, "not a file", target)


def _copy(target: str, name: str, target_fd: int, dir_fd: int, fill: Callable[[BinaryIO, BinaryIO], None]) -> None:
    with os.fdopen(open_file(target, target_fd), "rb") as source:
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=dir_fd)
        with os.fdopen(handle, "wb") as copy:
            fill(source, copy)
            copy.flush()
            _copy_facts(source.fileno(), handle)


def _clone(source: BinaryIO, copy: BinaryIO) -> None:
    """Let a file share what another holds; a file system that cannot refuses, and nothing is copied instead.

    Raises:
        OSError: it refuses.
    """
    if sys.platform != "linux":
        raise OSError(errno.EOPNOTSUPP, "facewatch makes reflinks on Linux only")
    import fcntl

    try:
        fcntl.ioctl(copy.fileno(), _FICLONE, source.fileno())
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL):  # not known there, or not for files of this kind
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP)) from error
        raise


_FICLONE = 0x40049409
"""Of ioctl_ficlone(2), as x86 and ARM number it; the module fcntl names it from Python 3.12 on."""


def _copy_facts(source: int, copy: int) -> None:
    """Give a copy the times, rights and tags of its source, as far as its file system knows such."""
    for tag in _tags_of(source):
        with contextlib.suppress(OSError):
            os.setxattr(copy, tag, os.getxattr(source, tag))
    info = os.fstat(source)
    with contextlib.suppress(OSError):  # FAT knows two kinds of rights, and refuses all others, or whoever sets any
        os.fchmod(copy, stat.S_IMODE(info.st_mode) & 0o777)
    os.utime(copy, ns=(info.st_atime_ns, info.st_mtime_ns))


def _tags_of(file: int) -> list[str]:
    try:
        return os.listxattr(file)
    except (AttributeError, OSError):  # macOS has none in Python; exFAT and FAT as some programs mount them refuse
        return []


@contextmanager
def opened_folder_of(source: str, libraries: Sequence[str] = ()) -> Iterator[int]:
    """Give a descriptor of the folder that a file of the library is in; below its library no link is followed.

    Where none of the libraries is above the file, its folder is taken as it is reached.

    Raises:
        FileNotFoundError: there is no such folder, or only by way of a link.
        OSError: it cannot be entered.
    """
    folder = os.path.dirname(source)
    above = [root for root in (root.rstrip("/") for root in libraries) if f"{folder}/".startswith(f"{root}/")]
    root = max(above, key=len, default=folder)
    try:
        handle = open_folder_beneath(root or "/", folder[len(root) :].strip("/"))
    except NotADirectoryError as error:
        raise FileNotFoundError(errno.ENOENT, "its folder is not there", source) from error
    try:
        yield handle
    finally:
        os.close(handle)
