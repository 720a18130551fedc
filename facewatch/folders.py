"""The per-person folders as a projection of the catalog: read the disk, plan, show, apply.

    check_people_folder(root, library_id, kind)
    disk = read_disk(root, wanted, links, folders, kind)
    todo = plan(wanted, links, folders, disk, kind)
    apply(todo, root, kind=kind, ledger=ledger)

`plan` is pure. `apply` does each action on disk first and tells the ledger afterwards, so after a crash the disk may
be ahead of the record, never behind; the next plan recognises what was done and only records it. What a record calls
ours is ours only while the entry still bears its stamp, and only that is ever removed:

    symlink:<target>   hardlink:<inode>   copy:<size>:<mtime in ns>

Whose is a directory that already has a person's name? If it is empty or holds nothing but that person's links: ours.
Otherwise a stranger's: links are added to it and taken out again, but it is never recorded, moved or removed. Any other
entry of that name (a file, a symlink even to a directory, another spelling) is avoided: "Anna (12)".

Paths in records and plans are relative to the people folder, with "/", and keep undecodable bytes as surrogates.
"""

# Plain text instead of Path: tens of thousands of names go through here on every run.
# ruff: noqa: PTH102, PTH104, PTH106, PTH108, PTH115, PTH117, PTH118, PTH119, PTH122, PTH123, PTH211
from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Literal, Protocol

from facewatch.errors import FolderError

LinkKind = Literal["symlink", "hardlink", "copy"]
Entries = Mapping[str, "Entry"]
LinkMaker = Callable[[LinkKind, str, str], None]

UNNAMED = "_unnamed"
MARKER = ".facewatch"
_PART = ".facewatch.part"
"""A copy that is still being written; in the people folder itself, so that one place needs tidying after a crash."""
_PROBE = ".facewatch.probe"

_MAX_BYTES = 255
"""Longest name on ext4, APFS and btrfs; NTFS and exFAT allow 255 UTF-16 units, which is never less."""
_SUFFIX_BYTES = 60
"""Longest folder name that goes into a link's suffix, and longest extension that is kept when a name is cut."""
_MTIME_SLACK_NS = 2_000_000_000
"""FAT keeps times to two seconds, so a copy may come back with a slightly different one."""
_N_CANDIDATES = 4
"""How many of a person's possible folder names are looked into."""

_SPACES = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_FORBIDDEN = frozenset('/\\:*?"<>|')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\.|$)", re.IGNORECASE)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_UNSUPPORTED = {errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV, errno.EMLINK}


@dataclass(frozen=True, slots=True)
class WantedLink:
    """One photo of a person."""

    photo_id: int
    sources: tuple[Path, ...]
    """Absolute paths of the files that hold the photo, preferred first; at least one."""


@dataclass(frozen=True, slots=True)
class WantedFolder:
    """One person; without links the person gets no folder."""

    person_id: int
    name: str | None
    """None is a person that nobody has named yet."""
    links: tuple[WantedLink, ...]


@dataclass(frozen=True, slots=True)
class RecordedLink:
    """One link that the catalog says we made."""

    link_id: int
    person_id: int
    photo_id: int
    path: str
    source: Path
    stamp: str
    """What stood there when we had made it (see the top of this module)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What has a name in a folder; links are not followed."""

    kind: Literal["symlink", "file", "dir", "other"]
    target: str = ""
    inode: int = 0
    size: int = 0
    mtime_ns: int = 0

    def stamp(self, kind: LinkKind) -> str:
        """Return the stamp of this entry, taken for a link of that kind."""
        text = {"symlink": self.target, "hardlink": f"{self.inode}", "copy": f"{self.size}:{self.mtime_ns}"}[kind]
        return f"{kind}:{text}"

    def bears(self, stamp: str) -> bool:
        """True when this is still what the stamp was taken from."""
        kind, _, text = stamp.partition(":")
        if kind == "symlink":
            return self.kind == "symlink" and self.target == text
        if self.kind != "file" or not kind:
            return False
        if kind == "hardlink":
            return text == str(self.inode)
        size, mtime_ns = map(int, text.split(":"))
        return self.size == size and abs(self.mtime_ns - mtime_ns) <= _MTIME_SLACK_NS


@dataclass(frozen=True, slots=True)
class Disk:
    """What is there now, in the folders that a plan may concern."""

    root: str
    """The real path of the people folder."""
    folders: Mapping[str, Entries]
    """Per real directory ("" is the people folder itself) its entries."""
    sources: Entries
    """The source files of hard links and copies that are to be made, to know those that are made already."""


