"""Compares wanted, recorded and existing links and returns a plan; values in, values out."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice

from facewatch.folders.disk import is_intact
from facewatch.folders.model import (
    N_CANDIDATES,
    PARENTS,
    REVIEW,
    TOGETHER,
    UNNAMED,
    Action,
    Disk,
    FolderEntry,
    LinkKind,
    MakeFolder,
    MakeLink,
    MoveFolder,
    MoveLink,
    Plan,
    RemoveFolder,
    RemoveLink,
    WantedFolder,
    WantedLink,
    as_jpeg,
    folder_names,
    home_of,
    is_outdated_name,
    link_names,
    made_with,
    name_key,
    temporary_folder,
)
from facewatch.types import RecordedLink


def plan(
    wanted: Iterable[WantedFolder],
    links: Iterable[RecordedLink],
    folders: Mapping[int, str],
    disk: Disk,
    kind: LinkKind,
    *,
    reserved: Collection[str] = (),
) -> Plan:
    """Return what makes the disk as wanted. Nothing to do is an empty plan.

    Where only some people are planned for, `reserved` are the folders of the others.

    Does not depend on the order of `wanted`, of the links in it, or of the records.
    """
    people = {person.person_id: person for person in wanted if any(link.sources for link in person.links)}
    faults = tuple(fault for parent in PARENTS for fault in _drop_without(parent, people, disk))
    mine: dict[int, list[RecordedLink]] = defaultdict(list)
    for link in sorted(links, key=lambda link: link.link_id):
        mine[link.person_id].append(link)
    homes = _find_homes(people, mine, folders, disk, reserved)
    lost = [RemoveFolder(folder, is_done=True) for p, folder in sorted(folders.items()) if p not in homes]
    found = [MoveFolder(p, folders[p], home, is_done=True) for p, home in homes.items() if home != folders[p]]
    mine = _moved(mine, {folders[p]: home for p, home in homes.items()})
    # What nobody takes along is cleared first, so that all others can move into its place in one rename.
    unwanted = sorted((mine.keys() | homes.keys()) - people.keys())
    cleared, disk = _clear([link for p in unwanted for link in mine.pop(p, ())], _pop(homes, unwanted), disk)
    names = _choose_folders(people, mine, homes, disk, reserved)
    while stuck := _find_stuck(homes, names, disk):
        more, disk = _clear([link for p in stuck for link in mine.pop(p, ())], _pop(homes, stuck), disk)
        cleared += more
    mine, gone = _split_gone(mine, names, disk)
    cleared += _clear(gone, [], disk)[0]
    moves = _order_moves(homes, names, disk)
    moved = {homes[move.person_id]: names[move.person_id] for move in moves}
    rest = _plan_links(people, names, _moved(mine, moved), homes.keys(), _LinkPlan(_after_moves(disk, moved), kind))
    return Plan((*lost, *found, *cleared, *moves, *rest), faults)


def _pop(homes: dict[int, str], people: Iterable[int]) -> list[str]:
    return [homes.pop(p) for p in people if p in homes]


def _split_gone(
    links: Mapping[int, list[RecordedLink]], names: Mapping[int, str], disk: Disk
) -> tuple[dict[int, list[RecordedLink]], list[RecordedLink]]:
    """Return the links without, and those with a folder that is gone for good: another may soon have its name."""

    def is_gone(link: RecordedLink) -> bool:
        folder = link.path.rpartition("/")[0]
        return folder not in disk.folders and home_of(link.path) != names[link.person_id]

    gone = {link.link_id for mine in links.values() for link in mine if is_gone(link)}
    if not gone:
        return dict(links), []
    there = {p: [link for link in mine if link.link_id not in gone] for p, mine in links.items()}
    return there, [link for mine in links.values() for link in mine if link.link_id in gone]


def _drop_without(parent: str, people: dict[int, WantedFolder], disk: Disk) -> Iterator[str]:
    """Leave out who has no place, because something that is no directory has the name of theirs; yield why."""
    if disk.folders[""].get(parent, FolderEntry("dir")).kind == "dir":
        return
    lost = [p for p, person in people.items() if next(folder_names(p, person.name)).startswith(f"{parent}/")]
    for person_id in lost:
        del people[person_id]
    if lost:
        whose = {UNNAMED: f"{len(lost)} unnamed people", TOGETHER: "groups of people", REVIEW: "suggestions"}[parent]
        yield f"{parent}: not a folder, so {whose} have none: move it away"


def _find_homes(
    people: Mapping[int, WantedFolder],
    links: Mapping[int, list[RecordedLink]],
    folders: Mapping[int, str],
    disk: Disk,
    reserved: Collection[str],
) -> dict[int, str]:
    """Return where each recorded folder is now: as recorded, or where a move took it that was not recorded."""

    @functools.cache
    def owned() -> set[str]:
        return {*reserved, *folders.values(), *(home_of(link.path) for mine in links.values() for link in mine)}

    def find(person_id: int, folder: str) -> str | None:
        for place in (temporary_folder(person_id), folder):
            if place in disk.folders:
                return place
        options = islice(folder_names(person_id, people[person_id].name), N_CANDIDATES) if person_id in people else ()
        ours = [(_below_home(link.path), link.stamp) for link in links.get(person_id, ())]
        for place in options:
            if place not in owned() and any(is_intact(f"{place}/{name}", stamp, disk.folders) for name, stamp in ours):
                return place
        return None

    found = {person_id: find(person_id, folder) for person_id, folder in sorted(folders.items())}
    return {person_id: home for person_id, home in found.items() if home is not None}


def _below_home(path: str) -> str:
    return path[len(home_of(path)) + 1 :]


def _choose_folders(
    people: Mapping[int, WantedFolder],
    links: Mapping[int, list[RecordedLink]],
    homes: Mapping[int, str],
    disk: Disk,
    reserved: Collection[str],
) -> dict[int, str]:
    """Return a folder per person: who has one that fits the name keeps it, the others choose in order of their ids."""

    def usual(person_id: int) -> str:
        recorded = next((home_of(link.path) for link in links.get(person_id, ())), "")
        return homes.get(person_id, recorded if recorded in disk.folders else "")

    options = {p: list(islice(folder_names(p, person.name), N_CANDIDATES)) for p, person in people.items()}
    names = {p: usual(p) for p in people if usual(p) in options[p]}
    taken = {*map(name_key, PARENTS), *map(name_key, (*reserved, *names.values()))}
    vacated = {home for p, home in homes.items() if names.get(p) != home}
    standing = _standing(disk)

    def is_free(name: str) -> bool:
        others = [there for there in standing.get(name_key(name), ()) if there not in vacated]
        return name_key(name) not in taken and all(there == name and there in disk.folders for there in others)

    def choose(person_id: int, name: str | None) -> None:
        if name is not None:
            names[person_id] = name
            taken.add(name_key(name))

    for p in sorted(people.keys() - names.keys()):  # only the case changes: that keeps the name
        choose(p, next((name for name in options[p] if name_key(name) == name_key(usual(p)) and is_free(name)), None))
    for p in sorted(people.keys() - names.keys()):
        choose(p, next(name for name in folder_names(p, people[p].name) if is_free(name)))
    return names


def _standing(disk: Disk) -> dict[str, set[str]]:
    """Return everything that stands where person folders go, by what its name shares with others."""
    standing: dict[str, set[str]] = defaultdict(set)
    for folder in ("", *PARENTS):
        prefix = f"{folder}/" if folder else ""
        for name in disk.folders.get(folder, ()):
            standing[name_key(prefix + name)].add(prefix + name)
    return standing


def _find_stuck(homes: Mapping[int, str], names: Mapping[int, str], disk: Disk) -> list[int]:
    """Return who cannot move, because something that stays has the name: their links are made again in it."""
    standing = _standing(disk)
    leaving = {home for p, home in homes.items() if names[p] != home}
    return [p for p, home in homes.items() if names[p] != home and standing[name_key(names[p])] - leaving]


def _order_moves(homes: Mapping[int, str], names: Mapping[int, str], disk: Disk) -> list[MoveFolder]:
    """Return renames that never meet a taken name; a circle is opened by way of a temporary name."""
    standing = _standing(disk)
    at = {p: home for p, home in homes.items() if names[p] != home}
    moves = []
    while at:
        here = set(at.values())
        ready = [p for p in at if not standing[name_key(names[p])] & here - {at[p]}]
        moves += [MoveFolder(p, at.pop(p), names[p]) for p in ready]
        if not ready:
            p = min(at)
            moves.append(MoveFolder(p, at[p], temporary_folder(p)))
            at[p] = temporary_folder(p)
    return moves


def _after_moves(disk: Disk, moved: Mapping[str, str]) -> Disk:
    if not moved:
        return disk
    folders = {_path_after(folder, moved): entries for folder, entries in disk.folders.items()}
    for parent in folders.keys() & PARENTS:
        folders[parent] = {name: e for name, e in folders[parent].items() if f"{parent}/{name}" not in moved}
    return dataclasses.replace(disk, folders=folders)


def _path_after(path: str, moved: Mapping[str, str]) -> str:
    """Return where something is when folders, or those that it is in, have moved."""
    folder = path
    while folder and folder not in moved:
        folder = folder.rpartition("/")[0]
    return moved[folder] + path[len(folder) :] if folder else path


def _clear(links: Iterable[RecordedLink], left: Iterable[str], disk: Disk) -> tuple[list[Action], Disk]:
    """Return what takes these links and folders away, as far as they are ours, and the disk as it is then; years that
    are empty then go, too."""
    links = list(links)
    actions: list[Action] = []
    folders = {folder: dict(entries) for folder, entries in disk.folders.items()}
    for link in links:
        is_ours = is_intact(link.path, link.stamp, folders)
        actions.append(RemoveLink(link.link_id, link.path, link.stamp, is_done=not is_ours))
        if is_ours:
            folder, _, name = link.path.rpartition("/")
            del folders[folder][name]
    _drop_empty_years(folders, links)
    for folder in left:
        is_left = any(entry.kind != "cover" for entry in folders[folder].values())
        actions.append(RemoveFolder(folder, is_done=is_left))
        if not is_left:
            parent, _, name = folder.rpartition("/")
            del folders[folder]
            folders[parent].pop(name, None)
    return actions, dataclasses.replace(disk, folders=folders)


def _drop_empty_years(folders: dict[str, dict[str, FolderEntry]], links: Iterable[RecordedLink]) -> None:
    """Leave out the years in which nothing is left: they go with the last link."""
    years = {(home_of(link.path), link.path.rpartition("/")[0]) for link in links if link.path.count("/") > 1}
    for home, year in years:
        if home != year and folders.get(year) == {}:
            del folders[year]
            folders[home].pop(year[len(home) + 1 :], None)


def _plan_links(
    people: Mapping[int, WantedFolder],
    names: Mapping[int, str],
    links: Mapping[int, list[RecordedLink]],
    settled: Collection[int],
    draft: _LinkPlan,
) -> list[Action]:
    """Return what is to do when all folders have moved: keep or drop what is recorded, then name what is new."""
    useless, newcomers = [], {}
    for p in sorted(people):
        newcomers[p], dropped = draft.renew(people[p], names[p], links.get(p, []))
        useless += dropped
    cleared, draft.disk = _clear(useless, [], draft.disk)
    for parent in PARENTS:
        if draft.disk.folders.get(parent) == {} and not any(name.startswith(f"{parent}/") for name in names.values()):
            cleared.append(RemoveFolder(parent))
    for p, wanted in newcomers.items():
        draft.name_links(p, wanted)
    entered = [draft.enter(p, name) for p, name in sorted(names.items()) if p not in settled]
    return [*cleared, *(action for action in entered if action is not None), *draft.actions]


@dataclass(frozen=True, slots=True)
class _Newcomer:
    """A photo that needs a link of a new name."""

    source: str
    named_after: str
    """A path."""
    photo_id: int
    face_id: int | None
    place: str
    """The folder that it goes to."""
    prefix: str
    given: str = ""
    """The name that somebody gave to the link that it has; "": nobody did."""
    old: RecordedLink | None = None
    """What is moved there; None: the link is made."""

    def names(self) -> Iterator[str]:
        """Yield the names that would do, best first, without end."""
        return chain(filter(None, [self.given]), link_names(self.named_after, self.prefix))


def _given_name(link: RecordedLink, named_after: str) -> str:
    """Return the name that somebody gave to a link, with the extension that it is to have now; "": nobody did."""
    name = link.path.rpartition("/")[2]
    before = as_jpeg(link.source) if _is_face(link) else link.source
    if made_with(name, before) is not None:
        return ""
    return name if before == named_after else os.path.splitext(name)[0] + os.path.splitext(named_after)[1]


def _is_face(link: RecordedLink) -> bool:
    return link.stamp.startswith("face:")


class _LinkPlan:
    """The links of a plan as they are found and named. `disk` is what there is before the first of them is made."""

    def __init__(self, disk: Disk, kind: LinkKind) -> None:
        self.disk = disk
        self.actions: list[Action] = []
        self._kind = kind
        self._way = functools.cache(self._find_way)
        self._kept: dict[str, set[str]] = defaultdict(set)

    def _find_way(self, folder: str, depth: int) -> str:
        """Return the way from so deep below the people folder to a folder of the library, to be followed by a name."""
        try:
            way = os.path.join(os.path.relpath(folder, self.disk.root), "")
        except ValueError:  # another drive on Windows: there is no way
            return os.path.join(folder, "")
        return way if os.path.isabs(way) else f"..{os.sep}" * depth + way

    def _target(self, source: str, folder: str) -> str:
        if self._kind != "symlink":
            return source
        head, _, name = source.rpartition(os.sep)
        return self._way(head or os.sep, folder.count("/") + 1) + name

    def _stamp(self, source: str, folder: str) -> str:
        """Return the stamp that the wanted link has if it is made already, or "" when the source is not there."""
        if self._kind == "symlink":
            return f"symlink:{self._target(source, folder)}"
        if self._kind == "face":
            return ""
        entry = self.disk.sources.get(source, FolderEntry("other"))
        return entry.stamp(self._kind) if entry.kind == "file" else ""

    def renew(
        self, person: WantedFolder, folder: str, recorded: list[RecordedLink]
    ) -> tuple[list[_Newcomer], list[RecordedLink]]:
        """Return the photos that need a new name, in order, and the recorded links that are of no use."""
        newcomers = []
        useless = {link.link_id: link for link in recorded}
        known = {link.photo_id: link for link in reversed(recorded) if home_of(link.path) == folder}
        for photo_id, wanted in {link.photo_id: link for link in person.links if link.sources}.items():
            old, place = known.get(photo_id), f"{folder}/{wanted.subfolder}" if wanted.subfolder else folder
            source = old.source if old is not None and old.source in wanted.sources else wanted.sources[0]
            if old is not None and self._renew_link(old, place, source, wanted):
                del useless[old.link_id]
                continue
            named_after = self._named_after(source)
            given = _given_name(old, named_after) if old is not None and old.source == source else ""
            if old is not None and self._may_be_moved(old, source):
                del useless[old.link_id]
            else:
                old = None
            what = (source, named_after, photo_id, wanted.face_id)
            newcomers.append(_Newcomer(*what, place, wanted.prefix, given, old))
        return sorted(newcomers, key=lambda one: (one.source, one.photo_id)), list(useless.values())

    def _may_be_moved(self, old: RecordedLink, source: str) -> bool:
        """Whether a link is a file as it is wanted, but for its name: a copy of it would be a waste."""
        is_file = self._kind != "symlink" and old.stamp.startswith(f"{self._kind}:")
        return is_file and old.source == source and is_intact(old.path, old.stamp, self.disk.folders)

    def _named_after(self, source: str) -> str:
        return as_jpeg(source) if self._kind == "face" else source

    def _renew_link(self, old: RecordedLink, folder: str, source: str, wanted: WantedLink) -> bool:
        """Plan what a recorded link needs to be as wanted; False when it cannot keep its name."""
        if old.source != source and os.path.basename(old.source) != os.path.basename(source):
            return False
        place, _, name = old.path.rpartition("/")
        if place != folder or _is_face(old) != (self._kind == "face"):
            return False
        if is_outdated_name(name, self._named_after(old.source), wanted.prefix):
            return False
        entry, stamp = self.disk.folders.get(folder, {}).get(name), self._stamp(source, folder)
        if entry is None or not entry.bears(old.stamp):
            if entry is not None and not entry.bears(stamp):
                return False
            self._make(old.person_id, old.photo_id, old.path, source, wanted.face_id, done=entry)
        elif not self._is_good(old.stamp, stamp, wanted.face_id):
            self._make(old.person_id, old.photo_id, old.path, source, wanted.face_id, replaces=old.stamp)
        self._kept[folder].add(name)
        return True

    def _is_good(self, recorded: str, wanted: str, face_id: int | None) -> bool:
        """True when an intact link needs no change: a symlink of the right target; the right face; any other of the
        right kind."""
        if self._kind == "face":
            return recorded.rpartition(":")[2] == str(face_id or 0)
        return recorded == wanted if self._kind == "symlink" else recorded.startswith(f"{self._kind}:")

    def _make(
        self,
        person: int,
        photo: int,
        path: str,
        source: str,
        face: int | None,
        *,
        replaces: str | None = None,
        done: FolderEntry | None = None,
    ) -> None:
        target = self._target(source, path.rpartition("/")[0])
        stamp = replaces if done is None else done.stamp(self._kind)
        self.actions.append(MakeLink(person, photo, path, source, target, stamp, face, is_done=done is not None))

    def name_links(self, person_id: int, wanted: Iterable[_Newcomer]) -> None:
        by_place: dict[str, list[_Newcomer]] = defaultdict(list)
        for one in wanted:
            by_place[one.place].append(one)
        for place, mine in by_place.items():
            self._name_in(person_id, place, mine)

    def _name_in(self, person_id: int, folder: str, wanted: Iterable[_Newcomer]) -> None:
        entries = self.disk.folders.get(folder, {})
        standing = {name_key(name): name for name in entries}
        taken = set(map(name_key, self._kept[folder]))

        def is_free(name: str, stamp: str) -> bool:
            there = standing.get(name_key(name))
            return name_key(name) not in taken and (there is None or (there == name and entries[there].bears(stamp)))

        for one in wanted:
            stamp = self._stamp(one.source, folder) if one.old is None else ""
            name = next(name for name in one.names() if is_free(name, stamp))
            taken.add(name_key(name))
            self._kept[folder].add(name)
            path = f"{folder}/{name}"
            if one.old is None:
                self._make(person_id, one.photo_id, path, one.source, one.face_id, done=entries.get(name))
            else:
                old = one.old
                self.actions.append(
                    MoveLink(old.link_id, person_id, one.photo_id, old.path, path, one.source, old.stamp)
                )

    def enter(self, person_id: int, folder: str) -> MakeFolder | None:
        """Make a folder that is not there; take over one that holds nothing but our links, and years of them."""
        entries = self.disk.folders.get(folder)
        if entries is None or all(self._is_ours(folder, name) for name in entries):
            return MakeFolder(person_id, folder, is_done=entries is not None)
        return None

    def _is_ours(self, folder: str, name: str) -> bool:
        if name in self._kept[folder] or self.disk.folders[folder][name].kind == "cover":
            return True
        year = f"{folder}/{name}"
        is_year = home_of(f"{year}/") == folder and year in self.disk.folders
        return is_year and self.disk.folders[year].keys() <= self._kept[year]


def _moved(links: Mapping[int, list[RecordedLink]], moved: Mapping[str, str]) -> dict[int, list[RecordedLink]]:
    """Return the records as they are when these folders have moved."""
    moved = {old: new for old, new in moved.items() if old != new}
    if not moved:
        return dict(links)

    def place(link: RecordedLink) -> RecordedLink:
        path = _path_after(link.path, moved)
        return link if path == link.path else dataclasses.replace(link, path=path)

    return {person_id: [place(link) for link in mine] for person_id, mine in links.items()}
