"""The command `split`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facewatch import ids
from facewatch.cli.asking import is_confirmed
from facewatch.cli.group import command
from facewatch.cli.options import State, json_option, pass_state, set_up_logging
from facewatch.cli.output import echo, plural, print_json, print_table
from facewatch.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facewatch.app import Service
    from facewatch.people.corrections import Decided
    from facewatch.people.split import Part, SplitPlan


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
    set_up_logging(state.loudness)
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