@dataclass(frozen=True, slots=True)
class MoveFolder:
    """Rename a directory of ours, with everything in it."""

    person_id: int
    old: str
    new: str
    is_done: bool = False
    """Here and below: the disk is so already, for instance because of a crash, and only the record is missing."""

    def __str__(self) -> str:
        return f"move folder {self.old} to {self.new}"


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """Make a directory."""

    person_id: int
    path: str
    is_done: bool = False

    def __str__(self) -> str:
        return f"make folder {self.path}"


@dataclass(frozen=True, slots=True)
class RemoveFolder:
    """Remove a directory of ours, if it is empty, and forget it. Done: it is gone, or holds what others put there."""

    path: str
    is_done: bool = False

    def __str__(self) -> str:
        return f"remove folder {self.path}"


@dataclass(frozen=True, slots=True)
class MakeLink:
    """Make a link."""

    person_id: int
    photo_id: int
    path: str
    source: Path
    target: str
    """The text of a symlink; the source itself for a hard link or a copy."""
    stamp: str | None = None
    """Of what stands there now: the wanted link when it is done, else ours that is to be replaced."""
    is_done: bool = False

    def __str__(self) -> str:
        return f"make {self.path} -> {self.target}"


@dataclass(frozen=True, slots=True)
class RemoveLink:
    """Remove a link of ours and forget it. Done: it is gone, or somebody put something of their own there."""

    link_id: int
    path: str
    stamp: str
    is_done: bool = False

    def __str__(self) -> str:
        return f"remove {self.path}"


Action = MoveFolder | MakeFolder | RemoveFolder | MakeLink | RemoveLink


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in this order."""

    actions: tuple[Action, ...] = ()
    faults: tuple[str, ...] = ()
    """What cannot be done and why, one line each."""

    @property
    def is_empty(self) -> bool:
        return not self.actions

    def describe(self) -> list[str]:
        """Return one printable line per action, for --dry-run."""
        return [_printable(f"{action} (done already)" if action.is_done else f"{action}") for action in self.actions]


@dataclass(frozen=True, slots=True)
class Applied:
    """What `apply` did to links and folders."""

    n_made: int
    n_removed: int
    n_moved: int
    faults: tuple[str, ...]
    """What could not be done, one line each; the next run tries again."""


class Ledger(Protocol):
    """Where `apply` tells what it has done. Calls may be batched, as long as their order is kept."""

    def link_made(self, person_id: int, photo_id: int, path: str, source: Path, stamp: str) -> None:
        """Replaces what was recorded for this path."""

    def link_removed(self, link_id: int) -> None: ...

    def folder_made(self, person_id: int, path: str) -> None:
        """Replaces what was recorded for this person."""

    def folder_moved(self, person_id: int, old: str, new: str) -> None:
        """Every link recorded below `old` is below `new` now."""

    def folder_removed(self, path: str) -> None: ...

    def commit(self) -> None:
        """Make everything told so far durable: before each move, before the first thing is made, and at the end."""


# Names ---------------------------------------------------------------------------------------------------------------


def safe_name(name: str) -> str:
    """Return the name as one path component that Linux, macOS, Windows and exFAT all take; doing it twice is the same.

    At most 255 bytes of UTF-8, never empty, hidden, ".", ".." or a device; an extension survives the cut.
    """
    clean = unicodedata.normalize("NFC", "".join(map(_safe_character, name))).strip(_SPACES)
    clean = re.sub(r"^\.+", "_", clean).rstrip(_SPACES + ".")
    return _with_suffix(f"_{clean}" if _RESERVED.match(clean) else clean or "_", "")


@functools.lru_cache(maxsize=4096)
def _safe_character(character: str) -> str:
    """Return what stands for the character: "_" for an unsafe one, nothing for a mark that could fake a name unseen."""
    category = unicodedata.category(character)
    if category == "Cf":
        return ""
    return "_" if character in _FORBIDDEN or category in {"Cc", "Cs", "Zl", "Zp"} else character


def _with_suffix(name: str, suffix: str) -> str:
    """Return the name with the suffix before its extension, the stem cut so that it all fits."""
    stem, extension = os.path.splitext(name)
    if len(extension.encode()) > _SUFFIX_BYTES:
        stem, extension = name, ""
    tail = suffix + extension
    return _cut(stem, _MAX_BYTES - len(tail.encode())) + tail


def _cut(text: str, n_bytes: int) -> str:
    """Return the beginning of a text in whole characters; one that fits is not changed."""
    data = text.encode()
    return text if len(data) <= n_bytes else data[:n_bytes].decode(errors="ignore").rstrip(_SPACES + ".")


def _key(name: str) -> str:
    """Return what two names share on a disk that ignores case and Unicode composition."""
    return unicodedata.normalize("NFC", name.casefold())


def _folder_names(person: WantedFolder) -> Iterator[str]:
    """Yield the folders that would do for a person, best first, without end."""
    number = person.person_id
    base = f"{UNNAMED}/Person {number:04}" if person.name is None else safe_name(person.name)
    yield base
    yield _cut(base, _MAX_BYTES - 12 - len(str(number))) + f" ({number})"
    for n in count(2):
        yield _cut(base, _MAX_BYTES - 12 - len(str(number))) + f" ({number}.{n})"


def _link_names(source: str) -> Iterator[str]:
    """Yield the names that would do for a link to the file, best first, without end."""
    head, name = os.path.split(source)
    base = safe_name(name)
    yield base
    yield _with_suffix(base, f" ({_cut(safe_name(os.path.basename(head)), _SUFFIX_BYTES)})")
    for n in count():
        digest = hashlib.sha256(os.fsencode(source) + b"\0%d" % n).hexdigest()
        yield _with_suffix(base, f" ({digest[:8]})")


def _temporary(person_id: int) -> str:
    """Return where a person's folder waits while others move round in a circle."""
    return f"{MARKER}-{person_id}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


