"""Derive an engine's thresholds from labelled photos, and write them where they live.

    scripts/calibrate shared/photos --only lfw/ --keep /tmp/lfw.npz       what they would be, and what they would do
    scripts/calibrate shared/photos --only lfw/ --keep /tmp/lfw.npz --far 4e-3 --write

`match`, `centroid` and `per_decade` follow from the share of strangers who may be taken for somebody, `cluster` from
the precision that groups must keep; see facewatch/evaluation/calibration.py. The other numbers stay as they are.
Photos with too few strangers to show the wanted rate give no thresholds that could be written: --write needs 10 / far.
The settings are the defaults, whatever yours are. Tuned on one set of photos alone, thresholds do not travel: look at a
second one with `facewatch evaluate`.
"""

from __future__ import annotations

import ast
import math
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from facewatch import engines
from facewatch.cli.output import progress_bar
from facewatch.clustering import METHODS
from facewatch.errors import FacewatchError, LibraryError
from facewatch.evaluation.calibration import MIN_PRECISION, Calibration, Rates, around, calibrate, rates_of
from facewatch.evaluation.labelled import Sample, check_counts, make_sample, read_labels
from facewatch.evaluation.run import analyse, photos_of, usable_methods
from facewatch.fs.atomic import check_target, written_at_once
from facewatch.text import plural
from facewatch.types import Thresholds

# Python -P leaves out even the script's own folder.
sys.path.append(str(Path(__file__).resolve().parent))

from bench_kit import open_app

MIN_EXPECTED = 10
"""Strangers that the wanted rate lets through, so that the rate is shown: with ten, the 95 % interval of what is
measured is from half to twice the rate (Poisson, 4.8 to 18.4); with none, nothing but its upper end is known."""
MOST_ROWS = 20
SOURCES = Path(engines.__file__).parent


def analysed_sample(labelled: Path, settings: Mapping[str, str], *, only: str, keep: Path | None) -> Sample:
    """Return the labelled faces that the engine of these settings finds.

    Raises:
        LibraryError: there are no labels, or too few faces.
    """
    labels = read_labels(labelled, only=only)
    if keep:
        check_target(keep, suffix=".npz", photos=[labelled])
    info, seen = analyse(
        labels,
        lambda folder, /, **more: open_app(folder, {**settings, **more}),
        keep=keep,
        stage=lambda t: progress_bar(t, is_shown=True),
    )
    sample = make_sample(labels, seen, n_dims=info.n_dims)
    check_counts(labelled, photos_of(sample), who="found")
    return sample


def thresholds_of(settings: Mapping[str, str]) -> Thresholds:
    with tempfile.TemporaryDirectory() as folder, open_app(Path(folder), settings) as app:
        return app.engine.info.thresholds


# --- what it says ---


def print_calibration(found: Calibration, far: float) -> None:
    console = Console(width=None if sys.stdout.isatty() else 140)
    largest = found.trials[-1]
    _print_rows(console, f"at most {far:g} of strangers taken for somebody", "faces in gallery", _by_size(found))
    near = ((_named(limits), rates) for limits, rates in around(largest.answers, found.after))
    _print_rows(
        console, f"near these thresholds, in the gallery of {largest.n_gallery}", "match, centroid, margin", near
    )
    _print_ceilings(console, found)
    doubt = why_not(found, far)
    if doubt:
        console.print(Panel(f"Not to be used: {doubt}.", title="WARNING", style="bold red"))
    console.print(f"\nTHRESHOLDS = Thresholds({'  # not to be used: too few strangers' if doubt else ''}")
    for name, value in asdict(found.after).items():
        before = getattr(found.before, name)
        console.print(f"    {name}={value:g},{'' if value == before else f'  # {before:g} until now'}", highlight=False)
    console.print(")")


def why_not(found: Calibration, far: float) -> str | None:
    """Return why the labelled photos cannot show this rate, None where they can."""
    n_strangers = rates_of(found.trials[-1].answers, found.after).n_strangers
    if n_strangers * far >= MIN_EXPECTED:
        return None
    # 3 / n is the upper end of the 95 % interval of a rate of which n trials showed nothing (Hanley & Lippman-Hand
    # 1983, "If nothing goes wrong, is everything all right?").
    n_needed = math.ceil(MIN_EXPECTED / far)
    return (
        f"{plural(n_strangers, 'stranger')} cannot show a rate of {far:g}, which takes {n_needed}: that none "
        f"is taken for somebody would only say that the rate is below {3 / max(1, n_strangers):.1g}"
    )


def check_can_write(found: Calibration, labelled: Path, far: float) -> None:
    """Refuse thresholds that rest on too few strangers; they would be far too strict, or too loose, by chance.

    Raises:
        LibraryError: they do.
    """
    if doubt := why_not(found, far):
        raise LibraryError(
            f"{labelled}: {doubt}; nothing was written. Label more photos of more people, or ask for a larger --far"
        )


def _print_ceilings(console: Console, found: Calibration) -> None:
    table = Table(title="groups")
    for name in ("ceiling", "BCubed P", "R", "F"):
        table.add_column(name, justify="right")
    last = len(found.ceilings) - 1
    for row in sorted({*np.linspace(0, last, MOST_ROWS).round().astype(int).tolist(), max(0, last - 1)}):
        ceiling, agreement = found.ceilings[row]
        table.add_row(f"{ceiling:g}", *(f"{n:.4f}" for n in (agreement.precision, agreement.recall, agreement.f)))
    console.print(table)
    if found.ceilings[-1][1].precision >= MIN_PRECISION:
        console.print(f"no ceiling makes groups less precise than {MIN_PRECISION}: cluster stays; take harder photos")


