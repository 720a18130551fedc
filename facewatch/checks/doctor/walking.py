"""One quick walk through a library: what a watcher would listen to, and what it could not read."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from facewatch.library.scan import IGNORE_MARKERS, Rules
from facewatch.types import Progress

_REPORT_EVERY = 500
"""Folders between two reports."""


@dataclass(frozen=True, slots=True)
class Walked:
    """What a library looks like, without a look at any file's content or size."""

    n_folders: int
    """With the library itself; those that are passed over by name or marker are not counted."""
    n_files: int
    n_links: int
    """Symlinks, which are not followed."""
    unread_folders: tuple[str, ...]
    """Absolute paths of what cannot be listed ..."""
    unread_files: tuple[str, ...]
    """... and of what cannot be opened."""
    is_case_blind: bool
    """Whether "a.jpg" and "A.JPG" are the same file there."""
    marker: str = ""
    """The file in the library itself that says that nothing of it is to be looked at."""


def walk(
    root: Path,
    *,
    exclude: tuple[str, ...],
    folders: tuple[str, ...] = (),
    files: tuple[str, ...] = (),
    can: Callable[[str, int], bool],
    report: Callable[[Progress], None],
) -> Walked:
    """Return what is below the root, by names and kinds alone: nothing is opened, and no link is followed."""
    rules = Rules(exclude, folders, files)
    n_folders = n_files = n_links = 0
    unread_folders: list[str] = []
    unread_files: list[str] = []
    sample: str | None = None
    marker = ""
    todo = [""]
    while todo:
        folder = todo.pop()
        try:
            with os.scandir(f"{root}/{folder}") as listing:
                entries = list(listing)
        except OSError:
            if not folder or rules.allows(folder, root, is_folder=True):
                unread_folders.append(f"{root}/{folder}" if folder else str(root))
            continue
        if markers := sorted(entry.name for entry in entries if entry.name in IGNORE_MARKERS):
            marker = marker if folder else markers[0]
            continue
        n_folders += 1
        if n_folders % _REPORT_EVERY == 0:
            report(Progress(n_folders, n_folders + len(todo), folder))
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            sample = sample or (entry.path if entry.name.swapcase() != entry.name else None)
            if entry.is_dir(follow_symlinks=False):
                if not rules.why_passed(path, root, is_folder=True):
                    todo.append(path)
            elif entry.is_symlink():
                n_links += not rules.why_passed(path, root, is_folder=False)
            else:
                n_files += 1
                # Asked in this order because a hundred thousand files can be read and a few are passed over.
                if not can(entry.path, os.R_OK) and rules.allows(path, root):
                    unread_files.append(entry.path)
    return Walked(
        n_folders, n_files, n_links, tuple(unread_folders), tuple(unread_files), _is_case_blind(sample), marker
    )


def _is_case_blind(sample: str | None) -> bool:
    """Whether a path leads to the same file when the case of its name is turned round."""
    if sample is None:
        return False
    path = Path(sample)
    try:
        return path.samefile(path.with_name(path.name.swapcase()))
    except OSError:
        return False
