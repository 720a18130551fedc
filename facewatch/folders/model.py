"""The values of a plan: wanted, recorded and existing links, the actions between them, and names for folders and links
that every file system takes."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count, islice
from typing import Literal, Protocol

from facewatch.ids import label_of
from facewatch.text import is_harmless

LinkKind = Literal["symlink", "hardlink", "copy", "reflink", "face"]
LINK_KINDS: tuple[LinkKind, ...] = ("symlink", "hardlink", "reflink", "copy")
"""Those that take least room first. A reflink is a copy that shares what it holds with the photo until one of them is
changed. What stands for a photo may also be a "face": a picture that is cut out of it."""
CALLED: Mapping[LinkKind, str] = {
    "symlink": "symlinks",
    "hardlink": "hard links",
    "reflink": "reflinks",
    "copy": "copies",
    "face": "faces",
}
COPIES = frozenset({"copy", "reflink", "face"})
"""Kinds that are files of their own, known by their size and time."""
Entries = Mapping[str, "FolderEntry"]


@dataclass(frozen=True, slots=True)
class Shape:
    """What the people folder looks like, as the settings say."""

    kind: LinkKind | None = "symlink"
    """None: what the place can hold, and as long as it can, what is there."""
    has_faces: bool = False
    """Folders hold faces that are cut out of the photos, and no links."""
    unnamed_photos: int | None = 1
    """Photos that somebody without a name needs to have a folder; None: nobody without a name has one."""
    together: tuple[tuple[str, ...], ...] = ()
    """Names of people whose photos together have a folder."""
    n_suggested: int = 0
    """Photos for each person with a name of which it is asked whether they are on them."""
    by_year: bool = False
    """Photos are in a folder per year in the person's folder, as far as it is known when they were taken."""
    with_dates: bool = False
    """The names of links begin with when the photo was taken."""

    def place_of(self, taken: str) -> tuple[str, str]:
        """Return the folder in the person's folder for a photo that was taken then (YYYY-MM-DDTHH:MM:SS, "": nobody
        knows), and what the names of links to it begin with; "": none, nothing."""
        year = taken[:4] if self.by_year else ""
        return year, f"{taken[:10]} {taken[11:].replace(':', '.')} " if self.with_dates and taken else ""


def kind_of_links(wanted: LinkKind | None, before: str | None) -> LinkKind:
    """Return how photos get into the folders: as it is set (None: it is not), else as most got there `before`."""
    return wanted if wanted is not None else next((kind for kind in LINK_KINDS if kind == before), "symlink")


_MTIME_SLACK_NS = 2_000_000_000
"""FAT keeps times to two seconds, so a copy may come back with a slightly different one."""
_COARSE_NS = 10_000_000
"""exFAT keeps times to a hundredth of a second, and programs that copy files often to a whole one."""


def time_of_face(photo_ns: int, face_id: int | None, photo_id: int) -> int:
    """Return the time in ns that a picture cut out of a photo of this time gets: in the same second, but one that no
    other has, as many are of one size and of photos taken at once. NTFS keeps every hundredth of these."""
    number = 2 * photo_id + 1 if face_id is None else 2 * face_id
    return photo_ns // 1_000_000_000 * 1_000_000_000 + number * 100 % 1_000_000_000


@dataclass(frozen=True, slots=True)
class WantedLink:
    """One photo of a person."""

    photo_id: int
    sources: tuple[str, ...]
    """Absolute paths of the files that hold the photo, preferred first; at least one."""
    subfolder: str = ""
    """In the person's folder, a year; "": it is there itself."""
    prefix: str = ""
    """What the link's name begins with: when the photo was taken."""
    face_id: int | None = None
    """The face that is shown where faces are; None: the whole photo."""


@dataclass(frozen=True, slots=True)
class WantedFolder:
    """One person; without links the person gets no folder."""

    person_id: int
    name: str | None
    """None is a person that nobody has named yet."""
    links: tuple[WantedLink, ...]


