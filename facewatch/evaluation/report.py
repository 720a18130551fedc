"""An evaluation as one HTML page, see `presentation.html`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewatch import __version__
from facewatch.catalog import display
from facewatch.evaluation import identification
from facewatch.evaluation.metrics import BIN_WIDTH, N_BINS, Mistake, PairCounts, rates, wrongly_apart, wrongly_together
from facewatch.evaluation.run import Evaluation, names_of
from facewatch.evaluation.simulated import rows_of
from facewatch.evaluation.ways import STREAMING, Partition
from facewatch.fs.atomic import written_at_once
from facewatch.indexing.crops import Album
from facewatch.presentation.html import Axes, Figure, HtmlTable, Tile, chart, dot, line, render, rulers, steps
from facewatch.reports.evaluation import KeptEvaluation
from facewatch.text import plural
from facewatch.types import Thresholds, Tier

MOST_MISTAKES = 24
"""Of one grouping."""
MOST_ON_PAGE = 720
"""Mistakes of all groupings together, where there are that many: two faces each, 13 KB."""
_HISTOGRAM_BIN = 100
"""Bins of BIN_WIDTH in one bar: bars of 0.01."""
_LOWEST_FAR = 1e-5


@dataclass(frozen=True, slots=True)
class ShownFace:
    """A face on a card of a mistake."""

    uri: str | None
    """None: the photo is gone."""
    name: str
    path: str
    doubt: str
    """What its quality is, if that is not good."""


@dataclass(frozen=True, slots=True)
class ShownMistake:
    """Two faces that a grouping puts together, or apart."""

    faces: tuple[ShownFace, ShownFace]
    caption: str


@dataclass(frozen=True, slots=True)
class ShownMistakes:
    """The worst mistakes of one grouping, of each kind."""

    title: str
    same_as: str | None
    """The method that makes the same groups, and whose mistakes are shown already."""
    together: tuple[ShownMistake, ...] = ()
    n_together: int = 0
    apart: tuple[ShownMistake, ...] = ()
    n_apart: int = 0


@dataclass(frozen=True, slots=True)
class ShownSet:
    """What is shown of one labelled set."""

    name: str
    about: list[str]
    tiles: list[Tile]
    ways: HtmlTable
    identified: HtmlTable | None
    simulations: list[tuple[str, list[tuple[str, str, str]]]]
    """Method, and rows of what, number, and what it is made of."""
    charts: list[Figure]
    rates: HtmlTable
    mistakes: list[ShownMistakes]
    notes: list[str]
    faults: list[str]
    """Photos that could not be used, and why."""


def write_report(file: Path, evaluations: Sequence[Evaluation], album: Album, *, made_at: str) -> None:
    """Write the page, as a whole or not at all.

    Raises:
        LibraryError: it cannot be written.
    """
    page = report_page(evaluations, album, made_at=made_at)
    # It shows faces.
    with written_at_once(file, mode=0o600) as page_file:
        page_file.write(page.encode())


def kept_evaluation(
    evaluations: Sequence[Evaluation], album: Album, *, made_at: str, measured: Mapping[str, Any]
) -> KeptEvaluation:
    """Return what is kept of them for the page of the library."""
    content = report_page(evaluations, album, made_at=made_at, frame="bare.html")
    return KeptEvaluation(made_at, tuple(_all_facts(evaluations)), content, measured)


def report_page(evaluations: Sequence[Evaluation], album: Album, *, made_at: str, frame: str = "page.html") -> str:
    """Return the page as text: of several sets all figures in one table, and a part for each that opens.

    Args:
        frame: the template around it.
    """
    names, first = names_of(evaluations), evaluations[0]
    root = first.labelled.root
    what = display(root.name or str(root)) if len(evaluations) == 1 else f"{len(evaluations)} labelled sets"
    n_shown = sum(len(_of_interest(one)) for one in evaluations)
    most = min(MOST_MISTAKES, MOST_ON_PAGE // max(1, n_shown))
    return render(
        "evaluation.html",
        frame=frame,
        title=f"facewatch on {what}",
        facts=[*_all_facts(evaluations), made_at],
        doubts=[f"{name}: {one.doubt}." for name, one in zip(names, evaluations, strict=True) if one.doubt],
        left_out=first.left_out,
        ways=_ways(evaluations),
        rates=_rates(evaluations),
        identification_legend=identification.LEGEND,
        sets=[_set(name, one, album, most) for name, one in zip(names, evaluations, strict=True)],
    )


def _all_facts(evaluations: Sequence[Evaluation]) -> list[str]:
    info = evaluations[0].info
    of_photos = _facts(evaluations[0]) if len(evaluations) == 1 else [", ".join(names_of(evaluations))]
    return [*of_photos, f"engine {info.name} ({info.fingerprint[:12]})", f"facewatch {__version__}"]


def _set(name: str, evaluation: Evaluation, album: Album, most: int) -> ShownSet:
    return ShownSet(
        name=name,
        about=_facts(evaluation),
        tiles=list(_tiles(evaluation)),
        ways=_ways([evaluation]),
        identified=_identified(evaluation),
        simulations=[(one.method, rows_of(one)) for one in evaluation.simulations],
        charts=list(_charts(evaluation)),
        rates=_rates([evaluation]),
        mistakes=list(_all_mistakes(evaluation, album, most)),
        notes=_notes(evaluation),
        faults=[f"{path}: {fault}; {advice}" for path, (fault, advice) in evaluation.faults.items()],
    )


def _facts(evaluation: Evaluation) -> list[str]:
    folder = display(str(evaluation.labelled.root / evaluation.labelled.only))
    return [
        f"{len(evaluation.sample.photos)} photos below {folder}",
        f"{evaluation.arrival.n_batches} batches, seed {evaluation.arrival.seed}",
    ]


def _tiles(evaluation: Evaluation) -> Iterator[Tile]:
    sample = evaluation.sample
    yield Tile("faces found", f"{len(sample)}", f"of {sample.n_labelled} labelled, {len(set(sample.person))} people")
    for one in evaluation.verifications:
        said = f"at distance {one.distance:.3f}" if one.distance is not None else "too few pairs to measure"
        yield Tile(f"true pairs at FAR {one.far:.0e}".replace("e-0", "e\N{NON-BREAKING HYPHEN}"), _share(one.tar), said)
    for grouping in _of_interest(evaluation)[:1]:
        measured = evaluation.scores_of(grouping)
        how = f"BCubed, {grouping.way}, {grouping.method}"
        yield Tile("precision", _share(measured.bcubed.precision), how)
        yield Tile("recall", _share(measured.bcubed.recall), how)


def _of_interest(evaluation: Evaluation) -> list[Partition]:
    """Return what users live with: photos that come one after the other."""
    return [grouping for grouping in evaluation.groupings if grouping.way == STREAMING]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


# --- the tables ---

_COLUMNS = (
    *(("", "set"), ("", "way"), ("", "method"), ("", "likeness")),
    *(("BCubed", "P"), ("BCubed", "R"), ("BCubed", "F"), ("pairs", "P"), ("pairs", "R"), ("pairs", "F")),
    *(("NMI", ""), ("people", "found"), ("people", "true"), ("folders", "a person"), ("faces", "in groups")),
    *(("twice", ""), ("seconds", "")),
)


def _ways(evaluations: Sequence[Evaluation]) -> HtmlTable:
    rows = [
        (name, grouping.way, grouping.method, grouping.likeness, *_numbers(evaluation, grouping))
        for name, evaluation in zip(names_of(evaluations), evaluations, strict=True)
        for grouping in evaluation.groupings
    ]
    return _table(_COLUMNS, rows, 4, is_one_set=len(evaluations) == 1)


def _rates(evaluations: Sequence[Evaluation]) -> HtmlTable:
    rows = [
        (
            *(name, f"{plain.far:g}", _share(plain.tar), _share(plain.distance)),
            _share(normalised.tar if normalised else None),
        )
        for name, evaluation in zip(names_of(evaluations), evaluations, strict=True)
        for plain, normalised in zip_longest(evaluation.verifications, evaluation.normalised)
    ]
    columns = (
        *(("", "set"), ("false-accept", "rate"), ("true pairs", "accepted"), ("below", "distance")),
        ("true pairs", "normalised"),
    )
    return _table(columns, rows, 2, is_one_set=len(evaluations) == 1)


def _table(
    columns: Sequence[Sequence[str]], rows: Sequence[Sequence[str]], n_words: int, *, is_one_set: bool
) -> HtmlTable:
    """Return a table whose first column is the set, if there are several."""
    if is_one_set:
        return HtmlTable(columns[1:], [row[1:] for row in rows], n_words - 1)
    return HtmlTable(columns, rows, n_words)


def _numbers(evaluation: Evaluation, grouping: Partition) -> list[str]:
    measured = evaluation.scores_of(grouping)
    shares = [n for a in (measured.bcubed, measured.pairwise) for n in (a.precision, a.recall, a.f)]
    return [
        *(f"{number:.4f}" for number in (*shares, measured.nmi)),
        *(str(measured.n_people_found), str(measured.n_people_true), f"{measured.fragments.folders:.2f}"),
        *(str(measured.n_faces_in_groups), str(grouping.n_photos_twice)),
        f"{grouping.seconds:.1f}",
    ]


def _identified(evaluation: Evaluation) -> HtmlTable | None:
    if not evaluation.identified:
        return None
    columns = [(name, "") for name in identification.HEADER]
    return HtmlTable(columns, list(identification.rows_of(evaluation.identified)))


# --- the charts ---


def _charts(evaluation: Evaluation) -> Iterator[Figure]:
    pairs, limits = evaluation.pairs, evaluation.info.thresholds
    yield _histogram(pairs, limits)
    yield _by_threshold(pairs, limits)
    yield _trade(evaluation)
    if any(len(grouping.steps) > 1 for grouping in evaluation.groupings):
        yield _over_time(evaluation)


def _marks(limits: Thresholds) -> list[tuple[str, float]]:
    return [("match", limits.match), ("centroid", limits.centroid), ("cluster", limits.cluster)]


def _histogram(pairs: PairCounts, limits: Thresholds) -> Figure:
    shares = [_binned(counts) for counts in (pairs.same, pairs.different)]
    end = _end(pairs)
    n_bars = min(len(shares[0]), round(end / BIN_WIDTH / _HISTOGRAM_BIN))
    edges = np.arange(n_bars + 1) * BIN_WIDTH * _HISTOGRAM_BIN
    top = max(float(share[:n_bars].max(initial=0.0)) for share in shares) or 1.0
    marks = _marks(limits)
    axes = Axes((0.0, float(edges[-1])), (0.0, top), "distance", "share of pairs in 0.01", n_lines_above=len(marks))
    bars = [steps(axes, edges, share[:n_bars], tone=tone) for tone, share in enumerate(shares)]
    title = "How far apart faces are"
    keys = (f"same person, {pairs.n_same:,} pairs", f"two people, {pairs.n_different:,} pairs")
    hint = (
        "Euclidean between unit vectors; dashed: the engine's thresholds. The less they overlap, the better the engine."
    )
    return Figure(title, chart(title, axes, *bars, rulers(axes, marks)), hint, keys)


def _binned(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of pairs in each bar."""
    whole = counts[: len(counts) // _HISTOGRAM_BIN * _HISTOGRAM_BIN].reshape(-1, _HISTOGRAM_BIN).sum(1)
    shares: NDArray[np.float64] = whole / max(1, int(counts.sum()))
    return shares


def _end(pairs: PairCounts) -> float:
    """Return the distance that nearly all pairs are below, at least 0.2."""
    counts = pairs.same + pairs.different
    last = int(np.searchsorted(counts.cumsum(), 0.9995 * counts.sum()))
    return max(0.2, math.ceil((last + 1) * BIN_WIDTH * 20) / 20)


def _by_threshold(pairs: PairCounts, limits: Thresholds) -> Figure:
    precision, recall, _ = rates(pairs)
    xs = np.arange(1, N_BINS + 1) * BIN_WIDTH
    end = max(0.2, math.ceil(xs[min(N_BINS - 1, int(np.searchsorted(recall, 0.995)))] * 20) / 20)
    marks = _marks(limits)
    axes = Axes((0.0, end), (0.0, 1.0), "accepted up to this distance", "share", n_lines_above=len(marks))
    begins = int((pairs.same + pairs.different).cumsum().searchsorted(1))
    title = "What a single distance would do"
    lines = (
        line(axes, xs[begins:], precision[begins:], tone=0),
        line(axes, xs, recall, tone=1),
        rulers(axes, marks),
    )
    keys = ("precision of pairs", "recall of pairs")
    hint = (
        "Precision: the share of the accepted pairs that is one person; it falls the sooner, the more people there are."
    )
    return Figure(title, chart(title, axes, *lines), hint, keys)


def _trade(evaluation: Evaluation) -> Figure:
    _, tar, far = rates(evaluation.pairs)
    lowest = max(_LOWEST_FAR, 10.0 ** np.floor(np.log10(1 / max(2, evaluation.pairs.n_different))))
    ticks = tuple(10.0**power for power in range(round(np.log10(lowest)), 1))
    axes = Axes((lowest, 1.0), (0.0, 1.0), "false-accept rate", "true-accept rate", is_log_x=True, x_ticks=ticks)
    dots = [
        dot(axes, one.far, one.tar, f"{one.tar:.3f}", tone=1)
        for one in evaluation.verifications
        if one.tar is not None and one.far >= lowest
    ]
    title = "True pairs accepted for false ones"
    keys = ("by all distances", "wanted rates")
    hint = "Towards the upper left is better. Rates near 1 / pairs of two people rest on a handful of pairs."
    return Figure(title, chart(title, axes, line(axes, far, tar, tone=0), *dots), hint, keys)


def _over_time(evaluation: Evaluation) -> Figure:
    grown = [grouping for grouping in evaluation.groupings if len(grouping.steps) > 1]
    values = [n for grouping in grown for step in grouping.steps for n in (step.bcubed.precision, step.bcubed.recall)]
    low = np.floor(min(values) * 10 - 0.01) / 10
    last = max(step.n_photos for grouping in grown for step in grouping.steps)
    axes = Axes((0, last), (max(0.0, float(low)), 1.0), "photos that have arrived", "BCubed")
    lines = []
    for tone, grouping in enumerate(grown):
        xs = [step.n_photos for step in grouping.steps]
        lines.append(line(axes, xs, [step.bcubed.precision for step in grouping.steps], tone=tone))
        lines.append(line(axes, xs, [step.bcubed.recall for step in grouping.steps], tone=tone, is_dashed=True))
    title = "While photos arrive"
    hint = "Solid: precision. Dashed: recall, of the labelled faces that have arrived by then."
    return Figure(title, chart(title, axes, *lines), hint, tuple(map(_method, grown)))


# --- the mistakes ---


def _all_mistakes(evaluation: Evaluation, album: Album, most: int) -> Iterator[ShownMistakes]:
    """Yield those of each grouping of interest, at most so many each; of those with the same groups only the first
    shows faces."""
    shown: list[Partition] = []
    for grouping in _of_interest(evaluation):
        title = f"Worst mistakes: {grouping.way}, {_method(grouping)}"
        same = next((one for one in shown if is_same(one.groups, grouping.groups)), None)
        if same:
            yield ShownMistakes(title, _method(same))
        else:
            shown.append(grouping)
            yield _mistakes(evaluation, grouping, album, most, title)


def is_same(left: NDArray[np.int64], right: NDArray[np.int64]) -> bool:
    """Whether two groupings put the same faces together, whatever the numbers of their groups."""
    return len({*zip(left.tolist(), right.tolist(), strict=True)}) == len({*left.tolist()}) == len({*right.tolist()})


def _method(grouping: Partition) -> str:
    return grouping.method if grouping.is_normalised else f"{grouping.method}, plain"


def _mistakes(evaluation: Evaluation, grouping: Partition, album: Album, most: int, title: str) -> ShownMistakes:
    """Return the worst mistakes as pairs of faces, half of each kind where there are enough of both."""
    sample = evaluation.sample
    together = wrongly_together(sample.person, grouping.groups, sample.embeddings)
    apart = wrongly_apart(sample.person, grouping.groups, sample.embeddings)
    n_together = min(len(together), max(most // 2, most - len(apart)))
    n_apart = min(len(apart), most - n_together)
    return ShownMistakes(
        title=title,
        same_as=None,
        together=tuple(_mistake(evaluation, album, one, _TOGETHER) for one in together[:n_together]),
        n_together=len(together),
        apart=tuple(_mistake(evaluation, album, one, _APART) for one in apart[:n_apart]),
        n_apart=len(apart),
    )


_TOGETHER = "{distance:.3f} apart; {left} of one with {right} of the other"
_APART = "{distance:.3f} apart; {right} apart from {left}"


def _mistake(evaluation: Evaluation, album: Album, mistake: Mistake, words: str) -> ShownMistake:
    caption = words.format(
        distance=mistake.distance, left=plural(mistake.n_left, "face"), right=plural(mistake.n_right, "face")
    )
    return ShownMistake((_face(evaluation, album, mistake.left), _face(evaluation, album, mistake.right)), caption)


def _face(evaluation: Evaluation, album: Album, row: int) -> ShownFace:
    sample = evaluation.sample
    photo = sample.photos[int(sample.photo[row])]
    return ShownFace(
        uri=album.uri(photo.file, sample.face_at(row).box),
        name=sample.names[int(sample.person[row])],
        path=display(photo.path),
        doubt=_DOUBTS.get(str(sample.tiers[row]), ""),
    )


_DOUBTS = {Tier.MATCH.value: " (fair quality)", Tier.SHOW.value: " (too poor to be matched)"}


# --- the small print ---


def _notes(evaluation: Evaluation) -> list[str]:
    sample, limits = evaluation.sample, evaluation.info.thresholds
    return [
        f"{sample.n_labelled} labelled faces: {len(sample)} found, {sample.n_missed} missed, {sample.n_disputed} with "
        f"labels that contradict each other. {sample.n_false} faces in photos that show none.",
        "BCubed (Amigo et al. 2009): for each face, the share of its group that is its person (precision) and the "
        "share of its person that is in its group (recall), averaged over faces. A face that belongs to nobody is a "
        "group of its own. Missed faces do not count.",
        "Pairs: the same for pairs of faces, which weighs large people more. NMI: mutual information over the mean of "
        "both entropies.",
        "Thresholds: " + ", ".join(f"{name} {value:g}" for name, value in asdict(limits).items()),
    ]
