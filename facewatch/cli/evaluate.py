"""The command `evaluate`: recognition measured on labelled photos."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections import Counter
from contextlib import AbstractContextManager, closing, suppress
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facewatch.cli.output import echo, print_json, print_table, progress_bar
from facewatch.cli.program import Choice, State, command, json_option, pass_state
from facewatch.clustering import METHODS
from facewatch.engines import ENGINE_HELP
from facewatch.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from facewatch.app import App
    from facewatch.config import Config
    from facewatch.evaluation.labelled import Labelled, Sample
    from facewatch.evaluation.run import Evaluation
    from facewatch.evaluation.ways import OpenApp, Partition
    from facewatch.pipeline import Report


@command("evaluate", "Measure accuracy on labelled photos.")
@click.argument("labelled", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--engine", help=ENGINE_HELP)
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
    help="Also simulate a user who answers truthfully: name the largest people and answer questions.",
)
@click.option(
    "--far",
    "fars",
    multiple=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="A false-accept rate to report the true-accept rate at; may be repeated; default 1e-3 and 1e-4.",
)
@click.option("--keep", type=click.Path(path_type=Path), help="A file (.npz) that keeps what the engine found.")
@click.option("--report", type=click.Path(path_type=Path), help="Write a page (.html) with charts and the mistakes.")
@json_option
@pass_state
def evaluate(
    state: State,
    labelled: tuple[Path, ...],
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
    photos, x,y,w,h. Several of them, or a folder of folders with a labels.csv each, are measured one after the other
    and stand in one table. Photos are only read, and your catalog is not touched. Printed are precision and recall
    (BCubed, and of pairs), with all photos at once and with photos that arrive in batches. Without --engine it is
    the one that analyses your photos: that of the settings, or of the catalog. Charts and the worst mistakes of the
    newest evaluation are shown by `facewatch web`, under Statistics, and by the page that --report writes.

    \b
    Example:
      facewatch evaluate ~/Labelled --method all --report evaluation.html
      facewatch evaluate ~/Portraits ~/Holidays
    """
    from facewatch.evaluation import run
    from facewatch.evaluation.ways import Arrival

    labels = _read_labels(state, labelled, only, files={".npz": keep, ".html": report})
    name, origin = engine_and_origin(state.config(), engine)
    evaluations = [
        run.evaluate(
            one,
            service_opener(state, name),
            methods=methods or (state.config()["cluster.method"],),
            fars=fars or run.FARS,
            arrival=Arrival(batches, seed),
            with_user=simulate_user,
            keep=keep,
            stage=partial(_bar, state, f"{one.root.name}: " if len(labels) > 1 else ""),
        )
        for one in labels
    ]
    facts = [run.facts(one) | {"engine_from": origin} for one in evaluations]
    measured = facts[0] if len(facts) == 1 else {"sets": facts}
    written = _write_reports(state, report, evaluations, measured)
    if as_json:
        print_json(measured)
        return
    _print_evaluations(evaluations, origin)
    if written and not state.is_quiet:
        echo("\n" + "\n".join(written))


def _read_labels(
    state: State, labelled: Sequence[Path], only: str, *, files: Mapping[str, Path | None]
) -> list[Labelled]:
    """Return the labelled sets, if the files to write, by their suffixes, can be written."""
    from facewatch.evaluation.labelled import read_labels, sets_in
    from facewatch.fs.atomic import check_target
    from facewatch.settings import rules_of

    folders = list(dict.fromkeys(folder for one in labelled for folder in sets_in(one)))
    labels = [read_labels(folder, only=only, rules=rules_of(state.config())) for folder in folders]
    for suffix, file in files.items():
        if file:
            check_target(file, suffix=suffix, photos=folders)
    return labels


def _bar(state: State, before: str, title: str) -> AbstractContextManager[Report]:
    return progress_bar(before + title, is_shown=not state.is_quiet)


def engine_and_origin(config: Config, named: str | None) -> tuple[str | None, str]:
    """Return the engine to measure, None for that of the settings, and whose choice it is."""
    if named:
        return named, "--engine"
    if config["engine.name"]:
        return None, "settings"
    in_catalog = engine_of_catalog(config)
    return in_catalog, "catalog" if in_catalog else "default"


