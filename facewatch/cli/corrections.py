"""Commands that correct: each is one decision, effective at once, and `undo` takes it back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facewatch import ids
from facewatch.cli.asking import is_confirmed, read_out
from facewatch.cli.output import echo, plural, print_json, print_table
from facewatch.cli.program import State, command, json_option, pass_state
from facewatch.text import printable

if TYPE_CHECKING:
    from facewatch.app import Service
    from facewatch.catalog import Entry
    from facewatch.people.corrections import Decided, Decisions
    from facewatch.people.split import Part, SplitPlan

_ABOUT_FACES = frozenset({"assign", "unassign", "reject", "confirm", "ignore", "cover"})
_MOST_FACES = 10
"""Faces that are told one by one."""
_FEW_FACES = 3
"""Faces that are named by their ids in a line."""

FACES = (
    "FACE is an id (f812), or a photo and which face from the left: holiday.jpg:2. `facewatch why PHOTO` lists both."
)


def _decide(state: State, decide: Callable[[Decisions], Decided], say: Callable[[Service, Decided], str]) -> None:
    """Make one decision and say what it did."""
    with state.service() as service:
        with service.deciding() as decisions:
            decided = decide(decisions)
        if state.is_quiet:
            return
        if decided.entry_id is None:
            echo("nothing to do: that is already so")
            return
        echo(say(service, decided))
        if decided.action in _ABOUT_FACES:
            _print_faces(service, decided, decided.faces)
        if decided.released:
            made_room = "that contradicted it belong" if len(decided.released) > 1 else "that contradicted it belongs"
            echo(f"{plural(len(decided.released), 'face')} {made_room} to nobody now{from_whom(decided.let_go)}")
            _print_faces(service, decided, decided.released)
        _print_folder(service, decided)


def _print_faces(service: Service, decided: Decided, faces: Sequence[int]) -> None:
    """Say which faces these are, and whose they were: a number is easily mistyped."""
    from facewatch.people.lookup import faces_at

    before = {lost.face_id: f", {lost.who} until now" for lost in decided.lost}
    for face in faces_at(service.catalog, faces[:_MOST_FACES]):
        where = f"{face.file}:{face.number}" if face.file else "of a photo that is not in the library now"
        echo(f"  face {ids.face(face.id)}: {where}{before.get(face.id, '')}")
    if len(faces) > _MOST_FACES:
        echo(f"  and {len(faces) - _MOST_FACES} more")


def from_whom(losses: Mapping[str, int]) -> str:
    """Return ", from Ben", or ", 2 from Ben, 1 from Dora"; losses: how many faces who had before."""
    if len(losses) == 1:
        return f", from {next(iter(losses))}"
    return "".join(f", {n} from {who}" for who, n in losses.items())


def _read_out(state: State, words: Sequence[str], *, is_for_all: bool = False) -> Sequence[str]:
    """Return the words, a number that may be a face or a person with the letter of the one that is meant."""
    if not any(word.strip().isdecimal() for word in words):
        return words
    with state.service() as service:
        return read_out(service.catalog, words, is_for_all=is_for_all)


def _print_folder(service: Service, decided: Decided) -> None:
    person = service.catalog.people.one(decided.people[0]) if decided.people else None
    if person and person.folder and decided.action in ("rename", "merge", "assign", "show"):
        echo(str(service.folder.root / person.folder))


def _label(service: Service, person_id: int) -> str:
    person = service.catalog.people.one(person_id)
    return person.label if person else "nobody"


@command("rename", "Name a person.")
@click.argument("who")
@click.argument("new")
@click.option("--merge", "may_merge", is_flag=True, help="If NEW is another person's name: they are one person.")
@pass_state
def rename(state: State, who: str, new: str, may_merge: bool) -> None:
    """Name the person WHO (an id like p12, a name, or the beginning of one) NEW.

    \b
    Example:
      facewatch rename p12 Anna
      facewatch rename "Person 0031" Anna --merge
    """

    def say(service: Service, decided: Decided) -> str:
        person = service.find_person(str(decided.people[0]))
        what = "is now part of" if decided.action == "merge" else "is now called"
        return f"{before} {what} {person.label}: {plural(person.n_photos, 'photo')}"

    before = ""

    def decide(decisions: Decisions) -> Decided:
        nonlocal before
        renamed = decisions.rename(who, new, may_merge=may_merge)
        before = renamed.old_label
        return renamed.decided

    _decide(state, decide, say)


@command("merge", "Merge people who are one person.")
@click.argument("into")
@click.argument("others", nargs=-1, required=True)
@pass_state
def merge(state: State, into: str, others: tuple[str, ...]) -> None:
    """Merge the people OTHERS into the person INTO, who keeps the id, the name (if any) and the folder.

    Two faces of one photo that runs placed cannot both be that person: one of them belongs to nobody then.

    \b
    Example:
      facewatch merge Anna p31 "Person 0044"
    """

    def say(service: Service, decided: Decided) -> str:
        person = service.find_person(str(decided.people[0]))
        merged = f"{plural(len(others), 'person', 'people')} merged into {person.label}"
        entry = service.catalog.journal.one(decided.entry_id or 0)
        apart = ", ".join(entry.details["were_apart"]) if entry else ""
        overruled = f"\nyou had said that {apart} and {person.label} are different people: no longer" if apart else ""
        return f"{merged}: {plural(person.n_photos, 'photo')}{overruled}"

    _decide(state, lambda decisions: decisions.merge(into, others), say)


@command("apart", "Keep two people who look alike apart.")
@click.argument("who")
@click.argument("other")
@pass_state
def apart(state: State, who: str, other: str) -> None:
    """Record that WHO and OTHER are different people: they are never merged, and `review` does not ask about them.

    \b
    Example:
      facewatch apart Anna "Person 0031"
    """
    _decide(
        state,
        lambda decisions: decisions.tell_apart(who, other),
        lambda service, decided: (
            f"{_label(service, decided.people[0])} and {_label(service, decided.people[1])} are different people"
        ),
    )


@command("assign", "Say whose face it is.")
@click.argument("faces", nargs=-1, required=True, metavar="FACE...")
@click.argument("who")
@click.option("--new", "is_new", is_flag=True, help="WHO is the name of somebody new.")
@pass_state
def assign(state: State, faces: tuple[str, ...], who: str, is_new: bool) -> None:
    """Assign each FACE to the person WHO; no later run moves it.

    FACE is an id (f812), or a photo and which face from the left. `facewatch why PHOTO` lists both.

    \b
    Example:
      facewatch assign f812 ~/Pictures/beach.jpg:2 Anna
      facewatch assign ~/Pictures/wedding.jpg:4 "Aunt Mary" --new
    """
    named = _read_out(state, faces)
    _decide(
        state,
        lambda decisions: decisions.assign(named, who, is_new=is_new),
        lambda service, decided: (
            f"{plural(len(decided.faces), 'face')} placed with {_label(service, decided.people[0])}, for good"
            f"{from_whom(decided.taken)}"
        ),
    )


@command("unassign", "Take a face away from everybody.")
@click.argument("faces", nargs=-1, required=True, metavar="FACE...")
@pass_state
def unassign(state: State, faces: tuple[str, ...]) -> None:
    """Take each FACE away from its person. It belongs to nobody until you assign it; no run does.

    To say only that it is not that person's: `facewatch reject`.

    \b
    Example:
      facewatch unassign f812
    """
    _decide(
        state,
        lambda decisions: decisions.unassign(faces),
        lambda _, decided: (
            f"{plural(len(decided.faces), 'face')} taken out{from_whom(decided.taken)}; "
            "`facewatch assign` says whose they are"
        ),
    )


@command("reject", "Say whose face it is not.")
@click.argument("words", nargs=-1, required=True, metavar="FACE... [WHO]")
@pass_state
def reject(state: State, words: tuple[str, ...]) -> None:
    """Record that each FACE is not WHO (by default: the person it belongs to now), for good.

    It may be recognised as somebody else.

    FACE is an id (f812), or a photo and which face from the left; WHO is a name, or an id (p12).

    \b
    Example:
      facewatch reject f812
      facewatch reject ~/Pictures/beach.jpg:2 f813 Anna
    """
    faces, who = _faces_and_person([*words[:-1], *_read_out(state, words[1:][-1:])] if len(words) > 1 else words)
    _decide(
        state,
        lambda decisions: decisions.reject(faces, who),
        lambda service, decided: (
            f"{plural(len(decided.faces), 'face')}: not "
            f"{', '.join(_label(service, person_id) for person_id in decided.people)}, for good"
        ),
    )


def _faces_and_person(words: Sequence[str]) -> tuple[Sequence[str], str | None]:
    """Return the faces, and the person behind them if the last word is none."""
    from facewatch.people.lookup import is_face

    if is_face(words[-1]):
        return words, None
    if len(words) == 1:
        raise click.UsageError(f"{words[0]!r} is no face; name at least one. {FACES}")
    return words[:-1], words[-1]


@command("confirm", "Confirm that faces are right.")
@click.argument("words", nargs=-1, required=True, metavar="FACE...|WHO")
@pass_state
def confirm(state: State, words: tuple[str, ...]) -> None:
    """Confirm that each FACE, or every face of the person WHO, is right; no later run moves it.

    Confirmed faces also count for more when new faces are compared. FACE is an id like f812, WHO a name, or an id like
    p12.

    \b
    Example:
      facewatch confirm f812 f813
      facewatch confirm Anna
    """
    from facewatch.people.lookup import is_face

    named = _read_out(state, words, is_for_all=True) if len(words) == 1 else words
    are_faces = all(is_face(word) for word in named)
    if not are_faces and len(named) > 1:
        strange = next(word for word in named if not is_face(word))
        raise click.UsageError(f"{strange!r} is no face; confirm faces, or one person. {FACES}")
    _decide(
        state,
        lambda decisions: decisions.confirm(named) if are_faces else decisions.confirm_person(named[0]),
        lambda service, decided: (
            f"{plural(len(decided.faces), 'face')} confirmed as "
            f"{', '.join(_label(service, person_id) for person_id in decided.people)}"
        ),
    )


@command("ignore", "Mark something as not a face.")
@click.argument("faces", nargs=-1, required=True, metavar="FACE...")
@pass_state
def ignore(state: State, faces: tuple[str, ...]) -> None:
    """Mark each FACE as no face: a statue, a picture on a wall, a mistake. It is never shown or compared again.

    \b
    Example:
      facewatch ignore ~/Pictures/museum.jpg:1
    """
    _decide(
        state,
        lambda decisions: decisions.ignore(faces),
        lambda _, decided: f"{plural(len(decided.faces), 'face')} ignored{from_whom(decided.taken)}",
    )


@command("hide", "Hide a person: no folder, no questions.")
@click.argument("who")
@pass_state
def hide(state: State, who: str) -> None:
    """Hide WHO: no folder and no questions. New photos of them are still recognised, so they do not come back as new.

    \b
    Example:
      facewatch hide "Person 0044"
    """
    _decide(
        state,
        lambda decisions: decisions.hide(who),
        lambda service, decided: (
            f"{_label(service, decided.people[0])} is hidden; "
            f"`facewatch show {ids.person(decided.people[0])}` takes that back"
        ),
    )


@command("show", "Show a hidden person again.")
@click.argument("who")
@pass_state
def show(state: State, who: str) -> None:
    """Give the hidden person WHO a folder again. (To see the faces of a photo: `facewatch why PHOTO`.)

    \b
    Example:
      facewatch show "Person 0044"
    """
    _decide(
        state,
        lambda decisions: decisions.show(who),
        lambda service, decided: f"{_label(service, decided.people[0])} is shown",
    )


@command("cover", "Choose the face shown for a person.")
@click.argument("who")
@click.argument("face")
@pass_state
def cover(state: State, who: str, face: str) -> None:
    """Show WHO by FACE wherever a person is shown by a single face.

    \b
    Example:
      facewatch cover Anna ~/Pictures/beach.jpg:2
    """
    _decide(
        state,
        lambda decisions: decisions.cover(who, face),
        lambda service, decided: f"face {ids.face(decided.faces[0])} stands for {_label(service, decided.people[0])}",
    )


@command("born", "Set a date of birth.")
@click.argument("who")
@click.argument("date")
@pass_state
def born(state: State, who: str, date: str) -> None:
    """Record that WHO was born on DATE (1985, 1985-04 or 1985-04-12; - deletes it): no older photo is matched with WHO.

    Faces that you assigned stay. A photo without a date may be from any time.

    \b
    Example:
      facewatch born Anna 2014-06
    """
    _decide(
        state,
        lambda decisions: decisions.born(who, None if date == "-" else date),
        lambda service, decided: (
            f"{_label(service, decided.people[0])}: no date of birth any more"
            if date == "-"
            else f"{_label(service, decided.people[0])} was born {date}"
        ),
    )


@command("forget", "Delete a person.")
@click.argument("who")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask for confirmation.")
@pass_state
def forget(state: State, who: str, is_sure: bool) -> None:
    """Delete the person WHO: the name, the folder and the use of their faces, which are never compared again.

    Photos stay. New photos of the same person found a new unnamed one; to be rid of somebody for good, hide them.

    \b
    Example:
      facewatch forget "Person 0044"
    """
    with state.service() as service:
        person = service.find_person(who)
    question = f"Forget {person.label}, with {plural(person.n_faces, 'face')} in {plural(person.n_photos, 'photo')}?"
    if not is_sure and not is_confirmed(question, unasked="--yes to forget somebody"):
        echo("nothing was changed")
        return
    _decide(
        state,
        lambda decisions: decisions.forget(str(person.id)),
        lambda _, decided: f"{person.label} is forgotten, with {plural(len(decided.faces), 'face')}",
    )


def _told_faces(told: dict[str, Any]) -> str:
    faces = ", ".join(map(ids.face, told.get("face_ids", ())))
    return plural(told["n_faces"], "face") + (f" ({faces})" if faces and told["n_faces"] <= _FEW_FACES else "")


def _told_losses(told: dict[str, Any]) -> tuple[str, str]:
    """Return from whom a decision took faces: those that it was about, and those that contradicted it."""
    losses: list[dict[str, Any]] = told.get("lost", [])
    meant = [lost["who"] for lost in losses if not lost.get("is_let_go")]
    let_go = [f"{ids.face(lost['face_id'])} of {lost['who']}" for lost in losses if lost.get("is_let_go")]
    n_more = told.get("n_released", len(let_go)) - len(let_go[:_FEW_FACES])
    more = f" and {n_more} more" if n_more > 0 and let_go else ""
    return from_whom(Counter(meant)), f"; nobody's by it: {', '.join(let_go[:_FEW_FACES])}{more}" if let_go else ""


def describe(service: Service, entry: Entry) -> str:
    """Return what an entry of the journal did, in words."""
    told: dict[str, Any] = {"who": "", "n_faces": 0, "not": [], **entry.details}
    n_faces, who = _told_faces(told), told["who"]
    taken, let_go = _told_losses(told)
    if entry.action == "rename":
        return f"{told['before']} named {told['name']}" if "before" in told else f"named {told['name']}"
    if entry.action == "merge" and "merged" in told:
        return f"{', '.join(told['merged'])} merged into {told['into']}{let_go}"
    sentences = {
        "split": f"{told.get('before')} split into {len(told.get('people', ()))}",
        "apart": f"{told.get('one')} and {told.get('other')} kept apart",
        "assign": f"{n_faces} placed with {who}{taken}{let_go}",
        "unassign": f"{n_faces} taken out{taken}",
        "ignore": f"{n_faces} ignored{taken}",
        "reject": f"{n_faces}: not {', '.join(told['not'])}",
        "confirm": f"{n_faces} of {', '.join(who) if isinstance(who, list) else who} confirmed",
        "hide": f"{who} hidden",
        "show": f"{who} shown",
        "cover": f"face {ids.face(told.get('face', 0))} stands for {who}",
        "born": f"{who} born {told.get('born')}{let_go}" if told.get("born") else f"{who}: date of birth forgotten",
        "forget": f"{who} forgotten, with {n_faces}",
        "audit": f"faults mended, {n_faces} moved",
        "undo": f"undo of {', '.join(map(ids.decision, told.get('undone', ())))}",
        "redo": f"redo of {', '.join(map(ids.decision, told.get('redone', ())))}",
        "recluster": f"{told.get('new')} new people, {told.get('joined')} joined, {told.get('faces')} faces grouped",
    }
    return sentences.get(entry.action, entry.action)


@command("split", "Split a person who is really several.")
@click.argument("who")
@click.option(
    "--into", type=click.IntRange(min=2), metavar="N", help="Split into exactly N parts, however similar they are."
)
@click.option("--strict", is_flag=True, help="Split at a stricter distance.")
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="PART", help="The part that keeps the name (default: part 1)."
)
@click.option("--dry-run", is_flag=True, help="Show what would be done without doing it.")
@click.option("--yes", "-y", is_flag=True, help="Do it without asking.")
@json_option
@pass_state
def split(
    state: State,
    who: str,
    into: int | None,
    strict: bool,
    keep: int | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Split WHO into the people it really is. The parts are shown first, and you are asked before anything changes.

    Without --into or --strict only clearly different people are separated. The part with faces that you assigned or
    confirmed keeps the name and the folder, otherwise the largest one or the one you choose with --keep; the other
    parts become new people.

    \b
    Example:
      facewatch split Anna --dry-run
      facewatch split Anna --into 2 --keep 2
    """
    from facewatch.service.explaining import plan_split

    if into is not None and strict:
        raise click.UsageError("--into and --strict contradict each other: give one of them")
    if dry_run and yes:
        raise click.UsageError("--dry-run and --yes contradict each other: give one of them")
    if as_json and not (dry_run or yes):
        raise click.UsageError("--json asks nobody: add --yes to do it, or --dry-run to see what it would be")
    with state.service() as service:
        plan = plan_split(service, who, into=into, is_strict=strict).keeping(keep or 1)
        if not as_json and not (yes and state.is_quiet):
            _print_plan(service, plan)
        is_wanted = bool(plan.others) and not dry_run
        if is_wanted and not yes:
            is_wanted = is_confirmed(f"Split {plan.person.label} into {_n_people(plan)}?", unasked="--yes to split")
        decided = _apply(service, plan) if is_wanted else None
        if as_json:
            print_json(_plan_json(service, plan, decided))
        elif decided is not None and not state.is_quiet:
            _print_split(service, plan, decided)
        elif plan.others and not state.is_quiet:
            echo("nothing was changed")


