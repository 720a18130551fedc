"""What somebody did in the people folder: the difference between what facewatch made and what stands there now.

Values in, values out: nothing is read here, and nothing follows from the time at which something changed. A link that
is on record and stands nowhere was deleted; one that stands elsewhere was moved; a folder is found again by the links
that were in it. What a decision wants of the folder does not matter here: records say what we made, not what for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter

from facewatch.folders.model import (
    COPIES,
    EXTRAS,
    LINK_KINDS,
    Entries,
    FolderEntry,
    LinkKind,
    home_of,
    reviewed,
)
from facewatch.folders.observed import (
    Doubt,
    FolderCopied,
    FolderEmptied,
    FolderGone,
    FolderOnTheWay,
    FolderPutInto,
    FolderRenamed,
    FolderReplaced,
    LinkGone,
    LinkKept,
    LinkLost,
    LinkMoved,
    LinkOnTheWay,
    LinkOverwritten,
    LinkReplaced,
    Observation,
    PhotoDropped,
    ReadBack,
    Receiver,
    SuggestionGone,
    Unknown,
    n_changes_of,
)
from facewatch.types import RecordedLink

MOST_SHARE = 0.1
"""What part of all links may have changed at once, so that it is still believed that a person did it ..."""
FEW = 20
"""... and so many always, because the share of a small library is next to nothing."""

_BYSTANDERS = frozenset({"thumbs.db", "desktop.ini", "icon\r"})
"""What file managers leave in folders, besides hidden files; in lower case."""


@dataclass(frozen=True)
class FolderView:
    """All that stands in the people folder; hidden folders, and what is in them, left out."""

    folders: Mapping[str, Entries]
    """Per real directory ("" is the people folder itself) its entries, hidden ones among them."""
    links: Sequence[RecordedLink] = ()
    """On record for people."""
    photos: Mapping[str, int] = field(default_factory=dict)
    """What is known of `strange_paths`: the photo of the library that each stands for."""
    leftovers: frozenset[str] = frozenset()
    """Files that hold nothing, or nothing but the text of the link that is on record for their path."""
    own: frozenset[str] = frozenset()
    """Paths of what was there before anything could be concluded, or is somebody's own: it has no meaning."""
    asked: frozenset[str] = frozenset()
    """Paths of dropped photos of which it is asked already which face is meant: no news."""
    extras: tuple[RecordedLink, ...] = ()
    """What we made in folders that are nobody's own; what becomes of it has no meaning."""
    hidden: Mapping[str, Entries] = field(default_factory=dict)
    """Hidden folders where those of people are, as far as they can be read, each with its entries."""

    def entry(self, path: str) -> FolderEntry | None:
        folder, _, name = path.rpartition("/")
        return self.folders.get(folder, {}).get(name)

    def has(self, link: RecordedLink) -> bool:
        """Whether a link stands where it was made."""
        entry = self.entry(link.path)
        return entry is not None and entry.bears(link.stamp)

    @cached_property
    def intact(self) -> frozenset[str]:
        """The paths at which what we made for people stands as it was made."""
        return frozenset(link.path for link in self.links if self.has(link))

    @cached_property
    def unknown(self) -> Sequence[str]:
        """The paths of links and files that may mean something and are not what is on record for them, in order."""
        known = self.intact.union(link.path for link in self.extras if self.has(link))
        found = sorted(
            f"{folder}/{name}"
            for folder, entries in self.folders.items()
            for name, entry in entries.items()
            if folder and entry.kind in ("symlink", "file") and f"{folder}/{name}" not in known and is_visible(name)
        )
        return [path for path in found if path not in self.own]


def strange_paths(view: FolderView) -> list[str]:
    """Return the paths of links and files that are on no record, or are not what is on record for them; but none whose
    text, inode or size and time is that of a link on record."""
    reader = _Reader({}, view) if view.unknown else None
    return [path for path in view.unknown if reader and not reader.photos_by_stamp(path)]


def own_paths(folders: Mapping[int, str], view: FolderView) -> frozenset[str]:
    """Return the paths of all that is on no record: links, files, and folders directly in the people folder."""
    homes = {path.partition("/")[0] for path in (*folders.values(), *(link.path for link in view.links))}
    tops = {name for name, entry in view.folders[""].items() if entry.kind == "dir" and is_visible(name)}
    return frozenset((*view.unknown, *(tops - homes)))