@dataclass(frozen=True, slots=True)
class FolderEntry:
    """What has a name in a folder; links are not followed."""

    kind: Literal["symlink", "file", "dir", "cover", "other"]
    target: str = ""
    """Of a symlink its text; of a cover of ours its key."""
    inode: int = 0
    size: int = 0
    mtime_ns: int = 0

    def stamp(self, kind: LinkKind) -> str:
        """Return the stamp of this entry, taken for a link of that kind."""
        if kind in COPIES:
            return f"{kind}:{self.size}:{self.mtime_ns}"
        return f"{kind}:{self.target if kind == 'symlink' else self.inode}"

    def bears(self, stamp: str) -> bool:
        """True when this is still what the stamp was taken from."""
        if self.kind == "symlink":
            return stamp == f"symlink:{self.target}"
        kind, _, text = stamp.partition(":")
        if self.kind != "file" or kind in ("symlink", ""):
            return False
        if kind == "hardlink":
            return text == str(self.inode)
        size, mtime_ns = map(int, text.split(":")[:2])
        if self.size != size or self.mtime_ns == mtime_ns:
            return self.size == size
        may_be_rounded = kind != "face" or (self.mtime_ns % _COARSE_NS == 0 and mtime_ns % _COARSE_NS != 0)
        return may_be_rounded and abs(self.mtime_ns - mtime_ns) <= _MTIME_SLACK_NS


@dataclass(frozen=True, slots=True)
class Disk:
    """What is there now, in the folders that a plan may concern."""

    root: str
    """The real path of the people folder."""
    folders: Mapping[str, Entries]
    """Per real directory ("" is the people folder itself) its entries."""
    sources: Entries
    """The source files of hard links and copies that are to be made, to know those that are made already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _FolderAction:
    """Something to do in the people folder."""

    is_done: bool = False
    """The disk is so already, for instance because of a crash, and only the record is missing."""


@dataclass(frozen=True, slots=True)
class MoveFolder(_FolderAction):
    """Rename a directory of ours, with everything in it."""

    person_id: int
    old: str
    new: str

    def __str__(self) -> str:
        return f"move folder {self.old} to {self.new}"


@dataclass(frozen=True, slots=True)
class MakeFolder(_FolderAction):
    """Make a directory."""

    person_id: int
    path: str

    def __str__(self) -> str:
        return f"make folder {self.path}"


@dataclass(frozen=True, slots=True)
class RemoveFolder(_FolderAction):
    """Remove a directory of ours, if it is empty, and forget it. Done: it is gone, or holds what others put there."""

    path: str

    def __str__(self) -> str:
        return f"remove folder {self.path}"


@dataclass(frozen=True, slots=True)
class MakeLink(_FolderAction):
    """Make a link."""

    person_id: int
    photo_id: int
    path: str
    source: str
    target: str
    """The text of a symlink; the source itself for a hard link or a copy."""
    stamp: str | None = None
    """Of what stands there now: the wanted link when it is done, else ours that is to be replaced."""
    face_id: int | None = None

    def __str__(self) -> str:
        return f"make {self.path} -> {self.target}"


@dataclass(frozen=True, slots=True)
class MoveLink(_FolderAction):
    """Give a link of ours another name or place in the folder of its person; for those that are files."""

    link_id: int
    person_id: int
    photo_id: int
    old: str
    path: str
    source: str
    stamp: str

    def __str__(self) -> str:
        return f"move {self.old} to {self.path}"


@dataclass(frozen=True, slots=True)
class RemoveLink(_FolderAction):
    """Remove a link of ours and forget it. Done: it is gone, or somebody put something of their own there."""

    link_id: int
    path: str
    stamp: str

    def __str__(self) -> str:
        return f"remove {self.path}"


FaceMaker = Callable[[MakeLink], bytes]
"""Returns the JPEG that is to stand for a photo where faces are shown; raises OSError: there is none."""

Action = MoveFolder | MakeFolder | RemoveFolder | MakeLink | MoveLink | RemoveLink


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
        return describe(self.actions)


@dataclass(frozen=True, slots=True)
class Applied:
    """What `apply` did to links and folders."""

    n_made: int
    n_removed: int
    n_moved: int
    faults: tuple[str, ...]
    """What could not be done, one line each; the next run tries again."""
    actions: tuple[Action, ...] = ()
    """What was planned."""
    is_whole: bool = True
    """Nothing was left because somebody decided something meanwhile."""

    def after(self, before: Applied) -> Applied:
        """Return what was done in all, where this was done after that."""
        counts = before.n_made + self.n_made, before.n_removed + self.n_removed, before.n_moved + self.n_moved
        return Applied(*counts, self.faults, (*before.actions, *self.actions), self.is_whole)


def describe(actions: Iterable[Action]) -> list[str]:
    """Return one printable line per action that changes anything on the disk."""
    return [printable(str(action)) for action in actions if not action.is_done]


class Ledger(Protocol):
    """Where `apply` records what it has done. Calls may be batched, as long as their order is kept."""

    def link_made(self, person_id: int, photo_id: int, path: str, source: str, stamp: str) -> None:
        """Replaces what was recorded for this path."""

    def link_removed(self, link_id: int) -> None: ...

    def folder_made(self, person_id: int, path: str) -> None:
        """Replaces what was recorded for this person."""

    def folder_moved(self, person_id: int, old: str, new: str) -> None:
        """Every link recorded below `old` is below `new` now."""

    def folder_removed(self, path: str) -> None: ...

    def commit(self) -> None:
        """Make everything recorded so far durable: before each move, before the first thing is made, and at the end."""


UNNAMED = "_unnamed"
TOGETHER = "_together"
REVIEW = "_review"
EXTRAS = (TOGETHER, REVIEW)
"""Folders of ours that hold folders which are nobody's own."""
PARENTS = (UNNAMED, *EXTRAS)
"""Folders of ours that hold folders, and are there while these are."""
MARKER = ".facewatch"
"""The file that says whose people folder this is."""
EXTRAS_RECORD = ".facewatch.extras"
"""The file that says what was made in folders that are nobody's own."""
SHEET = "Everybody.html"
"""A page with a face of everybody, of facewatch itself; in view, because browsers in a sandbox see no hidden files."""
COVERS = ("folder.jpg", "cover.jpg")
"""What a picture that stands for its folder may be called."""
PART = ".facewatch.part"
"""A copy that is still being written; in the people folder itself, so that one place needs tidying after a crash."""

