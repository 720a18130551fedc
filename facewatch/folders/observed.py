"""What can be seen in the people folder that is not as facewatch left it; see `readback`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from facewatch.types import RecordedLink

Receiver = int | str
"""A person, or the name of a new folder directly in the people folder."""


@dataclass(frozen=True, slots=True)
class FolderRenamed:
    """The folder of a person has another name, or another place."""

    person_id: int
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class FolderPutInto:
    """The folder of a person is in that of another, or all of its links are."""

    person_id: int
    old: str
    new: str | None
    """Where it stands; None: it is gone, and its links are with the other."""
    into: int
    moved: tuple[LinkMoved, ...] = ()
    """Its links, where it is gone."""


@dataclass(frozen=True, slots=True)
class FolderGone:
    """The folder of a person is nowhere, and so are links that were in it."""

    person_id: int
    folder: str
    links: tuple[RecordedLink, ...]
    hidden: str = ""
    """Where it stands, if only a dot was put before its name."""


@dataclass(frozen=True, slots=True)
class FolderReplaced:
    """Something that is no folder, a link for instance, stands where that of a person was, or one that it was in."""

    person_id: int
    folder: str


@dataclass(frozen=True, slots=True)
class FolderOnTheWay:
    """The folder of a person has a hidden name: a program that synchronises folders is just moving it."""

    person_id: int
    folder: str


@dataclass(frozen=True, slots=True)
class FolderEmptied:
    """All links of a person are nowhere, several of them, and their folder is there: that means nothing. Some program
    has cleared it, or it is a folder of which a move has only begun; nobody says so of a whole person."""

    person_id: int
    folder: str
    links: tuple[RecordedLink, ...]


@dataclass(frozen=True, slots=True)
class FolderCopied:
    """All links of a person stand in a new folder, too, or their photos do by the same names: a program that
    synchronises folders makes the new folder before it removes the old one. That means nothing as long as the old one
    is there."""

    person_id: int
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class LinkGone:
    """A link is nowhere, its folder is there, and so are others of the same person, unless it was the only one."""

    link: RecordedLink


@dataclass(frozen=True, slots=True)
class LinkMoved:
    """A link is in the folder of somebody else, or in a new one."""

    link: RecordedLink
    path: str
    """Where it is now."""
    stamp: str
    to: Receiver


@dataclass(frozen=True, slots=True)
class PhotoDropped:
    """A link, or a file, that stands for a photo of the library is in a folder that had none for it."""

    path: str
    photo_id: int
    stamp: str
    """"" for a file that is the user's own."""
    to: Receiver
    suggested_for: int | None = None
    """Of which person it was suggested that they are on the photo; None: of nobody, as far as this link goes."""
    is_news: bool = True
    """It is not asked yet which face is meant."""


@dataclass(frozen=True, slots=True)
class SuggestionGone:
    """A link to a photo on which a person may be is nowhere, and the folder of suggestions for them is there."""

    link: RecordedLink
    person_id: int


@dataclass(frozen=True, slots=True)
class LinkKept:
    """A link has another name in the folder of its person, or another text, or is where folders are nobody's own: that
    means nothing."""

    link: RecordedLink
    path: str
    stamp: str


@dataclass(frozen=True, slots=True)
class LinkLost:
    """A file that is empty, or holds the text of the link, stands where a link was: some program spoiled it."""

    link: RecordedLink
    stamp: str


@dataclass(frozen=True, slots=True)
class LinkReplaced:
    """A file stands where a link was: an edited copy, for instance. It stays, and says nothing about the person."""

    link: RecordedLink


@dataclass(frozen=True, slots=True)
class LinkOverwritten:
    """Something else has its place: another link was moved there, and a file manager asked whether to replace this one.
    That says nothing about the person."""

    link: RecordedLink


@dataclass(frozen=True, slots=True)
class LinkOnTheWay:
    """A link has a hidden name: a program that synchronises folders is just moving it."""

    link: RecordedLink


@dataclass(frozen=True, slots=True)
class Unknown:
    """A link or a photo that stands for nothing in the library is in the folder of a person."""

    path: str


Observation = (
    FolderRenamed
    | FolderPutInto
    | FolderGone
    | FolderReplaced
    | FolderOnTheWay
    | FolderEmptied
    | FolderCopied
    | LinkGone
    | LinkMoved
    | PhotoDropped
    | SuggestionGone
    | LinkKept
    | LinkLost
    | LinkReplaced
    | LinkOverwritten
    | LinkOnTheWay
    | Unknown
)
_CHANGES = (FolderRenamed, FolderPutInto, FolderGone, LinkGone, LinkMoved, PhotoDropped, SuggestionGone)
"""Those from which something is concluded."""


def n_changes_of(found: Iterable[Observation]) -> int:
    changes = (one for one in found if isinstance(one, _CHANGES))
    return sum(not isinstance(one, PhotoDropped) or one.is_news for one in changes)


class Doubt(StrEnum):
    """Why nothing is concluded from what was seen."""

    TOO_MANY = "too_many"
    """More changed at once than a person does by hand."""
    ALL_GONE = "all_gone"
    """No folder of anybody is left: it was not a person who did that, or not on purpose."""


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What was seen in the people folder."""

    observations: tuple[Observation, ...] = ()
    doubt: Doubt | None = None
    """None: what was seen may be believed."""

    @property
    def n_changes(self) -> int:
        return n_changes_of(self.observations)
