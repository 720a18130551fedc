"""What a plan is made of: what is wanted, recorded and there, and the actions in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from facewatch.folders.names import printable

LinkKind = Literal["symlink", "hardlink", "copy"]
Entries = Mapping[str, "FolderEntry"]

_MTIME_SLACK_NS = 2_000_000_000
"""FAT keeps times to two seconds, so a copy may come back with a slightly different one."""


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
class FolderEntry:
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
        return [printable(f"{action} (done already)" if action.is_done else f"{action}") for action in self.actions]


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