N_CANDIDATES = 4
"""How many of a person's possible folder names are checked."""

_MAX_BYTES = 255
"""Longest name on ext4, APFS and btrfs; NTFS and exFAT allow 255 UTF-16 units, which is never less."""
_SUFFIX_BYTES = 60
"""Longest folder name that goes into a link's suffix, and longest extension that is kept when a name is cut."""
_SPACES = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_JOINERS = "\u200c\u200d"
"""Persian names and many emoji are spelt with them."""
_UNSEEN = _SPACES + _JOINERS
"""Not at the ends of a name."""
_FORBIDDEN = frozenset('/\\:*?"<>|')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\.|$)", re.IGNORECASE)


def safe_name(name: str) -> str:
    """Return the name as one path component that Linux, macOS, Windows and exFAT all take; doing it twice is the same.

    At most 255 bytes of UTF-8, never empty, hidden, ".", ".." or a device; an extension survives the cut.
    """
    clean = unicodedata.normalize("NFC", "".join(map(_safe_character, name))).strip(_UNSEEN)
    clean = re.sub(r"^\.+", "_", clean).rstrip(_UNSEEN + ".")
    return _with_suffix(f"_{clean}" if _RESERVED.match(clean) else clean or "_", "")


@functools.lru_cache(maxsize=4096)
def _safe_character(character: str) -> str:
    """Return what stands for the character: "_" for an unsafe one, nothing for a mark that could fake a name unseen."""
    category = unicodedata.category(character)
    if category == "Cf":
        return character if character in _JOINERS else ""
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
    return text if len(data) <= n_bytes else data[:n_bytes].decode(errors="ignore").rstrip(_UNSEEN + ".")


