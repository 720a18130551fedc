"""Taking a people folder over from a catalog that is gone.

Its links become this catalog's, so that those nobody wants any more go. Its folders were the last record of who is who:
their names are kept, and given to the same people again when their photos have been grouped.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from facewatch.catalog import Catalog, restore, utc_now
from facewatch.catalog.restore import FoundLink
from facewatch.folders.model import UNNAMED, link_names
from facewatch.folders.sync import PeopleFolder

NAMES = "names_of_folders"
"""The setting that holds names that wait for their people: for each, photos that were in its folder."""

MOST_PHOTOS = 200
"""Photos of a folder that are remembered: enough to tell whose it was."""

_N_NAMES = 4
"""How many of the names that a link may have are looked for."""

_BYSTANDERS = frozenset({"Thumbs.db", "desktop.ini"})
"""What file managers leave in folders, besides hidden files."""

_EVER = "1970-01-01T00:00:00+00:00"


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What was taken over with a people folder."""

    n_links: int
    names: tuple[str, ...]
    """Names of folders, which the same people get again."""
    left: tuple[str, ...]
    """Folders that hold something else besides links of facewatch, and stay as they are."""


def take_over(catalog: Catalog, folder: PeopleFolder) -> TakenOver:
    """Make the people folder this catalog's, with all links in it that facewatch made for another one.

    Raises:
        BusyError: another process has been writing for too long.
        FolderError: the folder cannot be written.
    """
    top = os.path.realpath(folder.root)
    with catalog.exclusive():
        standing = list(folders_in(top))
        links = list(find_links(top, standing, [Path("/")]))
        whole = {link.path.rpartition("/")[0] for link in links}
        recorded = set(catalog.links.folders().values())
        strange = [name for name in standing if name not in recorded]
        named = [name for name in strange if not name.startswith(UNNAMED)]
        names = {_name_of(name, standing): _photos_in(top, name) for name in named}
        names = {name: photos for name, photos in names.items() if photos}
        with catalog.write():
            catalog.settings.set(NAMES, json.dumps(FolderNames(catalog).waiting() | names))
        n_before = len(catalog.links.all())
        restore.adopt(catalog.path, links, standing=standing, made_at=_EVER, now=utc_now())
        folder.hand_over()
    left = [str(folder.root / name) for name in strange if name not in whole and _holds_any(f"{top}/{name}")]
    return TakenOver(len(catalog.links.all()) - n_before, tuple(sorted(names)), tuple(left))


def _name_of(folder: str, standing: Collection[str]) -> str:
    """Return the name that a folder was made for: a number in brackets kept two of them apart, and does so still where
    both stand there."""
    name = re.sub(r" \(\d+(\.\d+)?\)$", "", folder)
    return folder if name in standing else name


def _photos_in(top: str, folder: str) -> list[str]:
    """Return where links in a folder lead, some of them where there are very many."""
    with os.scandir(f"{top}/{folder}") as entries:
        links = sorted(entry.path for entry in entries if entry.is_symlink())
    some = links[:: max(1, len(links) // MOST_PHOTOS)]
    return [os.path.normpath(f"{top}/{folder}/{os.readlink(link)}") for link in some]


def _holds_any(folder: str) -> bool:
    with os.scandir(folder) as entries:
        return next(entries, None) is not None


class FolderNames:
    """The names of folders that were taken over, which wait for their people: a source of names."""

    most_photos = MOST_PHOTOS

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def waiting(self) -> dict[str, list[str]]:
        """Return the names that wait for their people, each with photos that were in its folder."""
        return dict(json.loads(self._catalog.settings.get(NAMES) or "{}"))

    def keep(self, names: Mapping[str, list[str]]) -> None:
        """Let only these wait still."""
        if not names:
            self._catalog.settings.unset(NAMES)
        elif names != self.waiting():
            self._catalog.settings.set(NAMES, json.dumps(names))


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
    for parent in ("", f"{UNNAMED}/"):
        with contextlib.suppress(OSError), os.scandir(f"{top}/{parent}") as entries:
            names = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
            yield from (f"{parent}{name}" for name in names if parent or name != UNNAMED)


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
