"""Reads all that stands in the people folder, and what of it stands for photos of the library."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from facewatch.errors import FolderError
from facewatch.folders.disk import OpenedFolder, read_entries
from facewatch.folders.model import UNNAMED, Entries, FolderEntry, is_temporary
from facewatch.folders.readback import FolderView, strange_paths
from facewatch.fs.beneath import open_beneath
from facewatch.types import RecordedLink

DEPTH = 4
"""How deep folders in folders are looked into: those of people by year in a group that somebody made."""

_LONGEST_LEFTOVER = 4096
"""Bytes of a file that may hold nothing but the text of a link."""
_SPOILT = (b"XSym\n", b"!<symlink>", b"IntxLNK\x01")
"""How files begin that hold the text of a link: as Samba, Cygwin and Interix write it."""

PhotoOfFile = Callable[[str, FolderEntry], int | None]
"""Returns the photo of the library that a link or a file stands for, by its absolute path; None: none."""


def read_view(
    root: Path,
    links: Iterable[RecordedLink],
    photo_of: PhotoOfFile,
    own: frozenset[str] = frozenset(),
    asked: frozenset[str] = frozenset(),
    extras: Iterable[RecordedLink] = (),
) -> FolderView:
    """Return what stands in the people folder; follows no link, and enters no hidden folder.

    Args:
        links: on record for people.
        extras: on record for folders that are nobody's own.

    Raises:
        FolderError: a folder cannot be read: what cannot be seen must not pass for gone.
    """
    top, links = os.path.realpath(root), list(links)
    folders = _read_folders(top)
    view = FolderView(folders, links, own=own, asked=asked, extras=tuple(extras), hidden=_read_hidden(top, folders))
    by_path = {link.path: link for link in links}
    photos: dict[str, int] = {}
    leftovers = set()
    for path in strange_paths(view):
        entry = view.entry(path)
        assert entry is not None
        if path in by_path and _is_leftover(top, path, entry, by_path[path].stamp):
            leftovers.add(path)
        elif (photo_id := photo_of(f"{top}/{path}", entry)) is not None:
            photos[path] = photo_id
    return replace(view, photos=photos, leftovers=frozenset(leftovers)) if photos or leftovers else view


def _read_folders(top: str) -> Mapping[str, Entries]:
    found: dict[str, Entries] = {}
    todo, folder = [""], ""
    try:
        with OpenedFolder(top) as opened:
            while todo:
                folder = todo.pop()
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    found[folder] = read_entries(opened.enter(folder))
                    todo += sorted(_folders_in(folder, found[folder]), reverse=True)
    except OSError as error:
        path = f"{top}/{folder}".rstrip("/")
        raise FolderError(f"{path}: cannot be read ({error.strerror}): give facewatch the right to read it") from error
    return found


def _folders_in(folder: str, entries: Entries) -> list[str]:
    if folder.count("/") + 1 >= DEPTH:
        return []
    names = (name for name, entry in entries.items() if entry.kind == "dir")
    return [f"{folder}/{name}" if folder else name for name in names if name[0] != "." or is_temporary(name)]


def _read_hidden(top: str, folders: Mapping[str, Entries]) -> Mapping[str, Entries]:
    found: dict[str, Entries] = {}
    with OpenedFolder(top) as opened:
        for parent in ("", f"{UNNAMED}/"):
            names = (name for name, entry in folders.get(parent.rstrip("/"), {}).items() if entry.kind == "dir")
            for path in (f"{parent}{name}" for name in sorted(names) if name[0] == "." and not is_temporary(name)):
                with contextlib.suppress(OSError):  # the trash of others, for instance
                    found[path] = read_entries(opened.enter(path))
    return found


def _is_leftover(top: str, path: str, entry: FolderEntry, stamp: str) -> bool:
    """Whether nothing is left of the link or copy that was here, but perhaps the text of the link."""
    if entry.kind != "file" or entry.size > _LONGEST_LEFTOVER:
        return False
    kind, _, target = stamp.partition(":")
    if not entry.size or kind != "symlink":
        return not entry.size
    data = _read(top, path)
    return data.rstrip(b"\0\r\n ") == os.fsencode(target) or data.startswith(_SPOILT)


def _read(top: str, path: str) -> bytes:
    try:
        with os.fdopen(open_beneath(top, path), "rb") as file:
            return file.read(_LONGEST_LEFTOVER)
    except OSError:
        return b""


def sha256_of(path: str) -> bytes | None:
    """Return the hash of a file that is no link; None: it cannot be read."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        if error.errno == errno.EIO:
            raise
        return None
