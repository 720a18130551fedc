"""What the seeds wish for, measured: five-crop test-time augmentation (TTA), and two recognisers fused.

    scripts/wish_list ../shared/photos --only lfw/ --models ../shared/models --keep /tmp/wishes

Each face is compared with others of its person and of strangers, as it is and spoiled in five ways; the known faces are
good ones, but for "film", where they are spoiled alike. Printed are three tables in Markdown: of today's way the
measure itself, of each other way the difference from it with its 95 % interval (people drawn with replacement). What is
no better than today's by more than its interval is noise. docs/recognisers.md holds the tables.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

import click
import numpy as np
from numpy.typing import NDArray

from facewatch.cli.output import progress_bar
from facewatch.engines import load_engine
from facewatch.engines.options import EngineOptions
from facewatch.engines.preprocessing import stretched
from facewatch.errors import FacewatchError
from facewatch.evaluation.labelled import Labelled, read_labels
from facewatch.types import Progress

# Python -P leaves out even the script's own folder.
sys.path.append(str(Path(__file__).resolve().parent))

from wish_crops import BOTH_SIDES, SPOILERS, Crops, Cut, Embedder, cut, embed_views, mean_of, spoil
from wish_scores import (
    FARS,
    FPIR,
    Comparison,
    Matrix,
    as_norm,
    compare,
    logistic_weights,
    try_matrix,
    z_norm,
)

MOST_FACES = 3
"""Of a person who is asked for: people with many photos would decide alone."""
VIEWED = 0.25
"""Share of the people who are asked for whose spoiled faces are shown to the engine in several views."""
MOST_STRANGERS = 300
N_PEOPLE, N_PEOPLE_QUICK = 200, 40
SEED = 20261128

Vectors = NDArray[np.float32]
Table = dict[str, dict[str, Comparison]]
"""Way -> how the faces are spoiled -> how well it does; today's way first."""


@dataclass(frozen=True, slots=True)
class Roles:
    """Which of the faces that all engines found are what; rows of `Cut`."""

    asked: NDArray[np.int64]
    viewed: NDArray[np.int64]
    """Which of these, by their place among them, are shown to the engine in several views when they are spoiled."""
    taught: NDArray[np.int64]
    """People of their own, from whom the weights of a fusion are learned."""
    cohort: NDArray[np.int64]
    """One face each of people of their own, whom scores are normalised by."""


