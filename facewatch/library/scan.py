"""Scans a library and compares it with the catalog; complete, whatever events the watcher got or missed."""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath

from facewatch.types import Fingerprint, PassedOver

IGNORE_MARKERS = frozenset({".nomedia", ".noimage"})
"""A folder that holds one of these is passed over with all below it."""

PATTERN_FILE = ".ppignore"
"""Holds patterns, one a line, of what is passed over in its folder and below."""

MOST_PATTERNS = 65536
"""Bytes of such a file that are read."""

IGNORED_FILES = frozenset({"thumbs.db", "desktop.ini"})

READ_THOUGH_HIDDEN = frozenset({".picasa.ini"})
"""What other programs say there of photos."""

HIDDEN = "hidden"
"""Why files and folders are passed over whose names begin with a dot."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """An entry of a list of what other programs keep; upper and lower case are one.

    A name or pattern ("lost+found", "*.lrdata"); the last names of a path ("CaptureOne/Cache", where the first may be
    the library itself); "X but A, B": all that lies in an X but these; "X beside A, B": where one of these lies in the
    same folder; "X holding A, B": where one of these lies in it.
    """

    text: str
    names: tuple[str, ...]
    """Of the path, the last one last."""
    relation: str
    others: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Foreign:
        path, relation, others = text, "", ""
        for word in ("but", "beside", "holding"):
            if f" {word} " in text:
                path, relation, others = (part.strip() for part in text.partition(f" {word} "))
                break
        names = tuple(path.strip("/").split("/"))
        return cls(text, names, relation, tuple(other.strip() for other in others.split(",") if other.strip()))

    def is_of(self, parts: Sequence[str], root: Path) -> bool:
        """Whether a path below the root, in its parts, is one of these; its parents were asked before."""
        if self.relation == "but":
            return self._ends(parts[:-1], root) and not _matches(parts[-1], self.others)
        if not self._ends(parts, root):
            return False
        if not self.relation:
            return True
        folder = root.joinpath(*(parts if self.relation == "holding" else parts[:-1]))
        return any(_matches(name, self.others) for name in _names_in(folder) if name != parts[-1])

    def _ends(self, parts: Sequence[str], root: Path) -> bool:
        """Whether a path ends in these names. The library itself counts as the last folder above."""
        above = (_name_of(root),) if len(parts) < len(self.names) else ()
        last = (*above, *parts)[-len(self.names) :]
        return len(last) == len(self.names) and all(map(_fits, last, self.names))


def _name_of(root: Path) -> str:
    """Return what a library is really called, be it reached through a link."""
    return Path(os.path.realpath(root)).name


def folder_name(folder: str, root: Path) -> str:
    """Return what a folder below the root, or the root itself, is really called; for the root the disk is asked."""
    return folder.rpartition("/")[2] or _name_of(root)


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    """Compiled when a name has to be compared with it: with most of some hundred none ever has."""
    return re.compile(fnmatch.translate(text), re.IGNORECASE)


def _fits(name: str, text: str) -> bool:
    return _pattern(text).fullmatch(name) is not None


def _matches(name: str, texts: Iterable[str]) -> bool:
    return any(_fits(name, text) for text in texts)


def _names_in(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return []


@dataclass(frozen=True, slots=True)
class _Foreigners:
    """A list of what other programs keep, made quick to ask: nearly every name is in none of them."""

    entries: tuple[Foreign, ...]
    last: re.Pattern[str]
    """Matches every name that an entry may be about ..."""
    package: re.Pattern[str]
    """... and those of folders of which an entry says "all but"."""

    def entry_of(self, path: str, root: Path, within: str) -> str:
        """Return the entry that a path below the root is about; "": none; `within`: what its folder is called."""
        if self.last.fullmatch(path.rpartition("/")[2]):
            parts = path.split("/")
            return next((entry.text for entry in self.entries if entry.is_of(parts, root)), "")
        return self.package_of(path, root, within)

    def package_of(self, path: str, root: Path, within: str) -> str:
        """The same for entries that say "all but": of files as of folders."""
        if self.package.fullmatch(within):
            parts = path.split("/")
            return next((e.text for e in self.entries if e.relation == "but" and e.is_of(parts, root)), "")
        return ""


@lru_cache
def _foreigners(texts: tuple[str, ...]) -> _Foreigners:
    entries = tuple(Foreign.parse(text) for text in texts)
    last = [fnmatch.translate(entry.names[-1]) for entry in entries if entry.relation != "but"]
    package = [fnmatch.translate(entry.names[-1]) for entry in entries if entry.relation == "but"]
    return _Foreigners(entries, _any_of(last), _any_of(package))


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(patterns) or r"(?!)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rules:
    """What in the library is none of our business."""

    exclude: tuple[str, ...] = ()
    """A name ("@eaDir"), a pattern ("*.png"), or a path below the root ("Scans/old"); upper and lower case are one."""
    folders: tuple[str, ...] = ()
    """Folders that other programs keep, see `Foreign` ..."""
    files: tuple[str, ...] = ()
    """... and files."""

    def why_passed(self, path: str, root: Path, *, is_folder: bool, within: str = "") -> str:
        """Return what says that a path below the root is none of our business, by its own name; "": nothing.

        Its parents were asked before. `within`: `folder_name` of its folder, for who asks about all that is in that.
        """
        name = path.rpartition("/")[2]
        if name.startswith(".") and (is_folder or name.casefold() not in READ_THOUGH_HIDDEN):
            return HIDDEN
        if name.lower() in IGNORED_FILES:
            return name.lower()
        for p in self.exclude:
            if fnmatch.fnmatchcase((path if "/" in p else name).lower(), p.strip("/").lower()):
                return p
        folders = _foreigners(self.folders)
        within = within or folder_name(path.rpartition("/")[0], root)
        if is_folder:
            return folders.entry_of(path, root, within)
        return _foreigners(self.files).entry_of(path, root, within) or folders.package_of(path, root, within)

    def skips(self, folder: str, root: Path) -> bool:
        """Whether a folder below the root is none of our business by its name or a marker in it; its parents were
        asked before."""
        return bool(self.why_passed(folder, root, is_folder=True)) or is_marked(root / folder)

    def names_allow(self, path: str, root: Path, *, is_folder: bool = False) -> bool:
        """Whether a path below the root, and every folder above it, is our business by its name."""
        *above, whole = _prefixes(path)
        if ".." in path.split("/") or self.why_passed(whole, root, is_folder=is_folder):
            return False
        return not any(self.why_passed(folder, root, is_folder=True) for folder in above)

    def allows(self, path: str, root: Path, *, is_folder: bool = False) -> bool:
        """Whether a path below the root, and every folder above it, is our business, as far as they can be reached."""
        if not self.names_allow(path, root, is_folder=is_folder):
            return False
        parts = path.split("/")
        folders = [root, *(root / prefix for prefix in _prefixes(path)[:-1])]
        if any(map(is_marked, folders)):
            return False
        for depth, folder in enumerate(folders):
            patterns = _patterns_in(folder)
            if patterns and any(_is_among(part, patterns) for part in parts[depth:]):
                return False
        return not any(map(_is_link, folders[1:]))


def _prefixes(path: str) -> list[str]:
    """Return the folders above a path below the root, the outermost first, and the path itself."""
    parts = path.split("/")
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]


def is_marked(folder: Path) -> bool:
    """Whether a folder holds something that says that it is none of our business."""
    return any(_mode_of(folder / marker) for marker in IGNORE_MARKERS)


def _is_link(path: Path) -> bool:
    return stat.S_ISLNK(_mode_of(path))


def _mode_of(path: Path) -> int:
    """Return what stands there, as `st_mode` has it; 0: nothing that can be reached."""
    try:
        return path.lstat().st_mode
    except OSError:
        return 0


def _patterns_in(folder: Path) -> tuple[str, ...]:
    """Return what the pattern file of a folder says; nothing where there is none that can be read."""
    try:
        with (folder / PATTERN_FILE).open("rb") as file:
            text = file.read(MOST_PATTERNS).decode("utf-8", errors="replace")
    except OSError:
        return ()
    lines = (line.strip() for line in text.splitlines())
    return tuple(line.strip("/") for line in lines if line and not line.startswith(("#", "!")))


def _is_among(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Walk:
    """The files of a root, or of one of its folders, by their path below the root."""

    files: Mapping[str, Fingerprint]
    unread: Mapping[str, str] = field(default_factory=dict)
    """Folders that could not be listed or entered, and files whose state could not be read, and why."""
    mounts: frozenset[str] = frozenset()
    """Folders that are on another device than the folder they lie in."""
    drive: int = -1
    """Tells this root from another one in its place; see `drive_of`."""
    passed: tuple[PassedOver, ...] = ()
    """What is none of our business there, by what says so."""
    lost: frozenset[str] = frozenset()
    """Folders on which another drive was mounted that is not now."""

    @property
    def unseen(self) -> frozenset[str]:
        """What does not count as missing, with all below it."""
        return self.lost | self.unread.keys()


@dataclass(frozen=True, slots=True)
class Moved:
    old: str
    new: str
    ctime_ns: int | None = field(default=None, compare=False)
    """What the move made of it."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between the library and the catalog."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    moved: tuple[Moved, ...]
    missing: tuple[str, ...]
    touched: tuple[str, ...] = ()
    """Files of the same size and time but another ctime or inode: new rights, another name as well, or other bytes."""

    @property
    def to_read(self) -> tuple[str, ...]:
        return (*self.changed, *self.touched, *self.added)