# Reading -------------------------------------------------------------------------------------------------------------


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
            f"{root}: this is not the people folder any more (no {MARKER} in it): connect its disk, "
            "or start facewatch again to make the folder anew"
        )
    found: dict[str, Entries] = {"": _read_folder(top)}
    concerned = {*folders.values(), *(link.path.rpartition("/")[0] for link in links)}
    concerned.update(*(islice(_folder_names(person), _N_CANDIDATES) for person in wanted))
    concerned.update(_temporary(person_id) for person_id in folders)
    for folder in [UNNAMED, *sorted(concerned - {"", UNNAMED})]:
        parent, _, name = folder.rpartition("/")
        entry = found.get(parent, {}).get(name)
        if entry is not None and entry.kind == "dir":
            found[folder] = _read_folder(f"{top}/{folder}")
    sources = {} if kind == "symlink" else _read_sources(wanted, links, found)
    return Disk(top, found, sources)


def _read_folder(path: str) -> dict[str, Entry]:
    try:
        with os.scandir(path) as entries:
            # HFS+ hands back names decomposed; ours are composed, and macOS takes either.
            composed = sys.platform == "darwin"
            return {unicodedata.normalize("NFC", e.name) if composed else e.name: _read_entry(e.path) for e in entries}
    except FileNotFoundError:
        return {}
    except OSError as error:
        # What cannot be seen must not pass for gone, or its records would be dropped.
        raise FolderError(f"{path}: cannot be read ({error.strerror}): give facewatch the right to read it") from error


def _read_entry(path: str) -> Entry:
    """Return the entry; one that is not there is of kind "other", which nothing is done to."""
    try:
        info = os.lstat(path)
        if stat.S_ISLNK(info.st_mode):
            return Entry("symlink", target=os.readlink(path))
    except (FileNotFoundError, NotADirectoryError):
        return Entry("other")
    if stat.S_ISREG(info.st_mode):
        return Entry("file", inode=info.st_ino, size=info.st_size, mtime_ns=info.st_mtime_ns)
    return Entry("dir" if stat.S_ISDIR(info.st_mode) else "other")


def _read_sources(wanted: list[WantedFolder], links: list[RecordedLink], found: Mapping[str, Entries]) -> Entries:
    """Return the source files of wanted links that are not on disk as recorded."""
    intact = {(link.person_id, link.photo_id) for link in links if _is_intact(link.path, link.stamp, found)}
    sources = {}
    for person in wanted:
        for source in (
            s for link in person.links if (person.person_id, link.photo_id) not in intact for s in link.sources
        ):
            with contextlib.suppress(OSError):  # the fault is told when the link is made
                sources[os.fspath(source)] = _read_entry(os.fspath(source))
    return sources


def _is_intact(path: str, stamp: str, folders: Mapping[str, Entries]) -> bool:
    folder, _, name = path.rpartition("/")
    entry = folders.get(folder, {}).get(name)
    return entry is not None and entry.bears(stamp)


# Planning ------------------------------------------------------------------------------------------------------------