def engine_of_catalog(config: Config) -> str | None:
    """Return the engine that analyses the photos, as the app would choose it; the catalog is only read."""
    from facewatch.checks.doctor.case import CatalogReader

    if not config["engine.name"] and config.catalog.exists():
        # One that cannot be read is no reason to measure nothing: what is measured is said.
        with suppress(sqlite3.Error), closing(CatalogReader(config.catalog)) as catalog:
            return catalog.settings.get("engine") or catalog.engines.in_use_name()
    return None


def service_opener(state: State, engine: str | None) -> OpenApp:
    """Return what opens an app with the user's settings and a catalog of its own."""

    def open_app(folder: Path, /, **settings: Any) -> App:
        return state.app(
            needs_catalog=False,
            engine__name=engine,
            library__photos=[],
            library__people=str(folder / "People"),
            library__catalog=str(folder / "catalog.sqlite"),
            **settings,
        )

    return open_app


def _write_reports(
    state: State, file: Path | None, evaluations: Sequence[Evaluation], measured: Mapping[str, Any]
) -> list[str]:
    """Write the page of --report, keep it for the page of the library, and return what is there now."""
    from facewatch.app import picture_workers
    from facewatch.catalog import utc_now
    from facewatch.evaluation.report import kept_evaluation, write_report
    from facewatch.indexing.crops import Album
    from facewatch.reports.evaluation import keep_evaluation

    config, said = state.config(), []
    with closing(picture_workers(config)) as cutter:
        album, made_at = Album(cutter), utc_now()
        if file:
            write_report(file, evaluations, album, made_at=made_at)
            said.append(f"wrote {file}")
        kept = kept_evaluation(evaluations, album, made_at=made_at, measured=measured)
    try:
        keep_evaluation(config.catalog, kept)
    except OSError as error:
        where, why = config.catalog.parent, error.strerror or error
        echo(f"WARNING: {where}: cannot be written, so the page does not show this: {why}", is_error=True)
    else:
        said.append("with charts and faces: `facewatch web`, Statistics, Evaluation")
    return said


_ORIGINS = {
    "--engine": "as named by --engine",
    "settings": "that of your settings",
    "catalog": "that of your catalog",
    "default": "nothing says another",
}


def _print_evaluations(evaluations: Sequence[Evaluation], origin: str) -> None:
    from facewatch.evaluation.run import names_of

    echo(f"engine: {evaluations[0].info.name} ({_ORIGINS[origin]})")
    names = names_of(evaluations)
    for name, evaluation in zip(names, evaluations, strict=True):
        _print_sample(evaluation, f"{name}: " if len(evaluations) > 1 else "")
    click.echo()
    _print_table(_HEADER, evaluations, _rows)
    echo(_LEGEND + "\n")
    _print_identified(evaluations)
    for name, evaluation in zip(names, evaluations, strict=True):
        _print_simulations(evaluation, f"{name}: " if len(evaluations) > 1 else "")
    _print_table(_RATES, evaluations, _rates)
    echo(_RATES_LEGEND)
    for name, why in evaluations[0].left_out.items():
        echo(f"{name} is left out: {why}")


def _print_sample(evaluation: Evaluation, before: str) -> None:
    sample = evaluation.sample
    echo(
        f"{before}{plural(len(sample.photos), 'photo')}: {len(sample)} of {plural(sample.n_labelled, 'labelled face')} "
        f"found, {sample.n_missed} missed, {plural(len(set(sample.person.tolist())), 'person', 'people')}, "
        f"{_n_repeated(sample)} of them with two faces or more"
    )
    if evaluation.doubt:
        echo(f"WARNING: {before}{evaluation.doubt}")
    if sample.n_disputed:
        echo(f"{before}{plural(sample.n_disputed, 'face')} left out: copies of the photo name different people")
    if sample.n_unused:
        echo(f"{before}{plural(sample.n_unused, 'photo')} could not be used; --json lists why")


