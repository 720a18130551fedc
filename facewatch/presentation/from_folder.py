"""What was concluded from what somebody did in the people folder, in words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from facewatch import ids
from facewatch.folders.model import (
    Action,
    MakeFolder,
    MakeLink,
    MoveFolder,
    MoveLink,
    RemoveFolder,
    RemoveLink,
    describe,
)
from facewatch.folders.observed import Doubt
from facewatch.people.from_folder import Aside, Conclusion, LeftAside, Meaning, Reading
from facewatch.text import plural, printable

if TYPE_CHECKING:
    from facewatch.people.folder_reader import Waiting

FIRST = (
    "what you change in the people folder is a decision from now on: `facewatch undo` takes it back, and edit, under "
    '[folders] in the settings, may be "ask" or "ignore" instead'
)


def reading_lines(reading: Reading, *, is_trial: bool = False) -> Iterator[str]:
    """Yield what was concluded, or would be, and what is left as it is, unless that was said before."""
    for one in reading.conclusions:
        undo = f" (undo: facewatch undo {ids.decision(one.entry_id)})" if one.entry_id and not is_trial else ""
        yield printable(f"{conclusion(one)}{undo}")
    for alike in _alike(left for left in reading.asides if left.is_new):
        first, *more = [printable(aside(left)) for left in alike]
        if len(more) < _FEW:
            yield from (first, *more)
        else:
            yield f"{first} (the same of {len(more)} more in {printable(alike[0].path.rpartition('/')[0])})"
    if reading.is_waiting:
        yield waits(reading.n_changes, reading.doubt)
    if reading.is_first and not is_trial:
        yield FIRST


_FEW = 3
"""So many lines of one kind follow the first at most."""


def _alike(asides: Iterable[LeftAside]) -> Iterable[list[LeftAside]]:
    """Return what was left as it is, together what is of one kind, in one folder and of one person."""
    alike: dict[object, list[LeftAside]] = defaultdict(list)
    for left in asides:
        alike[left.why, left.who, left.reason, left.path.rpartition("/")[0]].append(left)
    return alike.values()


MOST_STEPS = 40
"""More steps than that are counted, unless somebody asks for each."""

_STEPS: Mapping[type[Action], tuple[str, str]] = {
    MoveFolder: ("move", "folder"),
    RemoveLink: ("remove", "link"),
    RemoveFolder: ("remove", "folder"),
    MakeFolder: ("make", "folder"),
    MoveLink: ("move", "link"),
    MakeLink: ("make", "link"),
}


def step_lines(actions: Iterable[Action], *, is_whole: bool = False) -> Iterator[str]:
    """Yield what is done to the people folder; where that is much, and not the whole is wanted, how often what."""
    todo = [action for action in actions if not action.is_done]
    if is_whole or len(todo) <= MOST_STEPS:
        yield from describe(todo)
        return
    counts = Counter(type(action) for action in todo)
    for kind, (verb, what) in _STEPS.items():
        if n := counts[kind]:
            yield f"{verb} {plural(n, what)}"
    yield "`facewatch folders -v` lists each of such steps"


def conclusion(one: Conclusion) -> str:
    """Return what was decided, and why."""
    counted = [plural(n, what) for n, what in ((one.n_faces, "face"), (one.n_photos, "photo")) if n]
    what = " and ".join(counted)
    match one.meaning:
        case Meaning.RENAMED:
            return f"{one.who} is {one.other} now, because the folder is called so: {one.paths[0]}"
        case Meaning.MERGED:
            return f"{one.who} is part of {one.other} now, because the folder is theirs: {one.paths[0]}"
        case Meaning.HIDDEN:
            is_hidden = one.paths[0].rpartition("/")[2].startswith(".")
            return f"{one.who} is hidden, because the folder is {'hidden' if is_hidden else 'gone'}: {one.paths[0]}"
        case Meaning.SHOWN:
            return f"{one.who} is hidden no more, because the folder is back: {one.paths[0]}"
        case Meaning.ASSIGNED:
            whose = f"{one.who}: " if one.who else ""
            return f"{whose}{what} assigned to {one.other}, because of {_links(one)}"
        case Meaning.REJECTED:
            those = "its link is" if len(counted) == 1 and "1 " in counted[0][:2] else "their links are"
            return f"{one.who}: {what} rejected, because {those} gone: {_listed(one)}"


def _links(one: Conclusion) -> str:
    return f"{'a link' if len(one.paths) == 1 else 'links'} there: {_listed(one)}"


def _listed(one: Conclusion) -> str:
    n_more = one.n_faces + one.n_photos - len(one.paths)
    return ", ".join(one.paths) + (f" and {n_more} more" if n_more > 0 else "")


def aside(left: LeftAside) -> str:
    """Return what was left as it is, and why."""
    match left.why:
        case Aside.UNKNOWN:
            return f"{left.path}: left alone, it stands for no photo of the library"
        case Aside.SEVERAL:
            return f"{left.path}: it is not clear which face on it is {left.who}; `facewatch review` asks"
        case Aside.NO_FACE:
            return f"{left.path}: left alone, it has no face that may be {left.who}"
        case Aside.REPLACED:
            return f"{left.path}: a file now, where a link of {left.who} was; it stays, and decides nothing"
        case Aside.OVERWRITTEN:
            return (
                f"{left.path}: something else was put in the place of this link of {left.who}; that decides nothing "
                "about its photo, which comes back under another name if it is not there"
            )
        case Aside.LOST:
            return f"{left.path}: some program has left nothing of this link of {left.who}; it is made again"
        case Aside.EMPTIED:
            return (
                f"{left.path}: was emptied, which says nothing about {left.who}; its links are made again. To hide a "
                "person, delete the folder itself"
            )
        case Aside.COPIED:
            return (
                f"{left.path}: left alone, it is a copy of the folder of {left.who}, which is there, too. To give "
                f"{left.who} another name, rename the folder, or delete the old one"
            )
        case Aside.NO_FOLDER:
            return (
                f"{left.path}: is no folder any more, so nothing is done about {left.who}. Remove what stands there, "
                f"and put the folder back; to hide {left.who}, leave nothing there"
            )
        case Aside.ON_THE_WAY:
            return f"{left.path}: has a hidden name now; a program is moving it, and it waits"
        case Aside.REFUSED:
            return f"{left.path}: cannot be followed: {left.reason}"


def waits(n_changes: int, doubt: Doubt | None) -> str:
    """Return why nothing is concluded, and what to do."""
    ways = "`facewatch folders --accept` decides so, `facewatch folders --repair` puts the folder back as it was"
    match doubt:
        case Doubt.ALL_GONE:
            return f"nothing is concluded: no person's folder is there any more; {ways}"
        case Doubt.TOO_MANY:
            return (
                f"nothing is concluded: {plural(n_changes, 'change')} at once in the people folder are more than "
                f"somebody makes by hand; {ways}"
            )
        case None:
            what = f"{plural(n_changes, 'change')} in the people folder {'waits' if n_changes == 1 else 'wait'}"
            return f"{what} for your word; {ways}"


def waiting(found: Waiting) -> str:
    """Return what the status says of changes that wait."""
    return f"the people folder was changed by hand, and is left as it is. {waits(found.n_changes, found.doubt)}"


def reading_row(reading: Reading) -> dict[str, Any]:
    """Return what was concluded as JSON has it."""
    return {
        "conclusions": [
            {**asdict(one), "people": sorted(one.people), "text": conclusion(one)} for one in reading.conclusions
        ],
        "left_alone": [asdict(one) | {"text": aside(one)} for one in reading.asides],
        "waiting": waits(reading.n_changes, reading.doubt) if reading.is_waiting else None,
    }
