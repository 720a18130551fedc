"""`facewatch evaluate`: how well people are told apart, measured on labelled photos."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facewatch.cli.group import command
from facewatch.cli.options import Choice, State, json_option, pass_state, set_up_logging
from facewatch.cli.output import echo, plural, print_json, print_table, progress_bar
from facewatch.clustering import METHODS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from facewatch.config import Config
    from facewatch.evaluation.matching import Sample
    from facewatch.evaluation.run import Evaluation
    from facewatch.service import Service


@command("evaluate", "Measure accuracy on labelled photos.")
@click.argument("labelled", type=click.Path(path_type=Path))
@click.option("--engine", help="face_recognition, or insightface:PACK; `facewatch models` lists the packs.")
@click.option(
    "--method",
    "methods",
    multiple=True,
    type=Choice([*METHODS, "all"]),
    help="How to group; may be repeated; all: every one there is.",
)
@click.option("--only", default="", metavar="PREFIX", help="Only photos whose path begins with this, for example lfw/.")
@click.option("--batches", default=20, type=click.IntRange(1), show_default=True, help="Batches that photos arrive in.")
@click.option("--seed", default=0, show_default=True, help="Of the order in which they arrive.")
@click.option(
    "--simulate-user",
    is_flag=True,
    help="Also let a user who tells the truth name the largest people and answer questions.",
)
@click.option(
    "--far",
    "fars",
    multiple=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="A false-accept rate to tell the true-accept rate at; may be repeated; default 1e-3 and 1e-4.",
)
@click.option("--keep", type=click.Path(path_type=Path), help="A file (.npz) that keeps what the engine found.")
@click.option("--report", type=click.Path(path_type=Path), help="Write a page (.html) with charts and the mistakes.")
@json_option
@pass_state
def evaluate(
    state: State,
    labelled: Path,
    engine: str | None,
    methods: tuple[str, ...],
    only: str,
    batches: int,
    seed: int,
    simulate_user: bool,
    fars: tuple[float, ...],
    keep: Path | None,
    report: Path | None,
    as_json: bool,
) -> None:
    """Measure how well an engine and a grouping method do on the labelled photos in LABELLED.

    LABELLED holds a folder per person, or a labels.csv with the columns path and person and, for the faces of group
    photos, x,y,w,h. Photos are only read, and your catalog is not touched. Printed are precision and recall (BCubed,
    and of pairs), with all photos at once and with photos that arrive in batches. Without --engine it is the one that
    your photos are looked at with: that of the settings, or of the catalog.

    \b
    Example:
      facewatch evaluate ~/Labelled --method all --report evaluation.html
    """
    from facewatch.evaluation import run
    from facewatch.evaluation.files import check_target
    from facewatch.evaluation.labelled import read_labels
    from facewatch.service.places import rules_of

    set_up_logging(state.loudness)
    chosen = methods or (state.config()["cluster.method"],)
    labels = read_labels(labelled, only=only, rules=rules_of(state.config()))
    for file, suffix in ((keep, ".npz"), (report, ".html")):
        if file:
            check_target(file, suffix=suffix, photos=[labelled])
    evaluation = run.evaluate(
        labels,
        service_opener(state, engine or engine_of_catalog(state.config())),
        methods=chosen,
        fars=fars or run.FARS,
        n_batches=batches,
        seed=seed,
        with_user=simulate_user,
        keep=keep,
        stage=lambda title: progress_bar(title, is_shown=not state.is_quiet),
    )
    if report:
        _write_report(state, report, evaluation)
    if as_json:
        print_json(run.facts(evaluation))
    else:
        _print_evaluation(evaluation)
    if report and not state.is_quiet and not as_json:
        echo(f"\nwrote {report}")


def engine_of_catalog(config: Config) -> str | None:
    """Return the engine that photos are looked at with, as a service would; the catalog is only read."""
    from facewatch.service.doctor.reading import CatalogReader

    if not config["engine.name"] and config.catalog.exists():
        # One that cannot be read is no reason to measure nothing: what is measured is said.
        with suppress(sqlite3.Error), closing(CatalogReader(config.catalog)) as catalog:
            return catalog.files.setting("engine") or catalog.engines.in_use_name()
    return None


def service_opener(state: State, engine: str | None) -> Callable[[Path], Service]:
    """Return what opens a service with the user's settings and a catalog of its own."""

    def open_service(folder: Path) -> Service:
        return state.service(
            needs_catalog=False,
            engine__name=engine,
            library__photos=[],
            library__people=str(folder / "People"),
            library__catalog=str(folder / "catalog.sqlite"),
        )

    return open_service