def read_back(folders: Mapping[int, str], view: FolderView, *, most_changes: int) -> ReadBack:
    """Return what differs between the record and the people folder, folders first, then by path.

    Args:
        folders: the recorded folder of each person.
        most_changes: more at once than this, or than `MOST_SHARE` of all links, are not believed.
    """
    reader = _Reader(folders, view)
    found = (*reader.find_folders(), *reader.find_links())
    return ReadBack(found, reader.doubt(found, most_changes))


def believed_changes(n_links: int, most_changes: int) -> int:
    """Return how many changes at once are believed."""
    return min(most_changes, max(FEW, int(n_links * MOST_SHARE)))


def is_visible(name: str) -> bool:
    """Whether something of this name may mean anything."""
    return not name.startswith(".") and name.casefold() not in _BYSTANDERS


class _Reader:
    """Compares; what it finds one step after the other it keeps in its fields."""

    def __init__(self, folders: Mapping[int, str], view: FolderView) -> None:
        self._view = view
        self._links = sorted(view.links, key=attrgetter("path"))
        self._by_person: dict[int, list[RecordedLink]] = defaultdict(list)
        for link in self._links:
            self._by_person[link.person_id].append(link)
        self._missing = {link.link_id: link for link in self._links if link.path not in view.intact}
        self._suggestions = {
            link.stamp: link for link in view.extras if reviewed(link.person_id) is not None and not view.has(link)
        }
        """Links to suggestions that do not stand where they were made, by stamp."""
        self._left = dict.fromkeys(view.unknown)
        """Of what is unknown what is not explained yet."""
        self._by_key: dict[tuple[str, str], list[RecordedLink]] = defaultdict(list)
        if view.unknown:
            for link in (*self._links, *view.extras):
                self._by_key[_key_of_stamp(link.stamp)].append(link)
        self._folders = folders
        self._gone: set[int] = set()
        """People whose folder is nowhere in sight."""
        self._waiting: set[int] = set()
        """People of whose folder it cannot be said yet what has become of it."""

    @cached_property
    def _former(self) -> Mapping[int, str]:
        """Where the links of each person were."""
        return {p: self._folders.get(p) or self._usual_folder(p) for p in {*self._folders, *self._by_person}}

    @cached_property
    def _homes(self) -> dict[int, str]:
        """Where they are expected now."""
        return dict(self._former)

    def _usual_folder(self, person_id: int) -> str:
        """Return where the links of somebody are whose folder is somebody else's, and on no record."""
        return Counter(home_of(link.path) for link in self._by_person[person_id]).most_common(1)[0][0]

    # --- folders ---

    def find_folders(self) -> Iterator[Observation]:
        """Yield what became of folders that are not where they were; from then on their links are expected there."""
        yield from self._find_exchanged()
        absent = [p for p, home in sorted(self._homes.items()) if home not in self._view.folders]
        votes = {person_id: self._votes(person_id) for person_id in absent}
        standing = {home: p for p, home in self._homes.items() if home in self._view.folders}
        # Who has most links in a folder has it; the others can only have put theirs into it.
        for person_id in sorted(absent, key=lambda p: (-max(votes[p].values(), default=0), p)):
            place = next((folder for folder, _ in votes[person_id].most_common(1)), None)
            owner = _owner_of(place, standing) if place is not None else None
            if place is not None and owner is None:
                yield FolderRenamed(person_id, self._homes[person_id], place)
                self._follow(person_id, place)
                standing[place] = person_id
            elif place is not None and owner is not None and place not in standing:
                yield FolderPutInto(person_id, self._homes[person_id], place, owner)
                self._follow(person_id, place)
            elif place is not None and owner is not None and self._are_all_in(person_id, place):
                moved = tuple(self._moved_to(person_id, place, owner))
                yield FolderPutInto(person_id, self._homes[person_id], None, owner, moved)
            else:
                yield from self._find_vanished(person_id)

    def _find_vanished(self, person_id: int) -> Iterator[Observation]:
        """Yield what has become of a folder that stands nowhere in sight, if it is not just gone."""
        home = self._homes[person_id]
        ways = (home[:n] for n in range(1, len(home) + 1) if home[n : n + 1] in ("/", ""))
        hidden = self._hidden_place(person_id)
        if any((entry := self._view.entry(way)) is not None and entry.kind != "dir" for way in ways):
            self._waiting.add(person_id)
            yield FolderReplaced(person_id, home)
        elif hidden is not None and hidden != _dotted(home):
            self._waiting.add(person_id)
            yield FolderOnTheWay(person_id, hidden)
        else:
            self._gone.add(person_id)

    def _hidden_place(self, person_id: int) -> str | None:
        """Return which hidden folder has links of a person; None: none."""
        mine = self._by_person.get(person_id, ())
        for folder, entries in sorted(self._view.hidden.items()):
            if any(_bears(entries.get(_name(link.path)), link) for link in mine):
                return folder
        return None

    def _find_exchanged(self) -> Iterator[FolderRenamed]:
        """Yield the folders that have each other's names, and those of which each has that of the next: most links of
        each person stand where those of the next were. On photos of several of them links stand as they were."""
        owners = {home: p for p, home in self._homes.items() if home in self._view.folders} if self._left else {}
        to = {p: place for p in self._homes if owners and (place := self._mostly_in(p)) is not None}
        exchanged: set[int] = set()
        for person_id in to:
            row = [person_id]
            while (owner := owners.get(to[row[-1]])) in to and owner is not None and owner not in row:
                row.append(owner)
            is_first_gone = self._homes[person_id] not in owners and owner is None and len(row) > 1
            if is_first_gone or owner == person_id:
                exchanged.update(row)
        for person_id in sorted(exchanged):
            yield FolderRenamed(person_id, self._homes[person_id], to[person_id])
        for person_id in exchanged:
            self._follow(person_id, to[person_id])

    def _mostly_in(self, person_id: int) -> str | None:
        """Return which other folder, as people with names have, holds more links of a person than their own, and most
        of all; None: none does."""
        own, mine = self._homes[person_id], self._by_person.get(person_id, ())
        if all(link.link_id not in self._missing for link in mine):
            return None
        places = [place for place in self._votes(person_id) if place != own and _is_top(place)]
        counts = Counter({place: self._n_standing(mine, own, place) for place in places})
        [(best, n_links)] = counts.most_common(1) or [("", 0)]
        return best if n_links > max(self._n_standing(mine, own, own), len(mine) // 2) else None

    def _n_standing(self, links: Iterable[RecordedLink], home: str, place: str) -> int:
        """Return how many of these links stand in a folder as they did in another."""
        return sum(_bears(self._view.entry(place + link.path.removeprefix(home)), link) for link in links)

    def _votes(self, person_id: int) -> Counter[str]:
        """Return in which folders how many links of a person, or their photos in the place of links, stand under their
        own names."""
        votes: Counter[str] = Counter()
        for link in self._by_person.get(person_id, ()):
            places = (*self._places_of(link), *self._copies.get(link.photo_id, ()))
            votes.update({home_of(path) for path in places if _name(path) == _name(link.path) and path in self._left})
        for folder in votes.keys() & {home_of(link.path) for link in self._view.extras}:
            del votes[folder]
        return votes

    def _places_of(self, link: RecordedLink) -> list[str]:
        """Return the unexplained paths at which something bears the stamp of a link."""
        return [path for path in self._standing_by_key.get(_key_of_stamp(link.stamp), ()) if self._is_at(path, link)]

    @cached_property
    def _copies(self) -> Mapping[int, Sequence[str]]:
        """The paths of files that hold the content of a photo."""
        copies: dict[int, list[str]] = defaultdict(list)
        for path in self._view.unknown:
            if (photo_id := self._view.photos.get(path)) is not None and self._entry(path).kind == "file":
                copies[photo_id].append(path)
        return copies

    @cached_property
    def _standing_by_key(self) -> Mapping[tuple[str, str], Sequence[str]]:
        standing: dict[tuple[str, str], list[str]] = defaultdict(list)
        for path in self._view.unknown:
            for key in _keys_of_entry(self._entry(path)):
                standing[key].append(path)
        return standing

    def _is_at(self, path: str, link: RecordedLink) -> bool:
        return path in self._left and self._entry(path).bears(link.stamp)

    def _entry(self, path: str) -> FolderEntry:
        entry = self._view.entry(path)
        assert entry is not None
        return entry

    def _follow(self, person_id: int, place: str) -> None:
        """The links of a person are expected at this place now; those that are there are no news."""
        self._homes[person_id] = place
        for link in self._by_person.get(person_id, ()):
            path = self._path_now(link)
            if _bears(self._view.entry(path), link):
                self._missing.pop(link.link_id, None)
                self._left.pop(path, None)

    def _are_all_in(self, person_id: int, place: str) -> bool:
        mine = self._by_person.get(person_id, ())
        return all(any(home_of(path) == place for path in self._places_of(link)) for link in mine)

    def _moved_to(self, person_id: int, place: str, owner: int) -> Iterator[LinkMoved]:
        """Yield the links of a person, all of which are in this folder, and take them as explained."""
        for link in self._by_person.get(person_id, ()):
            path = next(path for path in self._places_of(link) if home_of(path) == place)
            del self._left[path], self._missing[link.link_id]
            yield LinkMoved(link, path, self._stamp_at(path, link), owner)

    # --- links ---

    def find_links(self) -> Iterator[Observation]:
        """Yield what became of links, and what stands there besides."""
        yield from self._find_replaced()
        yield from self._find_kept()
        yield from self._find_moved()
        yield from self._find_overwritten()
        yield from self._find_on_the_way()
        self._missing = {id_: link for id_, link in self._missing.items() if link.person_id not in self._waiting}
        for person_id in sorted(self._gone):
            mine = [link for link in self._by_person.get(person_id, ()) if link.link_id in self._missing]
            if mine:
                hidden = self._hidden_place(person_id) or ""
                yield FolderGone(person_id, self._homes[person_id], tuple(mine), hidden)
        yield from self._find_gone()
        yield from self._find_copied()
        yield from self._find_dropped()

    def _find_gone(self) -> Iterator[Observation]:
        """Yield the links that are nowhere, though their folders are there."""
        gone: dict[int, list[RecordedLink]] = defaultdict(list)
        for link in self._still_missing():
            if link.person_id not in self._gone:
                gone[link.person_id].append(link)
        emptied = {p for p, links in gone.items() if 1 < len(links) == len(self._by_person[p])}
        yield from (FolderEmptied(p, self._homes[p], tuple(gone[p])) for p in sorted(emptied))
        yield from (LinkGone(link) for links in gone.values() for link in links if link.person_id not in emptied)

    def _still_missing(self) -> list[RecordedLink]:
        return [link for link in self._links if link.link_id in self._missing]

    def _path_now(self, link: RecordedLink) -> str:
        """Return where a link should be, now that folders have moved."""
        before, now = self._former[link.person_id], self._homes[link.person_id]
        return now + link.path.removeprefix(before) if link.path.startswith(f"{before}/") else link.path

    def _find_replaced(self) -> Iterator[Observation]:
        """Yield the files that stand where links were, and are none that came from elsewhere in the folder."""
        for link in self._still_missing():
            path = self._path_now(link)
            entry = self._view.entry(path)
            if entry is None or entry.kind == "symlink" or self._is_other(path, link):
                continue
            del self._missing[link.link_id]
            self._left.pop(path, None)
            if path in self._view.leftovers:
                yield LinkLost(link, entry.stamp("copy"))
            elif self._view.photos.get(path) == link.photo_id and (kind := _copied_as(link)) is not None:
                yield LinkKept(link, path, entry.stamp(kind))
            else:
                yield LinkReplaced(link)

    def _find_kept(self) -> Iterator[Observation]:
        """Yield the links that have another name, or text, in the folder where they were."""
        for link, path in self._pairs(lambda link, path: self._holder(path) == link.person_id):
            yield LinkKept(link, path, self._stamp_at(path, link))

    def _find_moved(self) -> Iterator[Observation]:
        for link, path in self._pairs(lambda link, path: self._receiver(path) is not None):
            to = self._receiver(path)
            assert to is not None
            yield LinkMoved(link, path, self._stamp_at(path, link), to)
        for link, path in self._pairs(lambda link, path: path.partition("/")[0] in EXTRAS):
            yield LinkKept(link, path, self._stamp_at(path, link))

    def _find_overwritten(self) -> Iterator[LinkOverwritten]:
        for link in self._still_missing():
            if self._view.entry(self._path_now(link)) is not None:
                del self._missing[link.link_id]
                yield LinkOverwritten(link)

    def _is_other(self, path: str, link: RecordedLink) -> bool:
        """Whether a file that may be this link is another that does not stand where it was made."""
        entry = self._entry(path)
        if entry.kind != "file" or entry.bears(link.stamp):
            return False
        others = (one for key in _keys_of_entry(entry) for one in self._by_key.get(key, ()) if entry.bears(one.stamp))
        return any(one.link_id in self._missing or one.stamp in self._suggestions for one in others)

    def _find_on_the_way(self) -> Iterator[Observation]:
        for link in self._still_missing():
            if self._is_hidden(link):
                del self._missing[link.link_id]
                yield LinkOnTheWay(link)

    def _is_hidden(self, link: RecordedLink) -> bool:
        return any(entry.bears(link.stamp) for entry in self._hidden.get(_key_of_stamp(link.stamp), ()))

    @cached_property
    def _hidden(self) -> Mapping[tuple[str, str], Sequence[FolderEntry]]:
        hidden: dict[tuple[str, str], list[FolderEntry]] = defaultdict(list)
        for entries in self._view.folders.values():
            for name, entry in entries.items():
                if name.startswith(".") and entry.kind in ("symlink", "file"):
                    for key in _keys_of_entry(entry):
                        hidden[key].append(entry)
        return hidden

    def _pairs(self, fits: _Fits) -> list[tuple[RecordedLink, str]]:
        """Return the missing links that are found elsewhere, each with its place, and take both as explained.

        Of several links to one photo that are missing it is not known which one stands where, unless their names say
        so; then none of them counts as found.
        """

        def may_be(link: RecordedLink, path: str) -> bool:
            return fits(link, path) and not self._is_other(path, link)

        missing: dict[int, list[RecordedLink]] = defaultdict(list)
        for link in self._still_missing():
            missing[link.photo_id].append(link)
        places: dict[int, list[str]] = defaultdict(list)
        for path in self._left:
            for photo_id in self._photos_at(path) & missing.keys():
                places[photo_id].append(path)
        pairs = []
        for photo_id in sorted(places):
            for link, path in _matched(missing[photo_id], places[photo_id], may_be, self._looks_like):
                if path in self._left and not self._is_known_there(path, photo_id):
                    pairs.append((link, path))
                    del self._left[path], self._missing[link.link_id]
        return pairs

    def _looks_like(self, link: RecordedLink, path: str) -> bool:
        return _name(link.path) == _name(path) and self._entry(path).bears(link.stamp)

    def _photos_at(self, path: str) -> set[int]:
        """Return the photos that a link or file may stand for."""
        known = self._view.photos.get(path)
        return {known} if known is not None else self.photos_by_stamp(path)

    def photos_by_stamp(self, path: str) -> set[int]:
        """Return the photos of links on record that were what this is."""
        entry = self._entry(path)
        return {
            link.photo_id
            for key in _keys_of_entry(entry)
            for link in self._by_key.get(key, ())
            if entry.bears(link.stamp)
        }

    def _is_known_there(self, path: str, photo_id: int) -> bool:
        """Whether the person in whose folder this is has a link to the photo there already."""
        holder = self._holder(path)
        mine = self._by_person.get(holder, ()) if holder is not None else ()
        return any(link.photo_id == photo_id and link.link_id not in self._missing for link in mine)

    def _holder(self, path: str) -> int | None:
        """Return in whose folder something is."""
        at = {home: p for p, home in self._homes.items() if p not in self._gone}
        return _owner_of(path.rpartition("/")[0], at)

    def _receiver(self, path: str) -> Receiver | None:
        """Return whose something is that is here; None: nobody's, as the place has no meaning."""
        holder, folder = self._holder(path), home_of(path)
        is_new = holder is None and "/" not in folder and not folder.startswith("_") and folder not in self._view.own
        return folder if is_new else holder

    def _stamp_at(self, path: str, link: RecordedLink) -> str:
        entry = self._entry(path)
        if entry.kind == "symlink":
            return entry.stamp("symlink")
        return link.stamp if entry.bears(link.stamp) else ""

    def _find_copied(self) -> Iterator[FolderCopied]:
        for person_id, mine in sorted(self._by_person.items()) if self._left else ():
            for place, n_links in self._votes(person_id).items():
                if 1 < n_links == len(mine) and isinstance(self._receiver(f"{place}/{_name(mine[0].path)}"), str):
                    yield FolderCopied(person_id, self._homes[person_id], place)
                    self._left = {path: None for path in self._left if home_of(path) != place}

    def _find_dropped(self) -> Iterator[Observation]:
        for path in list(self._left):
            to, photos = self._receiver(path), sorted(self._photos_at(path))
            if to is None:
                continue
            if len(photos) != 1:
                yield Unknown(path)
            elif not self._is_known_there(path, photos[0]):
                entry = self._entry(path)
                stamp = entry.stamp("symlink") if entry.kind == "symlink" else self._stamp_of_face(entry)
                is_news = path not in self._view.asked
                yield PhotoDropped(path, photos[0], stamp, to, self._suggested_for(entry), is_news)
        yield from self._find_suggestions_gone()

    def _stamp_of_face(self, entry: FolderEntry) -> str:
        """Return what is on record of a face that facewatch cut out for another folder; "": it is no such."""
        links = (link for key in _keys_of_entry(entry) for link in self._by_key.get(key, ()))
        return next((one.stamp for one in links if one.stamp.startswith("face:") and entry.bears(one.stamp)), "")

    def _suggested_for(self, entry: FolderEntry) -> int | None:
        """Return for whom the suggestion is that this link was made for."""
        link = next((link for stamp, link in self._suggestions.items() if entry.bears(stamp)), None)
        return reviewed(link.person_id) if link is not None else None

    def _find_suggestions_gone(self) -> Iterator[SuggestionGone]:
        unknown = [self._entry(path) for path in self._view.unknown] if self._suggestions else []
        elsewhere = {stamp for stamp in self._suggestions for entry in unknown if entry.bears(stamp)}
        for stamp, link in sorted(self._suggestions.items(), key=lambda item: item[1].path):
            person_id = reviewed(link.person_id)
            is_there = home_of(link.path) in self._view.folders
            if person_id is not None and is_there and stamp not in elsewhere and not self._is_hidden(link):
                yield SuggestionGone(link, person_id)

    # --- whether to believe it ---

    def doubt(self, found: Sequence[Observation], most_changes: int) -> Doubt | None:
        homes = {p for p, links in self._by_person.items() if links}
        if len(homes) > 1 and homes <= self._gone:
            return Doubt.ALL_GONE
        n_emptied = sum(len(one.links) for one in found if isinstance(one, FolderEmptied))
        if n_emptied + n_changes_of(found) > believed_changes(len(self._links), most_changes):
            return Doubt.TOO_MANY
        return None


_Fits = Callable[[RecordedLink, str], bool]
"""Whether a link may be what stands at a path now."""


def _matched(
    links: Sequence[RecordedLink], paths: Sequence[str], fits: _Fits, looks_like: _Fits
) -> Iterator[tuple[RecordedLink, str]]:
    """Yield which of these links to one photo is where, as far as that is beyond doubt."""
    options = {link.link_id: [path for path in paths if fits(link, path)] for link in links}
    for link in links:
        mine = options[link.link_id]
        alike = [path for path in mine if looks_like(link, path)]
        rivals = [other for other in links if other is not link and set(mine) & set(options[other.link_id])]
        if mine and not rivals:
            yield link, (alike or mine)[0]
        elif alike and not any(looks_like(rival, path) for rival in rivals for path in alike):
            yield link, alike[0]


def _is_top(folder: str) -> bool:
    return "/" not in folder and not folder.startswith("_")


def _owner_of(folder: str, homes: Mapping[str, int]) -> int | None:
    """Return whose folder this is, or is in."""
    while folder:
        if folder in homes:
            return homes[folder]
        folder = folder.rpartition("/")[0]
    return None


def _bears(entry: FolderEntry | None, link: RecordedLink) -> bool:
    return entry is not None and entry.bears(link.stamp)


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _dotted(path: str) -> str:
    """Return the path of what is hidden by a dot before its name."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}.{name}"


def _key_of_stamp(stamp: str) -> tuple[str, str]:
    """Return what an entry has in common with a stamp that it bears; see `_keys_of_entry`."""
    kind, _, text = stamp.partition(":")
    return ("copy", text.partition(":")[0]) if kind in COPIES else (kind, text)


def _copied_as(link: RecordedLink) -> LinkKind | None:
    """Return what kind of copy a link is; None: none."""
    return next((kind for kind in LINK_KINDS if kind in COPIES and link.stamp.startswith(f"{kind}:")), None)


def _keys_of_entry(entry: FolderEntry) -> tuple[tuple[str, str], ...]:
    if entry.kind == "symlink":
        return (("symlink", entry.target),)
    return ("hardlink", str(entry.inode)), ("copy", str(entry.size))