def _by_size(found: Calibration) -> Iterator[tuple[str, Rates]]:
    for limits, name in ((found.before, "now"), (found.after, "new")):
        for trial in found.trials:
            yield f"{trial.n_gallery}, {name}", rates_of(trial.answers, limits)


def _named(limits: Thresholds) -> str:
    return f"{limits.match:.3f}, {limits.centroid:.3f}, {limits.margin:.3f}"


def _print_rows(console: Console, title: str, what: str, rows: Iterator[tuple[str, Rates]]) -> None:
    table = Table(title=title)
    for name in (what, "recognised", "as another", "strangers taken for somebody"):
        table.add_column(name, justify="left" if name == what else "right")
    for name, rates in rows:
        shares = (rates.recognised, rates.mistaken, rates.strangers)
        table.add_row(name, *(f"{share:.4f}" for share in shares))
    console.print(table)


# --- where thresholds live ---


def find_source(now: Thresholds, folder: Path = SOURCES) -> tuple[Path, ast.Call]:
    """Return the file with the assignment `THRESHOLDS = Thresholds(...)` that holds these numbers, and the call.

    Raises:
        FacewatchError: none does, or several do.
    """
    found = [
        (file, call)
        for file in sorted(folder.glob("*.py"))
        for call in _calls(ast.parse(file.read_text(encoding="utf-8")))
        if _holds(call, now)
    ]
    if len(found) != 1:
        where = ", ".join(file.name for file, _ in found) or "none"
        raise FacewatchError(f"{folder}: these thresholds must stand in one file of it, and stand in {where}")
    return found[0]


def _holds(call: ast.Call, now: Thresholds) -> bool:
    try:
        return Thresholds(**{str(word.arg): ast.literal_eval(word.value) for word in call.keywords}) == now
    except TypeError:  # other numbers than those of thresholds
        return False


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    """Yield the calls that are assigned to THRESHOLDS."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if names == ["THRESHOLDS"]:
                yield node.value


def write_thresholds(before: Thresholds, after: Thresholds, folder: Path = SOURCES) -> Path:
    """Put the new numbers in the place of the old ones, nothing else, and return the file.

    Raises:
        FacewatchError: the old numbers were not found.
    """
    file, call = find_source(before, folder)
    lines = file.read_bytes().splitlines(keepends=True)
    for keyword in sorted(
        call.keywords, key=lambda keyword: (keyword.value.lineno, keyword.value.col_offset), reverse=True
    ):
        value, new = keyword.value, getattr(after, str(keyword.arg))
        if new != getattr(before, str(keyword.arg)):
            line = lines[value.lineno - 1]
            lines[value.lineno - 1] = line[: value.col_offset] + f"{new:g}".encode() + line[value.end_col_offset :]
    with written_at_once(file, mode=stat.S_IMODE(file.stat().st_mode)) as target:
        target.writelines(lines)
    return file


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("labelled", type=click.Path(path_type=Path))
@click.option("--engine", default="face_recognition", show_default=True, help="Whose thresholds.")
@click.option(
    "--far",
    default=1e-3,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="The share of strangers, in a gallery of all labelled faces, that may be taken for somebody.",
)
@click.option("--models", type=click.Path(path_type=Path), help="The folder of model packs, where it is not yours.")
@click.option("--only", default="", metavar="PREFIX", help="Only photos whose path begins with this.")
@click.option("--keep", type=click.Path(path_type=Path), help="A file (.npz) that keeps what the engine found.")
@click.option(
    "--method",
    default="whispers",
    show_default=True,
    type=click.Choice(list(METHODS)),
    help="The clusterer that `cluster` is for.",
)
@click.option("--seed", default=0, show_default=True, help="Of the random galleries.")
@click.option(
    "--write",
    is_flag=True,
    help="Write them into the engine's source file; refused where too few strangers show the rate.",
)
def main(
    labelled: Path,
    engine: str,
    far: float,
    models: Path | None,
    only: str,
    keep: Path | None,
    method: str,
    seed: int,
    write: bool,
) -> None:
    """Derive an engine's thresholds from the labelled photos in LABELLED.

    LABELLED is what `facewatch evaluate` takes: a folder per person, or a labels.csv. Photos are only read. To show
    that 0.1 % of strangers are taken for somebody takes 10 000 of them, which means as many labelled faces.

    \b
    Example:
      scripts/calibrate ~/Labelled --far 4e-3 --keep found.npz
    """
    settings = {"engine.name": engine} | ({"engine.models": str(models.absolute())} if models else {})
    try:
        usable_methods([method])  # what it needs and has not is said now, too
        now = thresholds_of(settings)
        if write:
            find_source(now)  # rather now than when the work is done
        found = calibrate(
            analysed_sample(labelled, settings, only=only, keep=keep), now, far=far, method=method, seed=seed
        )
        print_calibration(found, far)
        if write:
            check_can_write(found, labelled, far)
            click.echo(f"\nwrote {write_thresholds(found.before, found.after)}; say above it how it was measured")
    except FacewatchError as error:
        click.echo(f"calibrate: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