def _write_report(state: State, file: Path, evaluation: Evaluation) -> None:
    from facewatch.catalog import utc_now
    from facewatch.evaluation.report import write_report
    from facewatch.service.crops import hire_cutter

    with closing(hire_cutter(state.config())) as cutter:
        write_report(file, evaluation, cutter=cutter, made_at=utc_now())


def _print_evaluation(evaluation: Evaluation) -> None:
    sample = evaluation.sample
    echo(f"engine: {evaluation.info.name}")
    echo(
        f"{plural(len(sample.photos), 'photo')}: {len(sample)} of {plural(sample.n_labelled, 'labelled face')} found, "
        f"{sample.n_missed} missed, {plural(len(set(sample.person.tolist())), 'person', 'people')}, "
        f"{_n_repeated(sample)} of them with two faces or more"
    )
    if sample.n_disputed:
        echo(f"{plural(sample.n_disputed, 'face')} left out: copies of the photo name different people")
    if sample.n_unused:
        echo(f"{plural(sample.n_unused, 'photo')} could not be used; --json lists why")
    click.echo()
    _print_groupings([_row(evaluation, number) for number in range(len(evaluation.groupings))])
    echo(_LEGEND + "\n")
    _print_simulations(evaluation)
    for one in evaluation.verifications:
        said = (
            "too few pairs to tell" if one.tar is None else f"{one.tar:.3f} of true pairs (distance {one.distance:.3f})"
        )
        echo(f"accepted at a false-accept rate of {one.far:g}: {said}")
    for name, why in evaluation.left_out.items():
        echo(f"{name} is left out: {why}")


def _print_simulations(evaluation: Evaluation) -> None:
    from facewatch.evaluation.simulated import rows_of

    for simulation in evaluation.simulations:
        print_table([f"a user who names and answers, {simulation.method}", "", ""], rows_of(simulation))
        click.echo()


def _n_repeated(sample: Sample) -> int:
    """Return how many people can be put together at all, the table's "true"."""
    return sum(n > 1 for n in Counter(sample.person.tolist()).values())


_LEGEND = """\
clustering    the method alone, over all labelled faces
all at once   as a first scan does it, with quality tiers and unlabelled faces
streaming     photos arrive in random order and are matched, then grouped after each batch
people: groups of two faces or more; true: people with as many; folders: how many of those groups one of these
people is in, on average; in groups: faces in those groups; twice: photos in which one person was found twice"""

_HEADER = (
    *("way", "method", "BCubed P", "R", "F", "pairs P", "R", "F", "NMI"),
    *("people", "true", "folders", "in groups", "twice", "seconds"),
)


_N_NAMES, _N_FIRST = 2, 8
"""Columns that say which grouping a row is; columns of the first table where one would not fit."""
_TABLE_WIDTH = 124


def _print_groupings(rows: Sequence[tuple[object, ...]]) -> None:
    """Print one table, or two where the terminal is too narrow for it."""
    is_wide = not sys.stdout.isatty() or shutil.get_terminal_size().columns >= _TABLE_WIDTH
    everything = range(len(_HEADER))
    halves = (everything[:_N_FIRST], (*everything[:_N_NAMES], *everything[_N_FIRST:]))
    for columns in (everything,) if is_wide else halves:
        print_table([_HEADER[i] for i in columns], [[row[i] for i in columns] for row in rows])
        click.echo()


def _row(evaluation: Evaluation, number: int) -> tuple[object, ...]:
    grouping = evaluation.groupings[number]
    scores = evaluation.scores_of(grouping)
    shares = [n for a in (scores.bcubed, scores.pairwise) for n in (a.precision, a.recall, a.f)]
    return (
        *(grouping.way, grouping.method, *shares, scores.nmi),
        *(scores.n_people_found, scores.n_people_true, f"{scores.fragments.folders:.2f}"),
        *(scores.n_faces_in_groups, grouping.n_photos_twice),
        f"{grouping.seconds:.1f}".rjust(len("seconds")),
    )