def walk(root: Path, rules: Rules, below: str = "") -> Walk:
    """Return every regular file below the root, or below one of its folders, that the rules let through.

    Links are not followed at all: what they lead to inside the library is found by itself, and what lies outside is
    not ours.

    Raises:
        OSError: the root itself cannot be listed or entered, or became another one meanwhile.
    """
    files: dict[str, Fingerprint] = {}
    unread: dict[str, str] = {}
    mounts: set[str] = set()
    passed: Counter[tuple[str, bool]] = Counter()
    drive, device = drive_of(root), root.stat().st_dev
    todo: list[tuple[str, int | None, tuple[str, ...]]] = []
    if not below:
        todo.append(("", device, ()))
    elif _is_ours(below, root, rules):
        todo.append((below, None, _inherited(below, root)))
    while todo:
        folder, outer, patterns = todo.pop()
        try:
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError as error:
            if not folder:
                raise
            # One that was asked for may just be gone: what was in it is missing then.
            if folder != below or not isinstance(error, FileNotFoundError | NotADirectoryError):
                unread[folder] = error.strerror or str(error)
            continue
        names = {entry.name for entry in entries}
        if markers := names & IGNORE_MARKERS:
            passed[min(markers), True] += 1
            continue
        if PATTERN_FILE in names:
            patterns = (*patterns, *_patterns_in(root / folder))
        for path, entry, why in _judged(entries, folder, root, rules, patterns):
            if why:
                passed[why, _is_folder(entry)] += 1
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            except PermissionError as error:
                # It can be listed and not entered, so that nothing in it can be read.
                if not folder:
                    raise
                unread[folder] = error.strerror or str(error)
                break
            except OSError as error:
                unread[path] = error.strerror or str(error)
                continue
            if stat.S_ISDIR(status.st_mode):
                if outer is not None and status.st_dev != outer:
                    mounts.add(path)
                todo.append((path, status.st_dev, patterns))
            elif stat.S_ISREG(status.st_mode):
                files[path] = Fingerprint.of(status)
    if drive_of(root) != drive:
        raise OSError(errno.ESTALE, "another drive was mounted there meanwhile", str(root))
    rules_met = sorted({rule for rule, _ in passed})
    counts = tuple(PassedOver(rule, passed[rule, True], passed[rule, False]) for rule in rules_met)
    return Walk(files, unread, frozenset(mounts), drive, counts)