def plan(
    wanted: Iterable[WantedFolder],
    links: Iterable[RecordedLink],
    folders: Mapping[int, str],
    disk: Disk,
    kind: LinkKind,
) -> Plan:
    """Return what makes the disk as wanted. Nothing to do is an empty plan.

    Does not depend on the order of `wanted`, of the links in it, or of the records.
    """
    people = {person.person_id: person for person in wanted if any(link.sources for link in person.links)}
    faults = _drop_unnamed(people) if disk.folders[""].get(UNNAMED, Entry("dir")).kind != "dir" else ()
    mine: dict[int, list[RecordedLink]] = defaultdict(list)
    for link in sorted(links, key=lambda link: link.link_id):
        mine[link.person_id].append(link)
    homes = _find_homes(people, mine, folders, disk)
    lost = [RemoveFolder(folder, is_done=True) for p, folder in sorted(folders.items()) if p not in homes]
    found = [MoveFolder(p, folders[p], home, is_done=True) for p, home in homes.items() if home != folders[p]]
    mine = _moved(mine, {folders[p]: home for p, home in homes.items()})
    # What nobody takes along is cleared first, so that all others can move into its place in one rename.
    unwanted = sorted((mine.keys() | homes.keys()) - people.keys())
    cleared, disk = _clear([link for p in unwanted for link in mine.pop(p, ())], _pop(homes, unwanted), disk)
    names = _choose_folders(people, mine, homes, disk)
    while stuck := _find_stuck(homes, names, disk):
        more, disk = _clear([link for p in stuck for link in mine.pop(p, ())], _pop(homes, stuck), disk)
        cleared += more
    mine, gone = _split_gone(mine, names, disk)
    cleared += _clear(gone, [], disk)[0]
    moves = _order_moves(homes, names, disk)
    moved = {homes[move.person_id]: names[move.person_id] for move in moves}
    rest = _plan_links(people, names, _moved(mine, moved), homes.keys(), _Draft(_after_moves(disk, moved), kind))
    return Plan((*lost, *found, *cleared, *moves, *rest), faults)


def _pop(homes: dict[int, str], people: Iterable[int]) -> list[str]:
    return [homes.pop(p) for p in people if p in homes]


def _split_gone(
    links: Mapping[int, list[RecordedLink]], names: Mapping[int, str], disk: Disk
) -> tuple[dict[int, list[RecordedLink]], list[RecordedLink]]:
    """Return the links without, and those with a folder that is gone for good: another may soon have its name."""

    def is_gone(link: RecordedLink) -> bool:
        folder = link.path.rpartition("/")[0]
        return folder not in disk.folders and folder != names[link.person_id]

    gone = {link.link_id for mine in links.values() for link in mine if is_gone(link)}
    there = {p: [link for link in mine if link.link_id not in gone] for p, mine in links.items()}
    return there, [link for mine in links.values() for link in mine if link.link_id in gone]


def _drop_unnamed(people: dict[int, WantedFolder]) -> tuple[str, ...]:
    """Leave out the people who have no place, because something that is no directory has the name of theirs."""
    unnamed = [person_id for person_id, person in people.items() if person.name is None]
    for person_id in unnamed:
        del people[person_id]
    return (f"{UNNAMED}: not a folder, so {len(unnamed)} unnamed people have none: move it away",) if unnamed else ()


def _find_homes(
    people: Mapping[int, WantedFolder], links: Mapping[int, list[RecordedLink]], folders: Mapping[int, str], disk: Disk
) -> dict[int, str]:
    """Return where each recorded folder is now: as recorded, or where a move took it that was not recorded."""
    owned = {*folders.values(), *(link.path.rpartition("/")[0] for mine in links.values() for link in mine)}

    def find(person_id: int, folder: str) -> str | None:
        for place in (_temporary(person_id), folder):
            if place in disk.folders:
                return place
        options = islice(_folder_names(people[person_id]), _N_CANDIDATES) if person_id in people else ()
        ours = [(link.path.rpartition("/")[2], link.stamp) for link in links.get(person_id, ())]
        for place in options:
            if place not in owned and any(_is_intact(f"{place}/{name}", stamp, disk.folders) for name, stamp in ours):
                return place
        return None

    found = {person_id: find(person_id, folder) for person_id, folder in sorted(folders.items())}
    return {person_id: home for person_id, home in found.items() if home is not None}


def _choose_folders(
    people: Mapping[int, WantedFolder], links: Mapping[int, list[RecordedLink]], homes: Mapping[int, str], disk: Disk
) -> dict[int, str]:
    """Return a folder per person: who has one that fits the name keeps it, the others choose in order of their ids."""

    def usual(person_id: int) -> str:
        recorded = next((link.path.rpartition("/")[0] for link in links.get(person_id, ())), "")
        return homes.get(person_id, recorded if recorded in disk.folders else "")

    options = {p: list(islice(_folder_names(person), _N_CANDIDATES)) for p, person in people.items()}
    names = {p: usual(p) for p in people if usual(p) in options[p]}
    taken = {_key(UNNAMED), *map(_key, names.values())}
    vacated = {home for p, home in homes.items() if names.get(p) != home}
    standing = _standing(disk)

    def is_free(name: str) -> bool:
        others = [there for there in standing.get(_key(name), ()) if there not in vacated]
        return _key(name) not in taken and all(there == name and there in disk.folders for there in others)

    def choose(person_id: int, name: str | None) -> None:
        if name is not None:
            names[person_id] = name
            taken.add(_key(name))

    for p in sorted(people.keys() - names.keys()):  # only the case changes: that keeps the name
        choose(p, next((name for name in options[p] if _key(name) == _key(usual(p)) and is_free(name)), None))
    for p in sorted(people.keys() - names.keys()):
        choose(p, next(name for name in _folder_names(people[p]) if is_free(name)))
    return names