def share_out(person: NDArray[np.str_], *, n_people: int, seed: int) -> Roles:
    """Return who is asked for (at most this many people and three fifths of those with two faces), and the others."""
    random = np.random.default_rng(seed)
    rows = {name: random.permutation(np.flatnonzero(person == name)) for name in sorted(set(person.tolist()))}
    repeated = [name for name in rows if len(rows[name]) > 1]
    order = [repeated[i] for i in random.permutation(len(repeated))]
    n_asked = min(n_people, 3 * len(order) // 5)
    n_taught = min(n_people // 2, len(order) // 5)
    asked, taught = order[:n_asked], order[n_asked : n_asked + n_taught]
    rest = sorted(set(rows) - {*asked, *taught})
    others = [rest[i] for i in random.permutation(len(rest))]
    asked_rows = _rows(rows[name][:MOST_FACES] for name in asked)
    is_viewed = np.isin(person[asked_rows], asked[: max(2, int(len(asked) * VIEWED))])
    return Roles(
        asked=asked_rows,
        viewed=np.flatnonzero(is_viewed),
        taught=_rows(rows[name][:2] for name in taught),
        cohort=_rows(rows[name][:1] for name in others[:MOST_STRANGERS]),
    )


def _rows(parts: Iterator[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.sort(np.concatenate([*parts, np.empty(0, np.int64)]))


# --- vectors ---


@dataclass(frozen=True, slots=True)
class Spoiled:
    """The vectors of one engine for faces that are spoiled in one way."""

    asked: Vectors
    views: Vectors
    """Of all good faces and of some spoiled ones, with their mirror images, shape (n_views, 2, n_faces, n_dims)."""
    taught: Vectors
    cohort: Vectors
    """Of the known faces' kind."""


def embed_all(
    embedder: Embedder, found: Cut, roles: Roles, kind: str, *, seed: int, keep: Callable[..., Vectors]
) -> Spoiled:
    """Return the vectors of all roles; `keep` computes those that it does not know yet."""

    def spoiled(rows: NDArray[np.int64], kind: str) -> Crops:
        return stretched(spoil(found.crops[rows], kind, seed=seed))

    known = known_kind(kind)
    # Ten runs of the network a face: of spoiled ones fewer people must do.
    return Spoiled(
        keep(f"{kind}-asked", lambda: embedder.embed(spoiled(roles.asked, kind))),
        keep(f"{kind}-views", lambda: embed_views(embedder, spoiled(viewed(roles, kind), kind))),
        keep(f"{kind}-taught", lambda: embedder.embed(spoiled(roles.taught, kind))),
        keep(f"{known}-cohort", lambda: embedder.embed(spoiled(roles.cohort, known))),
    )


def viewed(roles: Roles, kind: str) -> NDArray[np.int64]:
    """Return the faces that are shown to the engine in several views."""
    return roles.asked if kind == "good" else roles.asked[roles.viewed]


def keeper(folder: Path | None, engine: str) -> Callable[..., Vectors]:
    """Return what computes arrays once and keeps them in a folder, where there is one."""

    def keep(name: str, work: Callable[[], Vectors]) -> Vectors:
        if folder is None:
            return work()
        file = folder / f"{_slug(engine)}-{name}.npy"
        if not file.exists():
            np.save(file, work())
        made: Vectors = np.load(file)
        return made

    return keep


def _slug(engine: str) -> str:
    return re.sub(r"[^\w.-]+", "_", engine)


# --- ways ---

TODAY = "as it is"
WAYS: dict[str, Callable[[Vectors], Vectors]] = {
    TODAY: lambda views: views[0, 0],
    "with its mirror image": lambda views: mean_of(views[0]),
    "five crops": lambda views: mean_of(views[:, 0]),
    "five crops, each with its mirror image": lambda views: mean_of(views.reshape(-1, *views.shape[2:])),
}
"""How the vectors of a face's views become one, both of the faces that are asked for and of the known ones."""


def known_kind(kind: str) -> str:
    return kind if kind in BOTH_SIDES else "good"


def try_views(
    spoiled: Mapping[str, Spoiled], person: NDArray[np.int64], some: NDArray[np.int64], *, seed: int
) -> Table:
    """Return how well each way of WAYS does on each kind, by the cosine of two vectors; `some` faces were spoiled."""
    table: Table = {}
    for kind, one in spoiled.items():
        known = one.views if known_kind(kind) == kind else spoiled["good"].views[:, :, some]
        who = np.unique(person if kind == "good" else person[some], return_inverse=True)[1]
        trials = {name: try_matrix(way(one.views) @ way(known).T, who) for name, way in WAYS.items()}
        for name, trial in trials.items():
            table.setdefault(name, {})[kind] = compare(trial, trials[TODAY], seed=seed)
    return table


@dataclass(frozen=True, slots=True)
class Sides:
    """Cosines of one engine, of faces spoiled in one way."""

    asked: Matrix
    """With the known faces."""
    cohort: Matrix
    """The cohort with itself."""
    asked_cohort: Matrix
    known_cohort: Matrix

    def z(self) -> Matrix:
        return z_norm(self.asked, self.cohort)

    def s(self) -> Matrix:
        return as_norm(self.asked, self.asked_cohort, self.known_cohort)


def _sides(asked: Vectors, known: Vectors, cohort: Vectors) -> Sides:
    return Sides(asked @ known.T, cohort @ cohort.T, asked @ cohort.T, known @ cohort.T)


def fuse(
    engines: Mapping[str, Mapping[str, Spoiled]], person: NDArray[np.int64], taught: NDArray[np.int64], *, seed: int
) -> Table:
    """Return how well two engines' scores do alone, normalised, and fused; differences are from the last engine's."""
    kinds = list(next(iter(engines.values())))
    sides = {name: {kind: _asked_sides(own, kind) for kind in kinds} for name, own in engines.items()}
    weights = _learn(engines, taught)
    names = list(engines)
    table: Table = {}
    for kind in kinds:
        each = [sides[name][kind] for name in names]
        ways = {
            names[-1]: each[-1].asked,
            **{name: side.asked for name, side in zip(names[:-1], each[:-1], strict=True)},
            **{f"{name}, normalised": side.s() for name, side in zip(names, each, strict=True)},
            "sum of z-scores": _sum(side.z() for side in each),
            "sum of normalised scores": _sum(side.s() for side in each),
            "by logistic regression": _sum(w * side.s() for w, side in zip(weights, each, strict=True)),
        }
        today = try_matrix(ways[names[-1]], person)
        for name, scores in ways.items():
            table.setdefault(name, {})[kind] = compare(try_matrix(scores, person), today, seed=seed)
    return table


def _asked_sides(own: Mapping[str, Spoiled], kind: str) -> Sides:
    one, known = own[kind], own[known_kind(kind)]
    return _sides(one.asked, known.asked, known.cohort)


def _sum(parts: Iterator[Matrix]) -> Matrix:
    total: Matrix = np.sum(list(parts), axis=0)
    return total


def _learn(engines: Mapping[str, Mapping[str, Spoiled]], taught: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return one weight an engine, from the pairs of all kinds together."""
    is_pair = ~np.eye(len(taught), dtype=bool)
    is_same = (taught[:, None] == taught[None])[is_pair]
    kinds = list(next(iter(engines.values())))
    pairs = []
    for own in engines.values():
        scores = [
            _sides(own[kind].taught, own[known_kind(kind)].taught, own[known_kind(kind)].cohort).s()[is_pair]
            for kind in kinds
        ]
        pairs.append(np.concatenate(scores))
    return logistic_weights(np.column_stack(pairs).astype(np.float64), np.tile(is_same, len(kinds)))


# --- what it says ---

TITLES = (
    f"true pairs accepted at a false-accept rate of {FARS[0]:g}",
    f"true pairs accepted at a false-accept rate of {FARS[1]:g}",
    f"faces identified where {FPIR:g} of strangers are taken for anybody",
)


def as_markdown(table: Table, measure: int, *, costs: Mapping[str, str]) -> str:
    """Return one measure of all ways, those of the first row as they are, the others as differences."""
    kinds = list(next(iter(table.values())))
    lines = [f"| {TITLES[measure]} | cost | {' | '.join(kinds)} |", "|---" * (len(kinds) + 2) + "|"]
    for number, (way, row) in enumerate(table.items()):
        cells = [_cell(row[kind], measure, is_first=not number) for kind in kinds]
        lines.append(f"| {way} | {costs.get(way, '')} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(found: Comparison, measure: int, *, is_first: bool) -> str:
    value, low, high = (values[measure] for values in (found.measures, found.low, found.high))
    return f"{value:.3f}" if is_first else f"{value:.3f} ({low:+.3f} to {high:+.3f})"


COSTS = {TODAY: "1", "with its mirror image": "2", "five crops": "5", "five crops, each with its mirror image": "10"}
"""Runs of the network a face, in those of one crop."""


def seconds_of(embedder: Embedder, crops: Crops) -> float:
    """Return what a face costs, the best of three."""
    best = float("inf")
    for _ in range(3):
        started = perf_counter()
        embedder.embed(crops)
        best = min(best, perf_counter() - started)
    return best / len(crops)


def print_tables(title: str, table: Table, costs: Mapping[str, str]) -> None:
    click.echo(f"\n## {title}")
    for measure in range(len(TITLES)):
        click.echo("\n" + as_markdown(table, measure, costs=costs))


# --- the command ---


def found_by_all(cuts: Sequence[Cut]) -> list[Cut]:
    """Return the faces that every engine found, in one order: a photo may show a person once."""
    keys = [dict(zip(zip(one.path.tolist(), one.person.tolist(), strict=True), range(len(one.path)))) for one in cuts]  # noqa: B905
    common = sorted(set.intersection(*(set(known) for known in keys)))
    return [one.take(np.array([known[key] for key in common], np.int64)) for one, known in zip(cuts, keys, strict=True)]


def cut_faces(labelled: Labelled, name: str, options: EngineOptions, keep: Path | None) -> Cut:
    """Return the labelled faces that an engine finds, kept from an earlier time where there is one."""
    file = keep / f"{_slug(name)}.npz" if keep else None
    if file and file.exists():
        with np.load(file) as arrays:
            return Cut(arrays["path"], arrays["person"], arrays["crops"])
    with progress_bar(f"looking for faces, {name}", is_shown=True) as report:
        numbers = iter(range(1, len(labelled.photos) + 1))
        found = cut(
            labelled, name, options, tell=lambda: report(Progress(next(numbers), len(labelled.photos), "photos"))
        )
    if file:
        np.savez(file, path=found.path, person=found.person, crops=found.crops)
    return found


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("labelled", type=click.Path(path_type=Path))
@click.option(
    "--engine",
    "engines",
    multiple=True,
    default=("face_recognition", "insightface:buffalo_sc_dq"),
    show_default=True,
    help="An engine; twice for two to be fused, the better one last.",
)
@click.option("--models", default="", help="The folder of model packs, where it is not yours.")
@click.option("--only", default="", metavar="PREFIX", help="Only photos whose path begins with this.")
@click.option("--people", default=0, type=click.IntRange(0), help="How many people are asked for.")
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="A folder that keeps what is computed.")
@click.option("--quick", is_flag=True, help=f"Ask for {N_PEOPLE_QUICK} people only.")
@click.option("--seed", default=SEED, show_default=True, help="Of who is chosen, the noise and the draws.")
def main(
    labelled: Path,
    engines: tuple[str, ...],
    models: str,
    only: str,
    people: int,
    keep: Path | None,
    quick: bool,
    seed: int,
) -> None:
    """Measure five-crop TTA and the fusion of two recognisers on the labelled photos in LABELLED.

    Photos are only read; the settings are the defaults, whatever yours are. Takes an hour on two cores, --quick five
    minutes.
    """
    try:
        labels = read_labels(labelled, only=only)
        if keep:
            keep.mkdir(parents=True, exist_ok=True)
        options = EngineOptions(models=models, n_threads=1)
        cuts = found_by_all([cut_faces(labels, name, options, keep) for name in engines])
        roles = share_out(cuts[0].person, n_people=people or (N_PEOPLE_QUICK if quick else N_PEOPLE), seed=seed)
        names = np.unique(cuts[0].person, return_inverse=True)[1]
        person, taught = (np.unique(names[rows], return_inverse=True)[1] for rows in (roles.asked, roles.taught))
        click.echo(
            f"{len(person)} faces of {person.max() + 1} people are asked for, {len(taught)} of others teach, "
            f"{len(roles.cohort)} strangers are the cohort"
        )
        spoiled: dict[str, dict[str, Spoiled]] = {}
        seconds: dict[str, float] = {}
        for name, found in zip(engines, cuts, strict=True):
            embedder = load_engine(name, options)
            all_of = partial(embed_all, embedder, found, roles, seed=seed, keep=keeper(keep, name))  # type: ignore[arg-type]
            spoiled[name] = {kind: all_of(kind) for kind in SPOILERS}
            seconds[name] = seconds_of(embedder, found.crops[:32])  # type: ignore[arg-type]
            print_tables(f"{name}: views of a face", try_views(spoiled[name], person, roles.viewed, seed=seed), COSTS)
        if len(engines) > 1:
            last = seconds[engines[-1]]
            both = f"{sum(seconds.values()) / last:.2g}"
            costs = {name: f"{spent / last:.2g}" for name, spent in seconds.items()}
            fused = fuse(spoiled, person, taught, seed=seed)
            costs |= {way: costs.get(way.removesuffix(", normalised"), both) for way in fused}
            print_tables(" and ".join(engines) + ": fused", fused, costs)
    except FacewatchError as error:
        click.echo(f"wish_list: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
