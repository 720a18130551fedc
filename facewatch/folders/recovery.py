"""What is about to be done, told before it is done, so that what a crash cut off is known for ours afterwards.

`apply` changes the disk first and the record afterwards. After a crash the next plan recognises what was done, as long
as it is still wanted. When somebody decides otherwise in between, nobody would know any more whose those links and
folders are, and they would stay for ever; therefore `resume` records them before anything is planned.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from facewatch.folders.apply import refusal
from facewatch.folders.disk import OpenedFolder, read_entry
from facewatch.folders.model import MARKER, Action, FolderEntry, Ledger, LinkKind, MakeFolder, MakeLink, MoveFolder
from facewatch.fs.atomic import exists


def intents_of(actions: Iterable[Action], kind: LinkKind) -> str:
    """Return, as JSON, those actions that change the disk so that the record has to follow; "" when there are none."""
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
                yield "link", person_id, photo_id, path, os.fspath(source), target, kind


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
            recovery = _Recovery(opened, dict(folders), ledger)
            for intent in json.loads(intents):
                recovery.at(intent)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise refusal(root, error) from error
    return True


class _Recovery:
    """Looks on the disk at what was to be done, in that order."""

    def __init__(self, opened: OpenedFolder, folders: dict[int, str], ledger: Ledger) -> None:
        self._opened, self._folders, self._ledger = opened, folders, ledger

    def at(self, intent: Sequence[Any]) -> None:
        match intent:
            case ["move", person_id, old, new]:
                self._move(person_id, old, new)
            case ["folder", person_id, path]:
                self._folder(person_id, path)
            case ["link", person_id, photo_id, path, source, target, kind]:
                self._link(person_id, photo_id, path, source, target, kind)

    def _move(self, person_id: int, old: str, new: str) -> None:
        is_moved = self._entry(new).kind == "dir" and self._entry(old).kind != "dir"
        if is_moved and self._folders.get(person_id) == old:
            self._folders[person_id] = new
            self._ledger.folder_moved(person_id, old, new)

    def _folder(self, person_id: int, path: str) -> None:
        is_new = person_id not in self._folders and path not in self._folders.values()
        if is_new and self._entry(path).kind == "dir":
            self._folders[person_id] = path
            self._ledger.folder_made(person_id, path)

    def _link(self, person_id: int, photo_id: int, path: str, source: str, target: str, kind: LinkKind) -> None:
        entry = self._entry(path)
        stamp = f"symlink:{target}" if kind == "symlink" else read_entry(target).stamp(kind)
        if entry.bears(stamp):
            self._ledger.link_made(person_id, photo_id, path, Path(source), stamp)

    def _entry(self, path: str) -> FolderEntry:
        folder, _, name = path.rpartition("/")
        try:
            return read_entry(name, self._opened.enter(folder))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return FolderEntry("other")
            raise