def name_key(name: str) -> str:
    """Return what two names share on a disk that ignores case and Unicode composition."""
    return unicodedata.normalize("NFC", name.casefold())


_REVIEWS = -(1 << 52)
"""Ids above this stand for groups of people, those below for the suggestions for one person each."""


def review_id(person_id: int) -> int:
    """Return what stands for the folder of suggestions for a person in the place of a person's id."""
    return _REVIEWS - person_id


def reviewed(extra_id: int) -> int | None:
    """Return for whom the suggestions in an extra folder are; None: it holds none."""
    return _REVIEWS - extra_id if extra_id < _REVIEWS else None


def folder_names(person_id: int, name: str | None) -> Iterator[str]:
    """Yield the folders that would do for a person (None: not named yet), or a group of people of a negative id, best
    first, without end."""
    base = f"{UNNAMED}/{label_of(person_id)}" if name is None else safe_name(name)
    if person_id < 0:
        base = f"{TOGETHER if reviewed(person_id) is None else REVIEW}/{base}"
    short = _cut(base, _MAX_BYTES - 12 - len(str(person_id)))
    yield base
    yield f"{short} ({person_id})"
    for n in count(2):
        yield f"{short} ({person_id}.{n})"


def fits_folder(person_id: int, name: str | None, folder: str) -> bool:
    """Whether a person of this name may have its links in this folder."""
    return folder in islice(folder_names(person_id, name), N_CANDIDATES)


def home_of(path: str) -> str:
    """Return the folder of the person, or group, in whose a link of this path is: years in it are no folders of
    others."""
    return _home_in(path.rpartition("/")[0])


@functools.lru_cache(maxsize=1 << 16)
def _home_in(folder: str) -> str:
    if folder[-4:].isdecimal():
        home, _, year = folder.rpartition("/")
        if len(year) == 4 and home and home not in PARENTS:
            return home
    return folder


def link_names(source: str, prefix: str = "") -> Iterator[str]:
    """Yield the names that would do for a link to the file, best first, without end; they begin with the prefix."""
    head, name = os.path.split(source)
    base = safe_name(_begun_with(prefix, name) + name)
    yield base
    yield _with_suffix(base, f" ({_cut(safe_name(os.path.basename(head)), _SUFFIX_BYTES)})")
    for n in count():
        digest = hashlib.sha256(os.fsencode(source) + b"\0%d" % n).hexdigest()
        yield _with_suffix(base, f" ({digest[:8]})")


_DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d ")


def _begun_with(prefix: str, name: str) -> str:
    """Return what is to be put before a file's name; nothing where it begins so already."""
    return "" if name.startswith(prefix.rstrip()) else prefix


def as_jpeg(source: str) -> str:
    """Return what a picture is called after that was cut out of a photo."""
    stem, extension = os.path.splitext(source)
    return source if extension.lower() in (".jpg", ".jpeg") else f"{stem}.jpg"


def made_with(name: str, source: str) -> str | None:
    """Return the date that facewatch put before the file's name for this name of a link, "": none; None: somebody else
    gave it."""
    options = list(islice(link_names(source), N_CANDIDATES))
    date = _DATE.match(name)
    if name in options or date is None:
        return "" if name in options else None
    return date[0] if name[date.end() :] in options else None


def is_outdated_name(name: str, source: str, prefix: str) -> bool:
    """Whether facewatch gave a link this name and would not now, because of what it is to begin with."""
    if not prefix and source.endswith(os.sep + name):
        return False
    file = os.path.basename(source)
    wanted = _begun_with(prefix, file) if prefix else ""
    return name != wanted + file and made_with(name, source) not in (wanted, None)


def temporary_folder(person_id: int) -> str:
    """Return where a person's folder waits while others move round in a circle."""
    return f"{MARKER}-{person_id}"


def is_temporary(name: str) -> bool:
    """Whether a folder of this name is such a one."""
    return name.startswith(f"{MARKER}-") and name[len(MARKER) + 1 :].isdecimal()


def printable(text: str) -> str:
    return "".join(c if is_harmless(c) else c.encode("unicode_escape").decode() for c in text)