def drive_of(root: Path) -> int:
    """Return a number that distinguishes a root from another drive or folder in its place.

    The device's number alone belongs to the slot that a drive is plugged into. Some file systems number again at each
    mount, so that another number does not prove another drive.

    Raises:
        OSError: it is not there.
    """
    status, system = root.stat(), os.statvfs(root)
    digest = hashlib.blake2b(f"{status.st_dev} {system.f_fsid} {status.st_ino}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1  # 63 bits fit into a column of the catalog


def holds_any(root: Path, rules: Rules) -> bool:
    """Whether there is at least one file of ours below the root; stops at the first.

    Raises:
        OSError: the root cannot be listed.
    """
    todo = [""]
    while todo:
        folder = todo.pop()
        try:
            entries = list(os.scandir(root / folder))
        except OSError:
            if not folder:
                raise
            continue
        if any(entry.name in IGNORE_MARKERS for entry in entries):
            continue
        for path, entry, why in _judged(entries, folder, root, rules, ()):
            if why:
                continue
            if entry.is_file(follow_symlinks=False):
                return True
            if entry.is_dir(follow_symlinks=False):
                todo.append(path)
    return False


def _is_ours(folder: str, root: Path, rules: Rules) -> bool:
    """Whether a folder below the root, and every one above it, is there and our business."""
    return rules.allows(folder, root, is_folder=True) and stat.S_ISDIR(_mode_of(root / folder))


def _inherited(folder: str, root: Path) -> tuple[str, ...]:
    """Return the patterns that hold in a folder because of those above it."""
    above = [root, *(root / parent for parent in PurePosixPath(folder).parents)]
    return tuple(pattern for parent in set(above) for pattern in _patterns_in(parent))


def _judged(
    entries: Iterable[os.DirEntry[str]], folder: str, root: Path, rules: Rules, patterns: Sequence[str]
) -> Iterator[tuple[str, os.DirEntry[str], str]]:
    """Yield what is in a folder by its path below the root, with what says that it is none of our business, if so."""
    within = folder_name(folder, root)
    for entry in entries:
        path = f"{folder}/{entry.name}" if folder else entry.name
        why = rules.why_passed(path, root, is_folder=_is_folder(entry), within=within)
        yield path, entry, why or (PATTERN_FILE if patterns and _is_among(entry.name, patterns) else "")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether a listing says so; where it does not give kinds and stat fails, it is none."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def compare(found: Walk, known: Mapping[str, Fingerprint]) -> Changes:
    """Return what to do so that the catalog says what the library holds.

    A file that vanished in one place and stands in another with the same inode, size and time was moved: it need not
    be read again. Other moves are noticed later, by content.
    """
    unseen = found.unseen
    gone = {path for path in known if path not in found.files and not _is_below(path, unseen)}
    by_print = {known[path]: path for path in sorted(gone)}
    added, moved = [], []
    for path, fingerprint in sorted(found.files.items()):
        if path in known:
            continue
        old = by_print.pop(fingerprint, None)
        if old is None:
            added.append(path)
        else:
            moved.append(Moved(old, path, fingerprint.ctime_ns))
            gone.discard(old)
    both = [(path, known[path], fingerprint) for path, fingerprint in sorted(found.files.items()) if path in known]
    changed = [path for path, old, new in both if (old.size, old.mtime_ns) != (new.size, new.mtime_ns)]
    touched = [path for path, old, new in both if _is_touched(old, new)]
    return Changes(tuple(added), tuple(changed), tuple(moved), tuple(sorted(gone)), tuple(touched))


def _is_touched(old: Fingerprint, new: Fingerprint) -> bool:
    if (old.size, old.mtime_ns) != (new.size, new.mtime_ns):
        return False
    has_other_ctime = None not in (old.ctime_ns, new.ctime_ns) and old.ctime_ns != new.ctime_ns
    return old.inode != new.inode or has_other_ctime


def _is_below(path: str, folders: Collection[str]) -> bool:
    """Whether a path, or a folder that it is in, is one of these."""
    return bool(folders) and any(place in folders for place in (path, *map(str, PurePosixPath(path).parents)))
