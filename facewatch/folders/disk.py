"""What stands in the people folder now."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

from facewatch.errors import FolderError
from facewatch.folders.model import Disk, Entries, Entry, LinkKind, RecordedLink, WantedFolder
from facewatch.folders.names import MARKER, N_CANDIDATES, UNNAMED, folder_names, temporary_folder
from facewatch.folders.opened import OpenedFolder


def read_disk(
    root: Path,
    wanted: Iterable[WantedFolder],
    links: Iterable[RecordedLink],
    folders: Mapping[int, str],
    kind: LinkKind,
) -> Disk:
    """Return what stands in the folders that are recorded or wanted; follows no link and looks nowhere else.

    Raises:
        FolderError: there are records, but the folder and its marker are gone: an unplugged disk is not a deletion.
    """
    wanted, links = list(wanted), list(links)
    top = os.path.realpath(root)
    if (links or folders) and not os.path.lexists(f"{top}/{MARKER}"):
        raise FolderError(
            f"{root}: this is not the people folder any more (no {MARKER} in it): connect its disk; "
            "if it was deleted, facewatch folders makes it anew"
        )
    concerned = {*folders.values(), *(link.path.rpartition("/")[0] for link in links)}
    concerned.update(*(islice(folder_names(person.person_id, person.name), N_CANDIDATES) for person in wanted))
    concerned.update(temporary_folder(person_id) for person_id in folders)
    found = _read_folders(top, ["", UNNAMED, *sorted(concerned - {"", UNNAMED})])
    sources = {} if kind == "symlink" else _read_sources(wanted, links, found)
    return Disk(top, found, sources)


def _read_folders(top: str, folders: Iterable[str]) -> dict[str, Entries]:
    """Return the entries of those that are there; parents come first, and the people folder before all."""
    found: dict[str, Entries] = {"": {}}
    folder = ""
    try:
        with contextlib.suppress(FileNotFoundError), OpenedFolder(top) as opened:
            for folder in folders:
                parent, _, name = folder.rpartition("/")
                if not folder or found.get(parent, {}).get(name, Entry("other")).kind == "dir":
                    found[folder] = _read_folder(opened, folder)
    except OSError as error:
        # What cannot be seen must not pass for gone, or its records would be dropped.
        path = f"{top}/{folder}".rstrip("/")
        raise FolderError(f"{path}: cannot be read ({error.strerror}): give facewatch the right to read it") from error
    return found


def _read_folder(opened: OpenedFolder, path: str) -> dict[str, Entry]:
    """Return the entries of a folder; none when it has vanished, or become a link, since it was seen."""
    try:
        dir_fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=opened.enter(path))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    try:
        with os.scandir(dir_fd) as entries:
            # HFS+ hands back names decomposed; ours are composed, and macOS takes either.
            composed = sys.platform == "darwin"
            return {
                unicodedata.normalize("NFC", e.name) if composed else e.name: read_entry(e.name, dir_fd)
                for e in entries
            }
    finally:
        os.close(dir_fd)


def read_entry(name: str, dir_fd: int | None = None) -> Entry:
    """Return an entry of an opened folder; one that is not there is of kind "other", which nothing is done to."""
    try:
        info = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        if stat.S_ISLNK(info.st_mode):
            return Entry("symlink", target=os.readlink(name, dir_fd=dir_fd))
    except (FileNotFoundError, NotADirectoryError):
        return Entry("other")
    if stat.S_ISREG(info.st_mode):
        return Entry("file", inode=info.st_ino, size=info.st_size, mtime_ns=info.st_mtime_ns)
    return Entry("dir" if stat.S_ISDIR(info.st_mode) else "other")


def _read_sources(wanted: list[WantedFolder], links: list[RecordedLink], found: Mapping[str, Entries]) -> Entries:
    """Return the source files of wanted links that are not on disk as recorded."""
    intact = {(link.person_id, link.photo_id) for link in links if is_intact(link.path, link.stamp, found)}
    sources = {}
    for person in wanted:
        for source in (
            s for link in person.links if (person.person_id, link.photo_id) not in intact for s in link.sources
        ):
            with contextlib.suppress(OSError):  # the fault is told when the link is made
                sources[os.fspath(source)] = read_entry(os.fspath(source))
    return sources


def is_intact(path: str, stamp: str, folders: Mapping[str, Entries]) -> bool:
    folder, _, name = path.rpartition("/")
    entry = folders.get(folder, {}).get(name)
    return entry is not None and entry.bears(stamp)


def place_in(root: Path, path: Path) -> str | None:
    """Return where a path lies below the people folder, as records have it; None: elsewhere. The folders on the way
    may be links, what stands there is not followed."""
    top, folder = os.path.realpath(root), os.path.realpath(path.parent)
    if not folder.startswith(f"{top}/"):
        return None
    place = f"{folder[len(top) + 1 :]}/{path.name}"
    return unicodedata.normalize("NFC", place) if sys.platform == "darwin" else place
