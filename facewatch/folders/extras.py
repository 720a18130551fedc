"""Extra folders in the people folder, which are nobody's own: of photos on which some people are together, and of
those on which it is suggested that somebody is.

They are planned and made as those of people are, with a negative id in the place of the person's. What was made is on
record in a file of the people folder, so that it goes where they go; when that file is deleted, only what is still
wanted is known again. What somebody does in these folders means nothing; but a suggestion that is
moved to somebody, or deleted in its folder, is answered by that.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facewatch.folders.model import (
    EXTRAS,
    EXTRAS_RECORD,
    PART,
    TOGETHER,
    Entries,
    FolderEntry,
    home_of,
    name_key,
    review_id,
)
from facewatch.fs.atomic import write_part
from facewatch.fs.beneath import open_file, open_folder_beneath
from facewatch.types import RecordedLink


@dataclass(frozen=True, slots=True)
class Group:
    """People whose photos together have a folder."""

    people: tuple[int, ...]
    names: tuple[str, ...]
    """In the order of the settings."""

    @property
    def id(self) -> int:
        """What stands for it in the place of a person's id; always the same for the same people."""
        key = ",".join(map(str, self.people))
        return -1 - int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big")

    @property
    def name(self) -> str:
        return " & ".join(self.names)


@dataclass(frozen=True, slots=True)
class Suggested:
    """Photos on which it is suggested that a person is."""

    person_id: int
    name: str
    photos: tuple[int, ...]

    @property
    def id(self) -> int:
        return review_id(self.person_id)

    @property
    def people(self) -> tuple[int, ...]:
        return (self.person_id,)


Extra = Group | Suggested
"""Whose an extra folder is."""


def groups_of(
    together: Iterable[Sequence[str]],
    names: Mapping[int, str],
    former: Callable[[], Mapping[str, int]] = dict,
) -> tuple[list[Group], list[str]]:
    """Return the groups of people of these names, and what is wrong with the others, one line each.

    Args:
        names: of all living people who have one.
        former: returns who had a name before; asked where nobody is called so now.
    """
    together = list(together)
    known = {name_key(name): person_id for person_id, name in names.items()}
    if any(name_key(name) not in known for called in together for name in called):
        before = {name_key(name): person_id for name, person_id in former().items() if person_id in names}
        known = before | known
    groups: dict[int, Group] = {}
    faults = []
    for called in together:
        strangers = [name for name in called if name_key(name) not in known]
        people = sorted({known[name_key(name)] for name in called if name not in strangers})
        if strangers:
            nobody = " or ".join(strangers)
            faults.append(
                f"{TOGETHER}/{' & '.join(called)}: nobody is called {nobody}: change together in the settings"
            )
        elif len(people) > 1:
            by_id = {known[name_key(name)]: names[known[name_key(name)]] for name in called}
            group = Group(tuple(people), tuple(by_id.values()))
            groups.setdefault(group.id, group)
    return list(groups.values()), faults


