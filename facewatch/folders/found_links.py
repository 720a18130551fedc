"""Links in a people folder that no record tells of, known as facewatch's own by what they are to the letter."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from facewatch import folders
from facewatch.catalog.restore import FoundLink
from facewatch.folders.names import link_names

_N_NAMES = 4
"""How many of the names that a link may have are looked for."""

_BYSTANDERS = frozenset({"Thumbs.db", "desktop.ini"})
"""What file managers leave in folders, besides hidden files."""


def find_links(top: str, standing: Sequence[str], roots: Sequence[Path]) -> Iterator[FoundLink]:
    """Yield the links of folders that hold nothing but links as facewatch makes them, to photos of these libraries."""
    for folder in standing:
        with contextlib.suppress(OSError), os.scandir(f"{top}/{folder}") as entries:
            found = [_link_of(top, folder, e, roots) for e in entries if not _is_bystander(e.name)]
            whole = [link for link in found if link is not None]
            if len(whole) == len(found):
                yield from whole


def _is_bystander(name: str) -> bool:
    return name.startswith(".") or name in _BYSTANDERS


def folders_in(top: str) -> Iterator[str]:
    """Yield the folders that people may have; no link is followed."""
    for parent in ("", f"{folders.UNNAMED}/"):
        with contextlib.suppress(OSError), os.scandir(f"{top}/{parent}") as entries:
            names = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
            yield from (f"{parent}{name}" for name in names if parent or name != folders.UNNAMED)


def _link_of(top: str, folder: str, entry: os.DirEntry[str], roots: Sequence[Path]) -> FoundLink | None:
    """Return the entry if it is, to the letter, a link that facewatch would make there."""
    if not entry.is_symlink():
        return None
    target = os.readlink(entry.path)
    source = os.path.normpath(f"{top}/{folder}/{target}")
    if not any(Path(source).is_relative_to(root) for root in roots):
        return None
    head, name = os.path.split(source)
    as_made = "../" * (folder.count("/") + 1) + f"{os.path.relpath(head, top)}/{name}"
    if target != as_made or entry.name not in islice(link_names(source), _N_NAMES):
        return None
    changed_ns = entry.stat(follow_symlinks=False).st_mtime_ns
    return FoundLink(f"{folder}/{entry.name}", Path(source), target, changed_ns)
