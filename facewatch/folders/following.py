"""Keeps on record where somebody has moved folders and links of ours, where that is to mean nothing: what is planned
then moves them back, and nothing of ours is left beside what is made again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from facewatch.folders.observed import FolderPutInto, FolderRenamed, LinkKept, LinkMoved, Observation, ReadBack

if TYPE_CHECKING:
    from facewatch.catalog import Catalog
    from facewatch.folders.readback import FolderView

_ASIDE = "\0"
"""Behind the path of a folder: what stands in none, for folders that have each other's names."""


def follow(catalog: Catalog, seen: ReadBack) -> bool:
    """Put on record where everything is that is not where it was; whether something is. What is like a link of ours in
    a folder that is nobody's may be somebody's own."""
    folders = [one for one in seen.observations if isinstance(one, FolderRenamed | FolderPutInto) and one.new]
    links = [moved for one in seen.observations for moved in _moved_in(one) if moved.stamp]
    return _record(catalog, folders, links)


def follow_folders(catalog: Catalog, seen: ReadBack, view: FolderView) -> bool:
    """Put on record where folders are that hold most links of somebody; whether one is elsewhere. The folder may be of
    another time than the catalog: what is like one of the links may be somebody's own, and older."""
    folders = [one for one in seen.observations if isinstance(one, FolderRenamed) and _has_most(view, one)]
    return _record(catalog, folders, ())


def _has_most(view: FolderView, one: FolderRenamed) -> bool:
    mine = [link for link in view.links if link.person_id == one.person_id]
    moved = (replace(link, path=one.new + link.path.removeprefix(one.old)) for link in mine)
    return 2 * sum(map(view.has, moved)) > len(mine)


def _record(
    catalog: Catalog, folders: Sequence[FolderRenamed | FolderPutInto], links: Sequence[LinkMoved | LinkKept]
) -> bool:
    if folders or links:
        with catalog.write():
            _move_folders(catalog, folders)
            _move_links(catalog, links)
    return bool(folders or links)


def _moved_in(one: Observation) -> Iterator[LinkMoved | LinkKept]:
    match one:
        case LinkMoved(to=int()) | LinkKept():
            yield one
        case FolderPutInto(moved=moved):
            yield from moved


def _move_folders(catalog: Catalog, moved: Sequence[FolderRenamed | FolderPutInto]) -> None:
    links = catalog.links
    recorded = links.folders()
    for one in moved:
        links.move(one.old, one.old + _ASIDE)
    for one in moved:
        links.move(one.old + _ASIDE, one.new or one.old)
        if one.old == recorded.get(one.person_id):
            links.set_folder(one.person_id, one.new)


def _move_links(catalog: Catalog, moved: Sequence[LinkMoved | LinkKept]) -> None:
    for one in moved:
        catalog.links.remove(one.link.link_id)
    for one in moved:
        catalog.links.add(one.link.person_id, one.link.photo_id, one.path, one.link.source, one.stamp)
