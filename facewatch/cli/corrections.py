"""Commands that correct: each is one decision, effective at once, and `undo` takes it back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from facewatch import ids
from facewatch.cli.asking import is_confirmed, read_out
from facewatch.cli.output import echo, print_json, print_table
from facewatch.cli.program import State, command, json_option, pass_state
from facewatch.text import plural

if TYPE_CHECKING:
    from facewatch.app import App
    from facewatch.people.corrections import Decisions
    from facewatch.people.record import Decided, Renamed
    from facewatch.people.split import SplitPlan
    from facewatch.people.undo import Undone

FACES = (
    "FACE is an id (f812), or a photo and which face from the left: holiday.jpg:2. `facewatch why PHOTO` lists both."
)


def decide(state: State, decide: Callable[[Decisions], Decided | Renamed]) -> None:
    """Make one decision and say what it did."""
    from facewatch.presentation.corrections import lines

    with state.app() as app:
        with app.corrections.deciding() as decisions:
            made = decide(decisions)
        if not state.is_quiet:
            echo("\n".join(lines(app.catalog, made, app.folder.root)))


def _read_out(state: State, words: Sequence[str], *, is_for_all: bool = False) -> Sequence[str]:
    """Return the words, a number that may be a face or a person with the letter of the one that is meant."""
    if not any(word.strip().isdecimal() for word in words):
        return words
    with state.app() as app:
        return read_out(app.catalog, words, is_for_all=is_for_all)


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
    decide(state, lambda decisions: decisions.rename(who, new, may_merge=may_merge))


@command("merge", "Merge people who are one person.")
@click.argument("into")
@click.argument("others", nargs=-1, required=True)
@pass_state
def merge(state: State, into: str, others: tuple[str, ...]) -> None:
    """Merge the people OTHERS into the person INTO, who keeps the id, the name (if any) and the folder.

    Two faces of one photo that runs assigned cannot both be that person: one of them belongs to nobody then.

    \b
    Example:
      facewatch merge Anna p31 "Person 0044"
    """
    decide(state, lambda decisions: decisions.merge(into, others))


@command("apart", "Keep two people who look alike apart.")
@click.argument("who")
@click.argument("other")
@pass_state
def apart(state: State, who: str, other: str) -> None:
    """Record that WHO and OTHER are different people: no run merges them, and `review` does not ask about them.

    \b
    Example:
      facewatch apart Anna "Person 0031"
    """
    decide(state, lambda decisions: decisions.cannot_link(who, other))


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
    decide(state, lambda decisions: decisions.assign(named, who, is_new=is_new))


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
    decide(state, lambda decisions: decisions.unassign(faces))


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
    decide(state, lambda decisions: decisions.reject(faces, who))


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
    decide(state, lambda decisions: decisions.confirm(named) if are_faces else decisions.confirm_person(named[0]))


@command("ignore", "Mark something as not a face.")
@click.argument("faces", nargs=-1, required=True, metavar="FACE...")
@pass_state
def ignore(state: State, faces: tuple[str, ...]) -> None:
    """Mark each FACE as no face: a statue, a picture on a wall, a mistake. It is never shown or compared again.

    \b
    Example:
      facewatch ignore ~/Pictures/museum.jpg:1
    """
    decide(state, lambda decisions: decisions.ignore(faces))


@command("hide", "Hide a person: no folder, no questions.")
@click.argument("who")
@pass_state
def hide(state: State, who: str) -> None:
    """Hide WHO: no folder and no questions. New photos of them are still recognised, so they do not come back as new.

    \b
    Example:
      facewatch hide "Person 0044"
    """
    decide(state, lambda decisions: decisions.hide(who))


@command("show", "Show a hidden person again.")
@click.argument("who")
@pass_state
def show(state: State, who: str) -> None:
    """Give the hidden person WHO a folder again. (To see the faces of a photo: `facewatch why PHOTO`.)

    \b
    Example:
      facewatch show "Person 0044"
    """
    decide(state, lambda decisions: decisions.show(who))


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
    decide(state, lambda decisions: decisions.cover(who, face))


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
    decide(state, lambda decisions: decisions.born(who, None if date == "-" else date))


@command("forget", "Delete a person.")
@click.argument("who")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask for confirmation.")
@pass_state
def forget(state: State, who: str, is_sure: bool) -> None:
    """Delete the person WHO: the name, the folder and the use of their faces, which are never compared again.

    Photos stay. New photos of the same person start a new unnamed person; to be rid of somebody for good, hide them.

    \b
    Example:
      facewatch forget "Person 0044"
    """
    with state.app() as app:
        person = app.lookup.person(who)
    question = f"Forget {person.label}, with {plural(person.n_faces, 'face')} in {plural(person.n_photos, 'photo')}?"
    if not is_sure and not is_confirmed(question, unasked="--yes to forget somebody"):
        echo("nothing was changed")
        return
    decide(state, lambda decisions: decisions.forget(str(person.id)))


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
    from facewatch.people.split import plan_split
    from facewatch.presentation import corrections as words

    if into is not None and strict:
        raise click.UsageError("--into and --strict contradict each other: give one of them")
    if dry_run and yes:
        raise click.UsageError("--dry-run and --yes contradict each other: give one of them")
    if as_json and not (dry_run or yes):
        raise click.UsageError("--json asks nobody: add --yes to do it, or --dry-run to see what it would be")
    with state.app() as app:
        person, engine = app.lookup.person(who), app.engine.in_use()
        plan = plan_split(app.catalog, engine, person, app.identities.settings, into=into, is_strict=strict)
        plan = plan.keeping(keep or 1)
        if not as_json and not (yes and state.is_quiet):
            _print_plan(app, plan)
        is_wanted = bool(plan.others) and not dry_run
        if is_wanted and not yes:
            is_wanted = is_confirmed(words.split_question(plan), unasked="--yes to split")
        decided = _apply(app, plan) if is_wanted else None
        if as_json:
            print_json(words.split_row(app.catalog, plan, decided))
        elif decided is not None and not state.is_quiet:
            echo("\n".join(words.split_lines(app.catalog, plan, decided, app.folder.root)))
        elif plan.others and not state.is_quiet:
            echo("nothing was changed")


def _print_plan(app: App, plan: SplitPlan) -> None:
    from facewatch.presentation import corrections as words

    if plan.others:
        print_table(words.SPLIT_HEADER, words.split_cells(plan))
        for line in words.split_examples(app.catalog, plan):
            echo(line)
    for note in words.split_notes(plan):
        echo(note)


def _apply(app: App, plan: SplitPlan) -> Decided:
    with app.corrections.deciding() as decisions:
        return decisions.split(plan.person, [part.faces for part in plan.others])


_TABLE_ROWS = 50
"""Lines of a history that somebody still reads."""


@command("undo", "Undo decisions.")
@click.argument("what", metavar="[N|ID]", required=False, default="1")
@click.option("--id", "entry_id", metavar="ID", help="Take back this one, by its id in `facewatch history` (d41).")
@click.option("--chain", "with_chain", is_flag=True, help="With an id: and all later decisions that build on it.")
@json_option
@pass_state
def undo(state: State, what: str, entry_id: str | None, with_chain: bool, as_json: bool) -> None:
    """Take back the last N decisions (one, if not said), or the decision ID: people, names, faces, rejections and
    folders are as before.

    \b
    Example:
      facewatch undo
      facewatch undo 3          # the last three
      facewatch undo d41        # that one alone
    """
    if ids.is_decision(what):
        if entry_id is not None:
            raise click.UsageError("ID and --id name two decisions; take them back one by one")
        what, entry_id = "1", what
    n = _n_decisions(what)
    if entry_id is None and with_chain:
        raise click.UsageError("--chain needs the id of a decision: facewatch undo d41 --chain")
    if entry_id is not None and n != 1:
        raise click.UsageError("N and --id contradict each other: N counts from the last decision, --id names one")
    one = _decision_id(entry_id) if entry_id is not None else None
    with state.app() as app:
        undone = app.corrections.undo(n) if one is None else app.corrections.undo_one(one, with_chain=with_chain)
        _print_undone(state, undone, "undone", as_json)


def _n_decisions(text: str) -> int:
    n = ids.read_decision(text)
    if not n:
        raise click.BadParameter(f"{text!r} is neither how many decisions (3), nor one of them (d41)")
    return n


def _decision_id(text: str) -> int:
    entry_id = ids.read_decision(text)
    if entry_id is None:
        raise click.BadParameter(f"{text!r} is no decision; `facewatch history` lists their ids, like d41")
    return entry_id


@command("redo", "Redo what was undone last.")
@json_option
@pass_state
def redo(state: State, as_json: bool) -> None:
    """Redo what `undo` took back last. Possible until the next decision.

    \b
    Example:
      facewatch redo
    """
    with state.app() as app:
        _print_undone(state, app.corrections.redo(), "made again", as_json)


def _print_undone(state: State, undone: Undone, what: str, as_json: bool) -> None:
    from facewatch.presentation.corrections import describe, history_row

    if as_json:
        print_json(list(map(history_row, undone.entries)))
    elif not state.is_quiet:
        for entry in undone.entries:
            echo(f"{what}: {describe(entry)}")


@command("history", "List your decisions.")
@click.option("--who", help="Only decisions about this person.")
@click.option("--all", "is_complete", is_flag=True, help="Also what runs did and what was undone.")
@click.option("-n", "n_shown", type=click.IntRange(min=1), metavar="N", help="The newest N; a table has 50, else all.")
@json_option
@pass_state
def history(state: State, who: str | None, is_complete: bool, n_shown: int | None, as_json: bool) -> None:
    """List what was decided, the newest first; `undo d41` takes that one back.

    \b
    Example:
      facewatch history --who Anna
      facewatch history --all --json
    """
    from facewatch.presentation.corrections import history_cells, history_row

    with state.app() as app:
        entries = app.corrections.history(who)
    shown = [entry for entry in entries if is_complete or (entry.actor == "user" and entry.undone_by is None)]
    shown = [entry for entry in shown if is_complete or entry.action not in ("undo", "redo")]
    most = n_shown or (len(shown) if as_json else _TABLE_ROWS)
    if as_json:
        print_json(list(map(history_row, shown[:most])))
    elif shown:
        header = ("id", "when", "by", "what", *(["undone by"] if is_complete else []))
        print_table(header, [history_cells(entry)[: len(header)] for entry in shown[:most]], prose=("what",))
        if most < len(shown):
            echo(f"and {len(shown) - most} older: -n {len(shown)} lists all")
    else:
        echo("nothing was decided yet" if not who else f"nothing was decided about {who} yet")