def _apply(service: Service, plan: SplitPlan) -> Decided:
    with service.deciding() as decisions:
        return decisions.split(plan.person, [part.faces for part in plan.others])


def _n_people(plan: SplitPlan) -> str:
    return plural(len(plan.parts), "person", "people")


def _print_plan(service: Service, plan: SplitPlan) -> None:
    if plan.others:
        header = ("part", "who", "faces", "photos", "spread", "distance to part 1")
        print_table(header, [_part_row(number, plan) for number in range(1, len(plan.parts) + 1)])
        for number, examples in enumerate(_examples(service, plan.parts), 1):
            echo(f"part {number}, for example:")
            for path in examples or ["no photo that is in the library now"]:
                echo(f"  {printable(path)}")
        if not plan.kept.n_placed:
            echo("part 1 keeps the name; --keep 2 would give it to part 2")
    for note in plan.notes:
        echo(note)


def _part_row(number: int, plan: SplitPlan) -> tuple[object, ...]:
    part = plan.parts[number - 1]
    who = plan.person.label if number == 1 else "somebody new"
    placed = f", {part.n_placed} placed by you" if part.n_placed else ""
    return (
        *(number, f"{who}{placed}", len(part.faces), len(part.photos)),
        *("-" if value is None else value for value in (part.spread, part.distance)),
    )