def _standing(disk: Disk) -> dict[str, set[str]]:
    """Return everything that stands where person folders go, by what its name shares with others."""
    standing: dict[str, set[str]] = defaultdict(set)
    for prefix, folder in (("", ""), (f"{UNNAMED}/", UNNAMED)):
        for name in disk.folders.get(folder, ()):
            standing[_key(prefix + name)].add(prefix + name)
    return standing


def _find_stuck(homes: Mapping[int, str], names: Mapping[int, str], disk: Disk) -> list[int]:
    """Return who cannot move, because something that stays has the name: their links are made anew in it."""
    standing = _standing(disk)
    leaving = {home for p, home in homes.items() if names[p] != home}
    return [p for p, home in homes.items() if names[p] != home and standing[_key(names[p])] - leaving]


def _order_moves(homes: Mapping[int, str], names: Mapping[int, str], disk: Disk) -> list[MoveFolder]:
    """Return renames that never meet a taken name; a circle is opened by way of a temporary name."""
    standing = _standing(disk)
    at = {p: home for p, home in homes.items() if names[p] != home}
    moves = []
    while at:
        here = set(at.values())
        ready = [p for p in at if not standing[_key(names[p])] & here - {at[p]}]
        moves += [MoveFolder(p, at.pop(p), names[p]) for p in ready]
        if not ready:
            p = min(at)
            moves.append(MoveFolder(p, at[p], _temporary(p)))
            at[p] = _temporary(p)
    return moves


def _after_moves(disk: Disk, moved: Mapping[str, str]) -> Disk:
    folders = {folder: entries for folder, entries in disk.folders.items() if folder not in moved}
    folders.update((new, disk.folders[old]) for old, new in moved.items())
    if UNNAMED in folders:
        folders[UNNAMED] = {name: e for name, e in folders[UNNAMED].items() if f"{UNNAMED}/{name}" not in moved}
    return dataclasses.replace(disk, folders=folders)


def _clear(links: Iterable[RecordedLink], left: Iterable[str], disk: Disk) -> tuple[list[Action], Disk]:
    """Return what takes these links and folders away, as far as they are ours, and the disk as it is then."""
    actions: list[Action] = []
    folders = {folder: dict(entries) for folder, entries in disk.folders.items()}
    for link in links:
        is_ours = _is_intact(link.path, link.stamp, folders)
        actions.append(RemoveLink(link.link_id, link.path, link.stamp, is_done=not is_ours))
        if is_ours:
            folder, _, name = link.path.rpartition("/")
            del folders[folder][name]
    for folder in left:
        actions.append(RemoveFolder(folder, is_done=bool(folders[folder])))
        if not folders[folder]:
            parent, _, name = folder.rpartition("/")
            del folders[folder]
            folders[parent].pop(name, None)
    return actions, dataclasses.replace(disk, folders=folders)


def _plan_links(
    people: Mapping[int, WantedFolder],
    names: Mapping[int, str],
    links: Mapping[int, list[RecordedLink]],
    settled: Collection[int],
    draft: _Draft,
) -> list[Action]:
    """Return what is to do when all folders have moved: keep or drop what is recorded, then name what is new."""
    useless, newcomers = [], {}
    for p in sorted(people):
        newcomers[p], dropped = draft.renew(people[p], names[p], links.get(p, []))
        useless += dropped
    cleared, draft.disk = _clear(useless, [], draft.disk)
    if draft.disk.folders.get(UNNAMED) == {} and not any(name.startswith(f"{UNNAMED}/") for name in names.values()):
        cleared.append(RemoveFolder(UNNAMED))
    for p, wanted in newcomers.items():
        draft.name_links(p, names[p], wanted)
    entered = [draft.enter(p, name) for p, name in sorted(names.items()) if p not in settled]
    return [*cleared, *(action for action in entered if action is not None), *draft.actions]


