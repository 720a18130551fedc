"""What somebody did in the people folder becomes decisions: those that the commands make, and undone as those are.

Each conclusion is one transaction and one entry of the journal, whose details say that the source was the folder. When
it is undone the links come back by themselves, because folders show what was decided.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from facewatch import ids
from facewatch.errors import DecisionError, NotKnownError
from facewatch.folders.asked import Asked
from facewatch.folders.model import EXTRAS, fits_folder, review_id
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
    PhotoDropped,
    ReadBack,
    Receiver,
    SuggestionGone,
    Unknown,
)
from facewatch.people.dropped import receiver_of
from facewatch.people.plausible import candidates, only_plausible
from facewatch.people.record import FROM_FOLDER, Decided
from facewatch.text import whole_text
from facewatch.types import RecordedLink

if TYPE_CHECKING:
    from facewatch.catalog import Catalog, Person
    from facewatch.people.corrections import Decisions

log = logging.getLogger(__name__)

_MOST_PATHS = 3
"""Paths that a conclusion names."""

_NOT_TEXT = "this folder's name is not UTF-8; give it a name without such characters"


class Meaning(StrEnum):
    """What somebody meant."""

    RENAMED = "renamed"
    MERGED = "merged"
    HIDDEN = "hidden"
    SHOWN = "shown"
    ASSIGNED = "assigned"
    REJECTED = "rejected"


class Aside(StrEnum):
    """Why something in the folder was left as it is, and decides nothing."""

    UNKNOWN = "unknown"
    """It stands for no photo of the library."""
    SEVERAL = "several"
    """It is not clear which face of the photo is meant."""
    NO_FACE = "no_face"
    """The photo has no face that could be meant."""
    REPLACED = "replaced"
    """A file stands where a link was."""
    OVERWRITTEN = "overwritten"
    """Something else was put in the place of a link; it is made again beside that."""
    LOST = "lost"
    """Some program spoiled the link; it is made again."""
    EMPTIED = "emptied"
    """All links of a folder are gone, and the folder is there; they are made again."""
    COPIED = "copied"
    """A new folder is a copy of somebody's, which is there, too."""
    NO_FOLDER = "no_folder"
    """Something that is no folder stands where somebody's was."""
    ON_THE_WAY = "on_the_way"
    """A program that synchronises folders is just moving it."""
    REFUSED = "refused"
    """It contradicts what was decided before, or is not possible."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """A decision that was made because of what somebody did in the people folder."""

    meaning: Meaning
    who: str
    """The person, as it was called before."""
    other: str = ""
    """The new name, or who has the faces or the person now."""
    n_faces: int = 0
    n_photos: int = 0
    """Photos without a face of the person."""
    paths: tuple[str, ...] = ()
    """Where that was seen, some of them."""
    people: frozenset[int] = frozenset()
    """Who is not what they were."""
    entry_id: int | None = None
    """Of the journal."""


@dataclass(frozen=True, slots=True)
class LeftAside:
    """Something in the people folder from which nothing follows."""

    why: Aside
    path: str
    who: str = ""
    """In whose folder it is, or was."""
    reason: str = ""
    """Why it was refused."""
    is_new: bool = True
    """It was not there when the folder was read before."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What follows from what somebody did in the people folder."""

    conclusions: tuple[Conclusion, ...] = ()
    asides: tuple[LeftAside, ...] = ()
    asked: tuple[Asked, ...] = ()
    """Photos of which it is to be asked which face is meant."""
    doubt: Doubt | None = None
    n_changes: int = 0
    held: frozenset[int] = frozenset()
    """Whose folders are to be let be for now."""
    is_waiting: bool = False
    """It is not decided yet: somebody has to say that it is right."""
    is_first: bool = False
    """Nothing had ever been concluded before."""