def _examples(service: Service, parts: Sequence[Part]) -> list[list[str]]:
    """Return for each part paths of photos that stand for it."""
    sources = service.catalog.files.sources({photo for part in parts for photo in part.examples})
    return [[sources[photo][0] for photo in part.examples if sources.get(photo)] for part in parts]


def _print_split(service: Service, plan: SplitPlan, decided: Decided) -> None:
    for person_id in decided.people:
        person = service.catalog.people.one(person_id)
        if person is None:
            continue
        has = "keeps" if person_id == plan.person.id else "has"
        folder = f"  {service.folder.root / person.folder}" if person.folder else ""
        echo(f"{person.label} {has} {plural(person.n_photos, 'photo')}{folder}")
    echo(f"to undo this: facewatch undo --id {ids.decision(decided.entry_id or 0)}")


def _plan_json(service: Service, plan: SplitPlan, decided: Decided | None) -> dict[str, Any]:
    """Return the plan and what became of it; `person_id` of a part is null while it is nobody yet."""
    examples = _examples(service, plan.parts)
    people = decided.people if decided else (plan.person.id,)
    return {
        "person_id": plan.person.id,
        "name": plan.person.label,
        "is_done": decided is not None,
        "entry_id": decided.entry_id if decided else None,
        "parts": [
            asdict(part) | {"person_id": people[i] if i < len(people) else None, "examples": examples[i]}
            for i, part in enumerate(plan.parts)
        ],
        "notes": list(plan.notes),
    }