class _Draft:
    """The links of a plan as they are found and named. `disk` is what there is before the first of them is made."""

    def __init__(self, disk: Disk, kind: LinkKind) -> None:
        self.disk = disk
        self.actions: list[Action] = []
        self._kind = kind
        self._way = functools.cache(self._find_way)
        self._kept: dict[str, set[str]] = defaultdict(set)

    def _find_way(self, folder: str) -> str:
        """Return the way from the people folder to a folder of the library."""
        try:
            return os.path.relpath(folder, self.disk.root)
        except ValueError:  # another drive on Windows: there is no way
            return folder

    def _target(self, source: str, folder: str) -> str:
        if self._kind != "symlink":
            return source
        head, name = os.path.split(source)
        way = os.path.join(self._way(head), name)
        return way if os.path.isabs(way) else f"..{os.sep}" * (folder.count("/") + 1) + way

    def _stamp(self, source: str, folder: str) -> str:
        """Return the stamp that the wanted link has if it is made already, or "" when the source is not there."""
        if self._kind == "symlink":
            return f"symlink:{self._target(source, folder)}"
        entry = self.disk.sources.get(source, Entry("other"))
        return entry.stamp(self._kind) if entry.kind == "file" else ""

    def renew(
        self, person: WantedFolder, folder: str, recorded: list[RecordedLink]
    ) -> tuple[list[tuple[str, int, Path]], list[RecordedLink]]:
        """Return the photos that need a new name, in order, and the recorded links that are of no use."""
        newcomers = []
        useless = {link.link_id: link for link in recorded}
        known = {link.photo_id: link for link in reversed(recorded) if link.path.rpartition("/")[0] == folder}
        for photo_id, sources in {link.photo_id: link.sources for link in person.links if link.sources}.items():
            old = known.get(photo_id)
            source = old.source if old is not None and old.source in sources else sources[0]
            if old is not None and self._renew_link(old, folder, source):
                del useless[old.link_id]
            else:
                newcomers.append((os.fspath(source), photo_id, source))
        return sorted(newcomers), list(useless.values())

    def _renew_link(self, old: RecordedLink, folder: str, source: Path) -> bool:
        """Plan what a recorded link needs to be as wanted; False when it cannot keep its name."""
        if old.source.name != source.name:
            return False
        name, path = old.path.rpartition("/")[2], os.fspath(source)
        entry, stamp = self.disk.folders.get(folder, {}).get(name), self._stamp(path, folder)
        if entry is None or not entry.bears(old.stamp):
            if entry is not None and not entry.bears(stamp):
                return False
            self._make(old.person_id, old.photo_id, old.path, source, done=entry)
        elif not self._is_good(old.stamp, stamp):
            self._make(old.person_id, old.photo_id, old.path, source, replaces=old.stamp)
        self._kept[folder].add(name)
        return True

    def _is_good(self, recorded: str, wanted: str) -> bool:
        """True when an intact link needs no change: a symlink of the right target; any other of the right kind."""
        return recorded == wanted if self._kind == "symlink" else recorded.startswith(f"{self._kind}:")

    def _make(
        self,
        person: int,
        photo: int,
        path: str,
        source: Path,
        *,
        replaces: str | None = None,
        done: Entry | None = None,
    ) -> None:
        target = self._target(os.fspath(source), path.rpartition("/")[0])
        stamp = replaces if done is None else done.stamp(self._kind)
        self.actions.append(MakeLink(person, photo, path, source, target, stamp, is_done=done is not None))

    def name_links(self, person_id: int, folder: str, wanted: list[tuple[str, int, Path]]) -> None:
        entries = self.disk.folders.get(folder, {})
        standing = {_key(name): name for name in entries}
        taken = set(map(_key, self._kept[folder]))

        def is_free(name: str, stamp: str) -> bool:
            there = standing.get(_key(name))
            return _key(name) not in taken and (there is None or (there == name and entries[there].bears(stamp)))

        for path, photo_id, source in wanted:
            stamp = self._stamp(path, folder)
            name = next(name for name in _link_names(path) if is_free(name, stamp))
            taken.add(_key(name))
            self._kept[folder].add(name)
            self._make(person_id, photo_id, f"{folder}/{name}", source, done=entries.get(name))

    def enter(self, person_id: int, folder: str) -> MakeFolder | None:
        """Make a folder that is not there; take over one that holds nothing but our links."""
        entries = self.disk.folders.get(folder)
        if entries is None or entries.keys() <= self._kept[folder]:
            return MakeFolder(person_id, folder, is_done=entries is not None)
        return None


def _moved(links: Mapping[int, list[RecordedLink]], moved: Mapping[str, str]) -> dict[int, list[RecordedLink]]:
    """Return the records as they are when these folders have moved."""

    def place(link: RecordedLink) -> RecordedLink:
        folder, _, name = link.path.rpartition("/")
        to = moved.get(folder, folder)
        return link if to == folder else dataclasses.replace(link, path=f"{to}/{name}")

    return {person_id: [place(link) for link in mine] for person_id, mine in links.items()}


