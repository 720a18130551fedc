"""What was about to be done in the people folder is recorded before; after a crash, what was done of it is recorded.

Then all that we did is on record, and what else differs is somebody's doing. Without that nobody would know any more
whose the new links and folders are when somebody decides otherwise in between, and a link that we removed would pass
for one that somebody deleted.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from facewatch.folders.apply import refusal
from facewatch.folders.disk import OpenedFolder, face_in, read_entry
from facewatch.folders.model import (
    MARKER,
    Action,
    FolderEntry,
    Ledger,
    LinkKind,
    MakeFolder,
    MakeLink,
    MoveFolder,
    MoveLink,
    RemoveFolder,
    RemoveLink,
    home_of,
)
from facewatch.fs.atomic import exists


def intents_of(actions: Iterable[Action], kind: LinkKind) -> str:
    """Return, as JSON, those actions that the record has to follow; "" when there are none."""
    intents = list(_intents(actions, kind))
    return json.dumps(intents) if intents else ""


def _intents(actions: Iterable[Action], kind: LinkKind) -> Iterator[tuple[object, ...]]:
    for action in actions:
        match action:
            case MoveFolder(person_id, old, new, is_done=False):
                yield "move", person_id, old, new
            case MakeFolder(person_id, path, is_done=False):
                yield "folder", person_id, path
            case MakeLink(person_id, photo_id, path, source, target, is_done=False):
                yield "link", person_id, photo_id, path, source, target, kind
            case MoveLink(link_id, person_id, photo_id, old, path, source, stamp):
                yield "move link", link_id, person_id, photo_id, old, path, source, stamp
            case RemoveLink(link_id, path, stamp):
                yield "remove", link_id, path, stamp
            case RemoveFolder(path, is_done=False):
                yield "remove folder", path


def resume(intents: str, root: Path, folders: Mapping[int, str], ledger: Ledger) -> bool:
    """Tell the ledger which of these actions were done; False when that cannot be seen, because the folder is not
    there.

    Args:
        intents: of the run that was cut off; all that it did before them is recorded.
        folders: the recorded folder of each person.

    Raises:
        FolderError: the folder cannot be read.
    """
    try:
        with OpenedFolder(os.path.realpath(root)) as opened:
            if not exists(MARKER, opened.top):
                return False
            recovery = _Recovery(opened, dict(folders), ledger, json.loads(intents))
            for intent in recovery.intents:
                recovery.at(intent)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise refusal(root, error) from error
    return True


class _Recovery:
    """Checks on the disk what was to be done, in that order."""

    def __init__(
        self, opened: OpenedFolder, folders: dict[int, str], ledger: Ledger, intents: Sequence[Sequence[Any]]
    ) -> None:
        self.intents = intents
        self._opened, self._folders, self._ledger = opened, folders, ledger
        self._going = {intent[1] for intent in intents if intent[0] == "remove folder"}
        self._unreached: set[str] = set()
        """Where folders were to be moved, and are not: nothing of what comes after that was done."""

    def at(self, intent: Sequence[Any]) -> None:
        match intent:
            case ["move", person_id, old, new]:
                self._move(person_id, old, new)
            case ["folder", person_id, path]:
                self._folder(person_id, path)
            case ["link", person_id, photo_id, path, source, target, kind]:
                self._link(person_id, photo_id, path, source, target, kind)
            case ["move link", link_id, person_id, photo_id, old, path, source, stamp]:
                self._move_link(link_id, person_id, photo_id, old, path, source, stamp)
            case ["remove", link_id, path, stamp]:
                self._remove(link_id, path, stamp)

    def _move(self, person_id: int, old: str, new: str) -> None:
        is_moved = self._entry(new).kind == "dir" and self._entry(old).kind != "dir"
        if is_moved and self._folders.get(person_id) == old:
            self._folders[person_id] = new
            self._ledger.folder_moved(person_id, old, new)
        if self._folders.get(person_id) != new:
            self._unreached.add(new)

    def _folder(self, person_id: int, path: str) -> None:
        is_new = person_id not in self._folders and path not in self._folders.values()
        if is_new and self._entry(path).kind == "dir":
            self._folders[person_id] = path
            self._ledger.folder_made(person_id, path)

    def _link(self, person_id: int, photo_id: int, path: str, source: str, target: str, kind: LinkKind) -> None:
        entry = self._entry(path)
        if kind == "face":
            stamp = self._face_stamp(path, entry)
        else:
            stamp = f"symlink:{target}" if kind == "symlink" else read_entry(target).stamp(kind)
        if entry.bears(stamp):
            self._ledger.link_made(person_id, photo_id, path, source, stamp)
        else:
            self._leave_year(path)  # it was made for the link, and may be empty

    def _move_link(
        self, link_id: int, person_id: int, photo_id: int, old: str, path: str, source: str, stamp: str
    ) -> None:
        if self._entry(path).bears(stamp) and not self._entry(old).bears(stamp):
            self._ledger.link_made(person_id, photo_id, path, source, stamp)
            self._ledger.link_removed(link_id)
            self._leave_year(old)
        else:
            self._leave_year(path)

    def _remove(self, link_id: int, path: str, stamp: str) -> None:
        home = home_of(path)
        is_ours = home not in self._unreached and (home in self._going or self._entry(home).kind == "dir")
        # Where it was not we who removed the folder, somebody has moved it, and the link in it.
        if is_ours and not self._entry(path).bears(stamp):
            self._ledger.link_removed(link_id)
            self._leave_year(path)

    def _leave_year(self, path: str) -> None:
        """Remove the year that something was to be in, or was in, if it is empty."""
        year = path.rpartition("/")[0]
        if home_of(path) != year:
            with contextlib.suppress(OSError):
                os.rmdir(year.rpartition("/")[2], dir_fd=self._opened.enter(home_of(path)))

    def _face_stamp(self, path: str, entry: FolderEntry) -> str:
        folder, _, name = path.rpartition("/")
        face_id = face_in(name, self._opened.enter(folder)) if entry.kind == "file" else None
        return f"{entry.stamp('face')}:{face_id}" if face_id is not None else ""

    def _entry(self, path: str) -> FolderEntry:
        folder, _, name = path.rpartition("/")
        try:
            return read_entry(name, self._opened.enter(folder))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return FolderEntry("other")
            raise