class ExtrasRecord:
    """What was made in extra folders; a `Ledger` of which every call is heard at once, and kept by `commit`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen: tuple[int, ...] | None = None
        """The file as it was read or written last; None: there was none."""
        self._is_changed = False
        self._folders: dict[int, str] = {}
        self._links: dict[int, RecordedLink] = {}
        self._ids: dict[str, int] = {}
        """Of the links, by path."""
        self._last = 0

    def folders(self) -> Mapping[int, str]:
        """Return the folders by the ids of whose they are."""
        self._keep_up()
        return self._folders

    def links(self) -> list[RecordedLink]:
        """Return the links; their ids are negative, too."""
        self._keep_up()
        return list(self._links.values())

    def at(self, path: str) -> RecordedLink | None:
        """Return the link that was made at this path."""
        self._keep_up()
        return self._links.get(self._ids.get(path, 0))

    def link_made(self, person_id: int, photo_id: int, path: str, source: str, stamp: str) -> None:
        self._keep_up()
        if path not in self._ids:
            self._ids[path] = self._last = self._last - 1
        link_id = self._ids[path]
        self._links[link_id] = RecordedLink(link_id, person_id, photo_id, path, source, stamp)
        self._is_changed = True

    def link_removed(self, link_id: int) -> None:
        self._keep_up()
        link = self._links.pop(link_id, None)
        if link is not None:
            del self._ids[link.path]
            self._is_changed = True

    def folder_made(self, person_id: int, path: str) -> None:
        self._keep_up()
        self._folders[person_id] = path
        self._is_changed = True

    def folder_moved(self, person_id: int, old: str, new: str) -> None:
        self.folder_made(person_id, new)
        for link in self.links():
            if link.path.startswith(f"{old}/"):
                self._move(link, new + link.path.removeprefix(old))

    def follow(self, folders: Mapping[str, Entries]) -> None:
        """Put on record what somebody moved within extra folders, so that it is moved back."""
        moved = list(_moved_links(self.links(), folders))
        for one, home in list(self.folders().items()) if moved else ():
            places = Counter(home_of(path) for link, path in moved if link.path.startswith(f"{home}/"))
            place = next((place for place, _ in places.most_common(1)), None)
            if home not in folders and place is not None and _is_home(place) and place not in self._folders.values():
                self.folder_moved(one, home, place)
        for link, path in moved:
            if path not in self._ids:
                self._move(self._links[link.link_id], path)

    def _move(self, link: RecordedLink, path: str) -> None:
        del self._ids[link.path]
        self._ids[path] = link.link_id
        self._links[link.link_id] = dataclasses.replace(link, path=path)
        self._is_changed = True

    def folder_removed(self, path: str) -> None:
        self._keep_up()
        gone = [one for one, folder in self._folders.items() if folder == path]
        for one in gone:
            del self._folders[one]
        self._is_changed |= bool(gone)

    def commit(self) -> None:
        """Write what is on record, if it has changed; nothing is no file.

        Raises:
            OSError: it cannot be written.
        """
        if not self._is_changed:
            return
        top = open_folder_beneath(os.path.realpath(self._root), "")
        try:
            if self._folders or self._links:
                write_part(PART, json.dumps(self._row()), top, 0o666)
                os.rename(PART, EXTRAS_RECORD, src_dir_fd=top, dst_dir_fd=top)
            elif self._signature() is not None:
                os.unlink(EXTRAS_RECORD, dir_fd=top)
        finally:
            os.close(top)
        self._seen, self._is_changed = self._signature(), False

    def _row(self) -> dict[str, Any]:
        links = [(x.link_id, x.person_id, x.photo_id, x.path, x.source, x.stamp) for x in self._links.values()]
        return {"folders": list(self._folders.items()), "links": links}

    def _signature(self) -> tuple[int, ...] | None:
        try:
            info = (self._root / EXTRAS_RECORD).lstat()
        except OSError:
            return None
        return info.st_ino, info.st_size, info.st_mtime_ns

    def _keep_up(self) -> None:
        """Read the file again if another process has written it."""
        seen = self._signature()
        if self._is_changed or seen == self._seen:
            return
        self._seen = seen
        try:
            row = self._read()
            folders = {int(one): str(path) for one, path in row["folders"]}
            links = [
                RecordedLink(int(link_id), int(one), int(photo_id), str(path), str(source), str(stamp))
                for link_id, one, photo_id, path, source, stamp in row["links"]
            ]
        except (OSError, ValueError, KeyError, TypeError):  # nothing, or damaged
            folders, links = {}, []
        self._folders = {one: path for one, path in folders.items() if one < 0 and _is_home(path)}
        self._links = {x.link_id: x for x in links if x.link_id < 0 and x.person_id < 0 and _is_extra(x.path)}
        self._ids = {link.path: link.link_id for link in self._links.values()}
        self._last = min(self._links, default=0)

    def _read(self) -> Any:
        top = open_folder_beneath(os.path.realpath(self._root), "")
        try:
            with os.fdopen(open_file(EXTRAS_RECORD, top), encoding="utf-8") as file:
                return json.load(file)
        finally:
            os.close(top)


def _is_home(path: str) -> bool:
    """Whether a path may be that of an extra folder."""
    return _is_extra(path) and path.count("/") == 1


def _is_extra(path: str) -> bool:
    """Whether a path lies where extra folders are: nothing else is ever on record, whatever the file says."""
    parts = path.split("/")
    return len(parts) > 1 and parts[0] in EXTRAS and not {"", ".", ".."} & set(parts)


def _moved_links(links: Iterable[RecordedLink], folders: Mapping[str, Entries]) -> Iterator[tuple[RecordedLink, str]]:
    """Yield the links of extra folders that stand under another name where these are, each with its path now."""
    links = list(links)
    missing = {link.stamp: link for link in links if not _stands(link, folders)}
    recorded = {link.path for link in links}
    for folder, entries in sorted(folders.items()) if missing else ():
        for name, entry in sorted(entries.items()) if folder.partition("/")[0] in EXTRAS else ():
            path = f"{folder}/{name}"
            is_news = path not in recorded and not name.startswith(".")
            if is_news and (stamp := next(filter(entry.bears, missing), None)) is not None:
                yield missing.pop(stamp), path


def _stands(link: RecordedLink, folders: Mapping[str, Entries]) -> bool:
    folder, _, name = link.path.rpartition("/")
    return folders.get(folder, {}).get(name, FolderEntry("other")).bears(link.stamp)