# Applying ------------------------------------------------------------------------------------------------------------


def make_link(kind: LinkKind, target: str, path: str) -> None:
    """Make a symlink of that text, or a hard link to or a copy of that file; never in place of something."""
    if kind == "symlink":
        os.symlink(target, path)
    elif kind == "hardlink":
        os.link(target, path)
    else:
        with open(target, "rb") as source, open(path, "xb") as copy:
            shutil.copyfileobj(source, copy)
        shutil.copystat(target, path)


def apply(todo: Plan, root: Path, *, kind: LinkKind, ledger: Ledger, make_link: LinkMaker = make_link) -> Applied:
    """Do what the plan says, each action first on disk and then in the ledger; safe to stop anywhere.

    What cannot be done is left for the next run and told in `faults`.

    Raises:
        FolderError: the disk is full or read-only. What was done until then is in the ledger.
    """
    work = _Work(root, kind, ledger, make_link)
    work.discard_part()
    try:
        for action in todo.actions:
            work.do(action)
    finally:
        ledger.commit()
    return Applied(work.n_made, work.n_removed, work.n_moved, (*todo.faults, *work.faults))


class _Work:
    """Does actions one by one and counts them."""

    def __init__(self, root: Path, kind: LinkKind, ledger: Ledger, make_link: LinkMaker) -> None:
        self.n_made = self.n_removed = self.n_moved = 0
        self.faults: list[str] = []
        self._shown, self._root = root, os.path.realpath(root)
        self._kind, self._ledger, self._make = kind, ledger, make_link
        self._is_making = False
        self._entered = ""
        self._failed: set[str] = set()
        """Folders that could not be made, moved or entered: one cause gives one fault, not one per link."""

    def do(self, action: Action) -> None:
        """Do one action; a fault of its own is noted, one of the whole disk is raised."""
        folder = _folder_of(action)
        if folder in self._failed:
            return
        try:
            self._act(action)
        except OSError as error:
            if error.errno in _FULL:
                raise _refusal(self._shown, error) from error
            self.faults.append(_printable(f"cannot {action}: {error.strerror}"))
            if isinstance(action, MoveFolder | MakeFolder) or isinstance(error, NotADirectoryError):
                self._failed.add(folder)

    def _act(self, action: Action) -> None:
        match action:
            case MoveFolder(person_id, old, new):
                if not action.is_done:
                    self._rename(old, new)
                self._ledger.folder_moved(person_id, old, new)
            case RemoveLink(link_id, path, stamp):
                self.n_removed += not action.is_done and self._unlink(self._enter(path), stamp)
                self._ledger.link_removed(link_id)
            case RemoveFolder(path):
                if not action.is_done:
                    self._rmdir(path)
                self._ledger.folder_removed(path)
            case MakeFolder(person_id, path):
                self._start_making()
                if not action.is_done:
                    os.mkdir(self._enter(path))
                self._ledger.folder_made(person_id, path)
            case MakeLink(person_id, photo_id, path, source):
                self._start_making()
                stamp = action.stamp if action.is_done and action.stamp is not None else self._link(action)
                self._ledger.link_made(person_id, photo_id, path, source, stamp)

    def _start_making(self) -> None:
        """Settle what was left before anything is made, or what is new could pass for the old that was moved there."""
        if not self._is_making:
            self._ledger.commit()
        self._is_making = True

    def _enter(self, path: str) -> str:
        """Return the full path, sure that the folder it is in is real: nothing is ever done through a link."""
        folder = path.rpartition("/")[0]
        if folder == UNNAMED:
            with contextlib.suppress(FileExistsError):
                os.mkdir(f"{self._root}/{UNNAMED}")
        if folder != self._entered:
            for place in (folder.partition("/")[0], folder):
                if _read_entry(f"{self._root}/{place}").kind != "dir":
                    raise NotADirectoryError(errno.ENOTDIR, f"{place} is not a folder")
            self._entered = folder
        return f"{self._root}/{path}"

    def _rename(self, old: str, new: str) -> None:
        source, target = self._enter(old), self._enter(new)
        self._entered = ""
        self._ledger.commit()  # two moves in doubt could not be told from none, when people swap their names
        # rename(2) would replace an empty directory; the very same one, in another spelling, is no obstacle.
        if os.path.lexists(target) and not os.path.samestat(os.lstat(source), os.lstat(target)):
            raise FileExistsError(errno.EEXIST, f"{new} exists")
        os.rename(source, target)
        self.n_moved += 1

    def _rmdir(self, path: str) -> None:
        try:
            os.rmdir(self._enter(path))
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST}:
                raise
        self._entered = ""

    def _unlink(self, path: str, stamp: str) -> bool:
        """Remove our link; False when it is not ours any more."""
        is_ours = _read_entry(path).bears(stamp)
        if is_ours:
            os.unlink(path)
        return is_ours

    def _link(self, action: MakeLink) -> str:
        """Make the link and return its stamp."""
        path = self._enter(action.path)
        if action.stamp is not None:
            self._unlink(path, action.stamp)
        if self._kind == "copy":
            self._copy(action.target, path)
        else:
            self._make(self._kind, action.target, path)
        self.n_made += 1
        return f"symlink:{action.target}" if self._kind == "symlink" else _read_entry(path).stamp(self._kind)

    def _copy(self, source: str, path: str) -> None:
        """Make a copy that has its name only when it is whole."""
        part = f"{self._root}/{_PART}"
        try:
            self._make("copy", source, part)
            _rename_apart(part, path)
        except OSError:
            self.discard_part()
            raise

    def discard_part(self) -> None:
        """Remove the beginning of a copy that a crash left."""
        with contextlib.suppress(OSError):
            os.unlink(f"{self._root}/{_PART}")