@dataclass(eq=False)
class Conclusions:
    """Makes decisions of what was seen in the people folder."""

    catalog: Catalog
    decisions: Decisions
    is_away: Callable[[int], bool] = lambda photo_id: False
    """Whether a photo is in no library any more, though the catalog has not noticed: then nothing is meant by it that
    its link is gone."""
    reach: float = 0.0
    """The distance up to which two faces are of one person."""
    made: list[Conclusion] = field(default_factory=list, init=False)
    asides: list[LeftAside] = field(default_factory=list, init=False)
    asked: list[Asked] = field(default_factory=list, init=False)
    """Photos of which it is to be asked which face is meant."""
    _held: set[int] = field(default_factory=set, init=False)
    _folders_now: Mapping[str, str] = field(default_factory=dict, init=False)
    """What folders that were renamed are called now, by what they were."""

    def draw(self, seen: ReadBack) -> Reading:
        """Decide what follows from these observations.

        Raises:
            BusyError: another process has been writing for too long.
        """
        self._folders_now = {one.old: one.new for one in seen.observations if isinstance(one, FolderRenamed)}
        exchanged = _exchanged(seen)
        if exchanged:
            follow = partial(self._follow_all, exchanged)
            named = [(self._label(one.person_id), one.new) for one in exchanged]
            self._attempt(exchanged[0].new, partial(self._exchange, exchanged), follow, exchanged=named)
        for one in seen.observations:
            match one:
                case FolderRenamed() if one in exchanged:
                    pass
                case FolderRenamed() | FolderPutInto() if (new := one.new or "") != whole_text(new):
                    self._held |= concerned(ReadBack((one,)))
                    self.asides.append(LeftAside(Aside.REFUSED, new, reason=_NOT_TEXT))
                case FolderRenamed() | FolderPutInto():
                    follow = partial(self._follow, one)
                    self._attempt(one.new or one.old, partial(self._rename_or_merge, one), follow)
                case FolderEmptied():
                    self.asides.append(LeftAside(Aside.EMPTIED, one.folder, self._label(one.person_id)))
                case FolderReplaced() | FolderOnTheWay():
                    why = Aside.NO_FOLDER if isinstance(one, FolderReplaced) else Aside.ON_THE_WAY
                    self._held.add(one.person_id)
                    self.asides.append(LeftAside(why, one.folder, self._label(one.person_id)))
                case FolderCopied():
                    self.asides.append(LeftAside(Aside.COPIED, one.new, self._label(one.person_id)))
                case LinkKept() | LinkLost() | LinkReplaced() | LinkOverwritten() | LinkOnTheWay() | Unknown():
                    self._note(one)
        for who, to, moved, dropped in _by_receiver(seen):
            path = moved[0].path if moved else dropped[0].path
            self._attempt(path, partial(self._give, who, to, moved, dropped))
        for person_id, links in _by_person(seen).items():
            self._attempt(links[0].path, partial(self._take, person_id, links))
        for person_id, links in _unlikely(seen).items():
            self._attempt(links[0].path, partial(self._refuse, person_id, links))
        for gone in (one for one in seen.observations if isinstance(one, FolderGone)):
            self._attempt(gone.folder, partial(self._hide, gone))
        left = tuple(self.asides), tuple(self.asked)
        return Reading(tuple(self.made), *left, seen.doubt, seen.n_changes, frozenset(self._held))

    def _attempt(
        self, path: str, decide: Callable[[], None], follow: Callable[[], None] = lambda: None, **reason: object
    ) -> None:
        """Decide as one, all or nothing; `follow` keeps on record where folders are now, whatever may be decided: they
        may have to be moved back. `reason` is recorded."""
        n_made = len(self.made)
        try:
            with self.decisions.as_one(source=FROM_FOLDER, **reason), self.decisions.all_or_none():
                follow()
                decide()
        except (DecisionError, NotKnownError) as error:
            del self.made[n_made:]
            self.asides.append(LeftAside(Aside.REFUSED, path, reason=error.on_page))
            follow()

    # --- folders ---

    def _follow(self, one: FolderRenamed | FolderPutInto) -> None:
        """Keep on record where a folder is now."""
        links = self.catalog.links
        if one.new is not None:
            with self.catalog.write():
                links.move(one.old, one.new)
                if one.old == links.folders().get(one.person_id):
                    links.set_folder(one.person_id, one.new)

    def _follow_all(self, exchanged: Sequence[FolderRenamed]) -> None:
        """The same of folders that have each other's names."""
        links = self.catalog.links
        with self.catalog.write():
            for one in exchanged:
                links.move(one.old, _aside(one))
            for one in exchanged:
                links.move(_aside(one), one.new)
                links.set_folder(one.person_id, one.new)

    def _exchange(self, exchanged: Sequence[FolderRenamed]) -> None:
        """Folders have each other's names, and so have their people."""
        people = [self._person(one.person_id) for one in exchanged]
        done = [self.decisions.rename(ids.person(one.person_id), _aside(one)).decided for one in exchanged]
        for one, person, before in zip(exchanged, people, done, strict=True):
            named = self.decisions.rename(ids.person(one.person_id), one.new).decided
            self._conclude(Meaning.RENAMED, person, one.new, [one.new], before, named)

    def _rename_or_merge(self, one: FolderRenamed | FolderPutInto) -> None:
        if isinstance(one, FolderPutInto):
            self._merge(one)
        else:
            self._rename(one)

    def _rename(self, one: FolderRenamed) -> None:
        person, name = self._person(one.person_id), one.new.rpartition("/")[2]
        if person is None or name == one.old.rpartition("/")[2] or one.new.partition("/")[0] in EXTRAS:
            return
        if not fits_folder(person.id, person.name, one.old):
            reason = f"it was called {person.label} meanwhile"
            self.asides.append(LeftAside(Aside.REFUSED, one.new, reason=reason))
            return
        other = receiver_of(self.catalog, name)
        if other is not None and other.id != person.id:
            self._conclude(Meaning.MERGED, person, other.label, [one.new], self._join(other.id, person.id))
        else:
            done = self.decisions.rename(ids.person(person.id), name).decided
            self._conclude(Meaning.RENAMED, person, name, [one.new], done)

    def _merge(self, one: FolderPutInto) -> None:
        person, into = self._person(one.person_id), self._person(one.into)
        if into is not None:
            self._record(one.moved, into.id)
        if person is not None and into is not None and person.id != into.id:
            done = self._join(into.id, person.id)
            self._conclude(Meaning.MERGED, person, into.label, [one.new or one.old], done)

    def _join(self, into: int, other: int) -> Decided:
        return self.decisions.merge(ids.person(into), [ids.person(other)])

    def _hide(self, gone: FolderGone) -> None:
        person = self._person(gone.person_id)
        if person is None or person.is_hidden or all(self._is_away(link) for link in gone.links):
            return
        where = gone.hidden or gone.folder
        self._conclude(Meaning.HIDDEN, person, "", [where], self.decisions.hide(ids.person(person.id)))

    # --- faces ---

    def _take(self, person_id: int, links: Sequence[RecordedLink]) -> None:
        """The links of a person are gone: that is not they."""
        person = self._person(person_id)
        there = [link for link in links if not self._is_away(link)]
        if person is None or not there:
            return
        faces, photos = self._on(person.id, [self._photo_of(link) for link in there])
        done = []
        if faces:
            done.append(self.decisions.reject([ids.face(face_id) for face_id in faces], ids.person(person.id)))
        if photos:
            done.append(self.decisions.absent(ids.person(person.id), photos))
        self._conclude(Meaning.REJECTED, person, "", [self._path_now(link) for link in there], *done)

    def _path_now(self, link: RecordedLink) -> str:
        """Return where a link was, by the name that its folder has now."""
        folder = next((old for old in self._folders_now if link.path.startswith(f"{old}/")), "")
        return self._folders_now.get(folder, "") + link.path.removeprefix(folder)

    def _refuse(self, person_id: int, links: Sequence[RecordedLink]) -> None:
        """Links to suggestions are gone: that is not the person."""
        person = self._person(person_id)
        there = [link for link in links if not self._is_away(link)] if person is not None else []
        faces = [self.catalog.links.suggested_face(person_id, link.photo_id) for link in there]
        named = [ids.face(face_id) for face_id in faces if face_id is not None]
        if person is not None and named:
            done = self.decisions.reject(named, ids.person(person.id))
            self._conclude(Meaning.REJECTED, person, "", [link.path for link in there], done)

    def _on(self, person_id: int, photos: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return the faces of a person on these photos, and the photos that they are on by the user's word."""
        faces = self.catalog.faces.beside(photos, person_id)
        said = self.catalog.presences.of_person(person_id)
        return [row.id for row in faces], [photo_id for photo_id in photos if photo_id in said]

    def _give(self, who: int | None, to: Receiver, moved: Sequence[LinkMoved], dropped: Sequence[PhotoDropped]) -> None:
        """Links are in the folder of somebody else now: that is whose faces they show."""
        receiver = receiver_of(self.catalog, to)
        person = self._person(who) if who is not None else None
        if isinstance(to, int) and receiver is None:
            return
        if person is not None and receiver is not None and person.id == receiver.id:
            self._record(moved, receiver.id)
            return
        if receiver is not None:
            dropped = self._put_back(receiver, dropped)
        faces, said, clear = self._moved(person, moved)
        known = {one.link.link_id for one in clear}
        dropped = [*dropped, *(_as_dropped(one) for one in moved if one.link.link_id not in known)]
        more, found = self._meant(receiver, dropped)
        faces += more
        if not faces and not (said and receiver):
            return
        name = ids.person(receiver.id) if receiver is not None else str(to)
        done = []
        if faces:
            named = [ids.face(face_id) for face_id in faces]
            done.append(self.decisions.assign(named, name, is_new=receiver is None))
        if said and person is not None:
            done.append(self.decisions.absent(ids.person(person.id), said))
            done.append(self.decisions.present(name, said))
        new = receiver.id if receiver is not None else done[0].people[0]
        self._record((*clear, *found), new)
        paths = [*(one.path for one in clear), *(one.path for one in found)]
        self._conclude(Meaning.ASSIGNED, person, self._label(new), paths, *done)

    def _put_back(self, receiver: Person, dropped: Sequence[PhotoDropped]) -> list[PhotoDropped]:
        """Take on record the links to photos that somebody is on already, and return the others: whose folder was
        deleted and is back is hidden no more."""
        back = [one for one in dropped if any(self._on(receiver.id, [one.photo_id]))]
        self._record(back, receiver.id)
        if back and receiver.is_hidden:
            shown = self.decisions.show(ids.person(receiver.id))
            self._conclude(Meaning.SHOWN, receiver, "", [one.path for one in back], shown)
        return [one for one in dropped if one not in back]

    def _moved(self, person: Person | None, moved: Sequence[LinkMoved]) -> tuple[list[int], list[int], list[LinkMoved]]:
        """Return the faces of who had these links, the photos that they were on by the user's word, and the links of
        which they are on the photo at all: somebody may have decided otherwise meanwhile."""
        faces, said, clear = list[int](), list[int](), []
        for one in moved if person is not None else ():
            mine, word = self._on(person.id, [self._photo_of(one.link)]) if person is not None else ([], [])
            faces += mine
            said += word
            clear += [one] if mine or word else []
        return faces, said, clear

    def _meant(self, receiver: Person | None, dropped: Sequence[PhotoDropped]) -> tuple[list[int], list[PhotoDropped]]:
        """Return the faces that are meant by photos in somebody's folder, and those photos of which that is clear."""
        options = {
            one.photo_id: self._suggested(receiver, one) or self._possible(receiver, one.photo_id) for one in dropped
        }
        meant: dict[int, int] = {}
        if receiver is not None or not self._are_others(options):
            meant = {photo_id: found[0] for photo_id, found in options.items() if len(found) == 1}
            several = {photo_id: found for photo_id, found in options.items() if len(found) > 1}
            who_id = receiver.id if receiver is not None else None
            meant |= only_plausible(self.catalog, who_id, list(meant.values()), several, self.reach)
        clear = []
        for one in dropped:
            if one.photo_id in meant:
                clear.append(one)
                continue
            faces, who = (
                tuple(self._candidates(receiver, one.photo_id)),
                receiver.label if receiver is not None else str(one.to),
            )
            self.asides.append(LeftAside(Aside.SEVERAL if faces else Aside.NO_FACE, one.path, who))
            if faces:
                to = receiver.id if receiver is not None else one.to
                self.asked.append(Asked(one.path, one.photo_id, one.stamp, to, faces))
        return list(dict.fromkeys(meant[one.photo_id] for one in clear)), clear

    def _are_others(self, options: Mapping[int, Sequence[int]]) -> bool:
        """Whether all faces on most of these photos are somebody else's: then nobody new is meant, but those photos."""
        taken = [photo_id for photo_id, found in options.items() if not found and self.catalog.faces.in_photo(photo_id)]
        return 2 * len(taken) > len(options)

    def _suggested(self, receiver: Person | None, one: PhotoDropped) -> list[int]:
        """Return the face of which it was suggested whose it is, if this was a link to that and nobody has said that it
        is not the receiver's."""
        if one.suggested_for is None:
            return []
        face_id = self.catalog.links.suggested_face(one.suggested_for, one.photo_id)
        return [face_id] if face_id in self._candidates(receiver, one.photo_id) and face_id is not None else []

    def _possible(self, receiver: Person | None, photo_id: int) -> list[int]:
        """Return the candidates, and the faces of which it was said that they are not the receiver: whoever puts a link
        back has thought better of it."""
        return candidates(self.catalog, receiver.id if receiver else None, photo_id, with_rejected=True)

    def _candidates(self, receiver: Person | None, photo_id: int) -> list[int]:
        return candidates(self.catalog, receiver.id if receiver is not None else None, photo_id)

    # --- what is on record ---

    def _record(self, links: Sequence[LinkMoved | PhotoDropped], person_id: int) -> None:
        """These links are a person's from now on, and as such facewatch's."""
        for one in links:
            if isinstance(one, LinkMoved):
                self.catalog.links.remove(one.link.link_id)
            photo_id = one.link.photo_id if isinstance(one, LinkMoved) else one.photo_id
            source = one.link.source if isinstance(one, LinkMoved) else self._source_of(photo_id)
            if one.stamp and source is not None:
                self.catalog.links.add(person_id, photo_id, one.path, source, one.stamp)

    def _source_of(self, photo_id: int) -> str | None:
        return next(iter(self.catalog.files.sources([photo_id]).get(photo_id, ())), None)

    def _note(self, one: LinkKept | LinkLost | LinkReplaced | LinkOverwritten | LinkOnTheWay | Unknown) -> None:
        """Keep on record what a link is now; it decides nothing."""
        if isinstance(one, Unknown):
            self.asides.append(LeftAside(Aside.UNKNOWN, one.path))
            return
        link = one.link
        if isinstance(one, LinkKept | LinkLost):
            path = one.path if isinstance(one, LinkKept) else link.path
            with self.catalog.write():
                self.catalog.links.remove(link.link_id)
                self.catalog.links.add(link.person_id, link.photo_id, path, link.source, one.stamp)
        if isinstance(one, LinkOnTheWay):
            self._held.add(link.person_id)
        if isinstance(one, LinkOverwritten):
            with self.catalog.write():
                self.catalog.links.remove(link.link_id)
        if (why := _ASIDES.get(type(one))) is not None:
            self.asides.append(LeftAside(why, link.path, self._label(link.person_id)))

    def _conclude(
        self, meaning: Meaning, person: Person | None, other: str, paths: Sequence[str], *done: Decided
    ) -> None:
        """Note what was decided, if that was not so already."""
        entries = [one.entry_id for one in done if one.entry_id is not None]
        if not entries:
            return
        self.made.append(
            Conclusion(
                meaning,
                person.label if person is not None else "",
                other,
                n_faces=sum(len(one.faces) for one in done if one.action in ("assign", "reject")),
                n_photos=sum(len(one.photos) for one in done if one.action in ("absent",)),
                paths=tuple(paths[:_MOST_PATHS]),
                people=frozenset(person_id for one in done for person_id in one.people),
                entry_id=entries[0],
            )
        )

    # --- who and what ---

    def _person(self, person_id: int) -> Person | None:
        """Return who a person is now; None: forgotten."""
        return receiver_of(self.catalog, person_id)

    def _label(self, person_id: int) -> str:
        person = self._person(person_id)
        return person.label if person is not None else ""

    def _photo_of(self, link: RecordedLink) -> int:
        """Return the photo that lies now where a link leads: it may have been edited since."""
        file = self.catalog.files.at(Path(link.source))
        return file.photo_id if file is not None and file.photo_id is not None else link.photo_id

    def _is_away(self, link: RecordedLink) -> bool:
        return self.is_away(self._photo_of(link))


_ASIDES: Mapping[type[object], Aside] = {
    LinkLost: Aside.LOST,
    LinkReplaced: Aside.REPLACED,
    LinkOverwritten: Aside.OVERWRITTEN,
    LinkOnTheWay: Aside.ON_THE_WAY,
}


def _exchanged(seen: ReadBack) -> list[FolderRenamed]:
    """Return the folders that have each other's names, or one that of the next."""
    renamed = [one for one in seen.observations if isinstance(one, FolderRenamed)]
    old, new = {one.old for one in renamed}, {one.new for one in renamed}
    return [one for one in renamed if one.new in old or one.old in new]


def _aside(one: FolderRenamed) -> str:
    """Return what a folder, and its person, are called until the next has made room."""
    return f"{one.old} ({ids.person(one.person_id)})"


def _as_dropped(one: LinkMoved) -> PhotoDropped:
    return PhotoDropped(one.path, one.link.photo_id, one.stamp, one.to)


def _by_receiver(
    seen: ReadBack,
) -> Iterator[tuple[int | None, Receiver, list[LinkMoved], list[PhotoDropped]]]:
    """Yield the links that were moved from one person to another, and then the photos that were dropped, together."""
    moved: dict[tuple[int, Receiver], list[LinkMoved]] = defaultdict(list)
    dropped: dict[Receiver, list[PhotoDropped]] = defaultdict(list)
    for one in seen.observations:
        if isinstance(one, LinkMoved):
            moved[one.link.person_id, one.to].append(one)
        elif isinstance(one, PhotoDropped):
            dropped[one.to].append(one)
    yield from ((who, to, links, []) for (who, to), links in moved.items())
    yield from ((None, to, [], photos) for to, photos in dropped.items())


def _by_person(seen: ReadBack) -> dict[int, list[RecordedLink]]:
    """Return the links that are gone, by whose they were."""
    gone: dict[int, list[RecordedLink]] = defaultdict(list)
    for one in seen.observations:
        if isinstance(one, LinkGone):
            gone[one.link.person_id].append(one.link)
    return gone


def _unlikely(seen: ReadBack) -> dict[int, list[RecordedLink]]:
    """Return the links to suggestions that are gone, by for whom they were."""
    gone: dict[int, list[RecordedLink]] = defaultdict(list)
    for one in seen.observations:
        if isinstance(one, SuggestionGone):
            gone[one.person_id].append(one.link)
    return gone


def concerned(seen: ReadBack) -> frozenset[int]:
    """Return whose folders something was seen about."""
    people: set[int] = set()
    for one in seen.observations:
        match one:
            case FolderRenamed(person_id) | FolderGone(person_id) | FolderEmptied(person_id):
                people.add(person_id)
            case FolderReplaced(person_id) | FolderOnTheWay(person_id):
                people.add(person_id)
            case FolderPutInto(person_id, into=into):
                people |= {person_id, into}
            case LinkMoved(link, to=to):
                people |= {link.person_id, *((to,) if isinstance(to, int) else ())}
            case PhotoDropped(to=to, suggested_for=suggested_for):
                people |= {one for one in (to, suggested_for) if isinstance(one, int)}
                people |= {review_id(suggested_for)} if suggested_for is not None else set()
            case SuggestionGone(link, person_id):
                people |= {person_id, link.person_id}
            case LinkGone(link) | LinkKept(link) | LinkLost(link) | LinkReplaced(link):
                people.add(link.person_id)
            case LinkOverwritten(link) | LinkOnTheWay(link):
                people.add(link.person_id)
    return frozenset(people)