def _print_identified(evaluations: Sequence[Evaluation]) -> None:
    from facewatch.evaluation.identification import HEADER, LEGEND, rows_of

    identified = [evaluation for evaluation in evaluations if evaluation.identified]
    if identified:
        _print_table(HEADER, identified, lambda evaluation: list(rows_of(evaluation.identified)))
        echo(LEGEND + "\n")


def _print_simulations(evaluation: Evaluation, before: str) -> None:
    from facewatch.evaluation.simulated import rows_of

    for simulation in evaluation.simulations:
        title = f"{before}a user who names and answers, {simulation.method}"
        print_table([title, "", ""], rows_of(simulation))
        click.echo()


def _n_repeated(sample: Sample) -> int:
    """Return how many people can be put together at all, the table's "true"."""
    return sum(n > 1 for n in Counter(sample.person.tolist()).values())


_LEGEND = """\
clustering    the method alone, over all labelled faces
all at once   as a first scan does it, with quality tiers and unlabelled faces
streaming     photos arrive in random order and are matched, then grouped after each batch
likeness: normalised by what faces have with strangers, or plain, as match.normalised = false has it
people: groups of two faces or more; true: people with as many; folders: how many of those groups one of these
people is in, on average; in groups: faces in those groups; twice: photos in which one person was found twice"""

_HEADER = (
    *("way", "method", "likeness", "BCubed P", "R", "F", "pairs P", "R", "F", "NMI"),
    *("people", "true", "folders", "in groups", "twice", "seconds"),
)


_RATES = ("false-accept rate", "true pairs accepted", "below distance", "normalised")
_RATES_LEGEND = "normalised: true pairs accepted when likeness is judged by what both faces have with strangers"

_N_NAMES, _N_FIRST = 3, 9
"""Columns that say which row it is; columns of the first table where one would not fit."""
_TABLE_WIDTH = 136

_Row = tuple[object, ...]


def _print_table(
    header: Sequence[str], evaluations: Sequence[Evaluation], rows_of: Callable[[Evaluation], list[_Row]]
) -> None:
    """Print one table of all sets, or two where the terminal is too narrow for it."""
    from facewatch.evaluation.run import names_of

    sets, n_more = names_of(evaluations), int(len(evaluations) > 1)
    columns = (*["set"] * n_more, *header)
    rows = [(*[name] * n_more, *row) for name, one in zip(sets, evaluations, strict=True) for row in rows_of(one)]
    widest = _TABLE_WIDTH + n_more * (2 + max(map(len, sets)))
    is_wide = not sys.stdout.isatty() or shutil.get_terminal_size().columns >= widest or len(header) <= _N_FIRST
    everything = range(len(columns))
    n_names, n_first = _N_NAMES + n_more, _N_FIRST + n_more
    halves = (everything[:n_first], (*everything[:n_names], *everything[n_first:]))
    for part in (everything,) if is_wide else halves:
        print_table([columns[i] for i in part], [[row[i] for i in part] for row in rows])
        click.echo()


def _rows(evaluation: Evaluation) -> list[_Row]:
    return [_row(evaluation, grouping) for grouping in evaluation.groupings]


def _row(evaluation: Evaluation, grouping: Partition) -> _Row:
    scores = evaluation.scores_of(grouping)
    shares = [n for a in (scores.bcubed, scores.pairwise) for n in (a.precision, a.recall, a.f)]
    return (
        *(grouping.way, grouping.method, grouping.likeness, *shares, scores.nmi),
        *(scores.n_people_found, scores.n_people_true, f"{scores.fragments.folders:.2f}"),
        *(scores.n_faces_in_groups, grouping.n_photos_twice),
        f"{grouping.seconds:.1f}".rjust(len("seconds")),
    )


def _rates(evaluation: Evaluation) -> list[_Row]:
    return [
        (
            f"{plain.far:g}",
            "too few pairs" if plain.tar is None else plain.tar,
            *("-" if value is None else value for value in (plain.distance, normalised.tar if normalised else None)),
        )
        for plain, normalised in zip_longest(evaluation.verifications, evaluation.normalised)
    ]