def _folder_of(action: Action) -> str:
    match action:
        case MoveFolder():
            return action.new
        case MakeFolder() | RemoveFolder():
            return action.path
        case MakeLink() | RemoveLink():
            return action.path.rpartition("/")[0]


def _rename_apart(old: str, new: str) -> None:
    """Rename a file; fail when the new name is taken."""
    try:
        os.link(old, new)  # unlike rename(2), this never replaces anything
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        os.rename(old, new)
    else:
        os.unlink(old)


def _refusal(root: Path, error: OSError) -> FolderError:
    """Return the error that says what stops all work in the people folder."""
    fault, advice = "cannot be written", "give facewatch the right to write there, or choose another people folder"
    if error.errno == errno.EROFS:
        fault, advice = "is on a read-only disk", "mount it writable, or choose another people folder"
    elif error.errno in _FULL:
        fault, advice = "is on a full disk", "free some space; what was made is kept, and the next run makes the rest"
    elif isinstance(error, FileExistsError | NotADirectoryError):
        fault, advice = "is not a folder", "choose another people folder"
    return FolderError(f"{root}: {fault} ({error.strerror}): {advice}")


# Checking ------------------------------------------------------------------------------------------------------------


def check_people_folder(
    root: Path,
    library_id: str,
    kind: LinkKind,
    *,
    sample: Path | None = None,
    make_link: LinkMaker = make_link,
) -> None:
    """Make the folder if it is not there, mark it as this library's, and try out that kind of link.

    Args:
        sample: a photo of the library, to try a hard link to; without it one inside the people folder is tried.

    Raises:
        FolderError: it belongs to another library, cannot be written, or cannot hold that kind of link.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        _write_marker(f"{root}/{_PART}", f"{root}/{MARKER}", library_id)
    except OSError as error:
        raise _refusal(root, error) from error
    _check_marker(root, library_id)
    target = f"{root}/{MARKER}" if kind != "symlink" else MARKER
    try:
        _try_link(kind, os.fspath(sample) if kind == "hardlink" and sample is not None else target, root, make_link)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise _refusal(root, error) from error
        raise FolderError(f"{root}: {_link_fault(kind, error)}") from error


def _write_marker(part: str, marker: str, library_id: str) -> None:
    """Write the marker if there is none; the part is written always, which shows that the folder can be."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(part)
    with open(part, "x", encoding="utf-8") as file:
        json.dump({"program": "facewatch", "library": library_id}, file)
    if os.path.lexists(marker):
        os.unlink(part)
    else:
        _rename_apart(part, marker)


def _check_marker(root: Path, library_id: str) -> None:
    marker = root / MARKER
    try:
        owner = json.loads(marker.read_text(encoding="utf-8"))["library"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FolderError(f"{marker}: cannot be read: delete it if this is your people folder") from error
    if owner != library_id:
        raise FolderError(
            f"{root}: belongs to another library ({owner}; this one is {library_id}): "
            f"choose another people folder, or delete {marker} to hand it over"
        )


def _try_link(kind: LinkKind, target: str, root: Path, make_link: LinkMaker) -> None:
    probe = f"{root}/{_PROBE}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(probe)
    try:
        make_link(kind, target, probe)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(probe)


def _link_fault(kind: LinkKind, error: OSError) -> str:
    others = [f'"{other}"' for other in ("symlink", "hardlink", "copy") if other != kind]
    fault = f"cannot hold a {kind} ({error.strerror})"
    if error.errno == errno.EXDEV:
        fault = "hard links need the people folder and the library on one file system, and they are on two"
    return f"{fault}: set link = {' or '.join(others)}"
