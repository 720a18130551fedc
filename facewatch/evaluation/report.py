"""An evaluation as one HTML page that needs nothing else: no script, no font, no picture from anywhere.

It is well-formed XML too, which a test makes use of.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewatch import __version__
from facewatch.catalog import display
from facewatch.evaluation import identification
from facewatch.evaluation.crops import Album
from facewatch.evaluation.metrics import BIN_WIDTH, N_BINS, PairCounts, rates
from facewatch.evaluation.mistakes import Mistake, wrongly_apart, wrongly_together
from facewatch.evaluation.run import Evaluation, names_of
from facewatch.evaluation.simulated import rows_of
from facewatch.evaluation.style import head, page, section
from facewatch.evaluation.ways import STREAMING, Grouping
from facewatch.fs.output import written_at_once
from facewatch.indexing.pool import Cutter
from facewatch.presentation.html.plots import Axes, chart, dot, line, rulers, steps
from facewatch.text import plural
from facewatch.types import Thresholds, Tier

MOST_MISTAKES = 24
_HISTOGRAM_BIN = 100
"""Bins of BIN_WIDTH in one bar: bars of 0.01."""
_LOWEST_FAR = 1e-5


def write_report(file: Path, evaluations: Sequence[Evaluation], *, cutter: Cutter, made_at: str) -> None:
    """Write the page, as a whole or not at all; `cutter` cuts out the faces on it.

    Raises:
        LibraryError: it cannot be written.
    """
    page = report_page(evaluations, Album(cutter), made_at=made_at)
    with written_at_once(file) as page_file:
        page_file.write(page.encode())


def report_page(evaluations: Sequence[Evaluation], album: Album, *, made_at: str) -> str:
    """Return the page as text: of several sets all figures in one table, and a part for each that opens."""
    made_by = f"facewatch {__version__}, {made_at}"
    if len(evaluations) == 1:
        (evaluation,) = evaluations
        title = f"facewatch on {display(evaluation.labelled.root.name or str(evaluation.labelled.root))}"
        facts = (*_facts(evaluation), _engine(evaluation), made_by)
        return page(title, (head(title, facts), *_doubts(evaluations), *_parts(evaluation, album)))
    title = f"facewatch on {len(evaluations)} labelled sets"
    body = (
        *(head(title, (_engine(evaluations[0]), made_by)), *_doubts(evaluations)),
        *(section("Ways of working", _table(evaluations), _WAYS), section("Pairs of faces", _rates(evaluations))),
        *(_one_of_many(*each, album) for each in zip(names_of(evaluations), evaluations, strict=True)),
    )
    return page(title, body)


def _parts(evaluation: Evaluation, album: Album) -> Iterator[str]:
    yield _tiles(evaluation)
    yield section("Ways of working", _table([evaluation]), _WAYS)
    yield from _identified(evaluation)
    yield from _simulations(evaluation)
    yield section("Distances", f'<div class="charts">{_charts(evaluation)}</div>', _rates([evaluation]))
    yield from _all_mistakes(evaluation, album)
    yield _notes(evaluation)


def _one_of_many(name: str, evaluation: Evaluation, album: Album) -> str:
    about = _paragraph(", ".join(_facts(evaluation)), "hint")
    inside = "\n".join((about, *_parts(evaluation, album)))
    return f"<section>\n<details>\n<summary><h2>{escape(name)}</h2></summary>\n{inside}\n</details>\n</section>"


def _doubts(evaluations: Sequence[Evaluation]) -> Iterator[str]:
    for name, evaluation in zip(names_of(evaluations), evaluations, strict=True):
        if evaluation.doubt:
            yield _paragraph(f"{name}: {evaluation.doubt}.", "doubt")


def _paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


# --- what it is about ---


def _facts(evaluation: Evaluation) -> list[str]:
    return [
        f"{len(evaluation.sample.photos)} photos below "
        + display(str(evaluation.labelled.root / evaluation.labelled.only)),
        f"{evaluation.n_batches} batches, seed {evaluation.seed}",
    ]


def _engine(evaluation: Evaluation) -> str:
    return f"engine {evaluation.info.name} ({evaluation.info.fingerprint[:12]})"


def _tiles(evaluation: Evaluation) -> str:
    sample = evaluation.sample
    tiles = [("faces found", f"{len(sample)}", f"of {sample.n_labelled} labelled, {len(set(sample.person))} people")]
    for one in evaluation.verifications:
        said = f"at distance {one.distance:.3f}" if one.distance is not None else "too few pairs to tell"
        tiles.append((f"true pairs at FAR {one.far:.0e}".replace("e-0", "e-"), _share(one.tar), said))
    for grouping in _of_interest(evaluation)[:1]:
        measured = evaluation.scores_of(grouping)
        how = f"BCubed, {grouping.way}, {grouping.method}"
        tiles.append(("precision", _share(measured.bcubed.precision), how))
        tiles.append(("recall", _share(measured.bcubed.recall), how))
    return '<div class="tiles">' + "".join(_tile(*tile) for tile in tiles) + "</div>"


def _tile(name: str, value: str, note: str) -> str:
    return (
        f'<div class="tile"><span class="name">{escape(name)}</span><span class="value">{escape(value)}</span>'
        f'<span class="note">{escape(note)}</span></div>'
    )


def _of_interest(evaluation: Evaluation) -> list[Grouping]:
    """Return what users live with: photos that come one after the other."""
    return [grouping for grouping in evaluation.groupings if grouping.way == STREAMING]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


# --- the table ---

_WAYS = _paragraph(
    "Clustering: the method alone, over all labelled faces. All at once: as a first scan does it, with quality tiers "
    "and unlabelled faces. Streaming: photos arrive in random order and are matched, then grouped after each batch. "
    "A person counts from two faces on. Folders a person: groups that one of them is in, on average. Twice: photos in "
    "which one person was found twice. Likeness: normalised by what faces have with strangers, or plain.",
    "hint",
)

_COLUMNS = (
    ("set", ""),
    ("way", ""),
    ("method", ""),
    ("likeness", ""),
    ("P", "BCubed"),
    ("R", "BCubed"),
    ("F", "BCubed"),
    ("P", "pairs"),
    ("R", "pairs"),
    ("F", "pairs"),
    ("", "NMI"),
    ("found", "people"),
    ("true", "people"),
    ("a person", "folders"),
    ("in groups", "faces"),
    ("", "twice"),
    ("", "seconds"),
)


def _table(evaluations: Sequence[Evaluation]) -> str:
    rows = [
        (
            [name] * (len(evaluations) > 1) + [grouping.way, grouping.method, grouping.likeness],
            _numbers(evaluation, grouping),
        )
        for name, evaluation in zip(names_of(evaluations), evaluations, strict=True)
        for grouping in evaluation.groupings
    ]
    return _as_table(_COLUMNS[len(evaluations) == 1 :], rows) + "".join(
        _paragraph(f"{name} is left out: {why}", "hint") for name, why in evaluations[0].left_out.items()
    )


def _as_table(columns: Sequence[tuple[str, str]], rows: Iterable[tuple[Sequence[str], Sequence[str]]]) -> str:
    """Return a table; the columns are (name, what stands above it), each row is its words and its numbers."""
    lines = list(rows)
    n_words = len(lines[0][0])
    kinds = [' class="word"'] * n_words + [' class="number"'] * (len(columns) - n_words)
    heads = [
        f"<th{kind}>{escape(above)}<br/>{escape(name)}</th>" for kind, (name, above) in zip(kinds, columns, strict=True)
    ]
    body = [
        f"<tr><th>{escape(words[0])}</th>"
        + "".join(f"<td>{escape(word)}</td>" for word in words[1:])
        + "".join(f'<td class="number">{escape(number)}</td>' for number in numbers)
        + "</tr>\n"
        for words, numbers in lines
    ]
    return (
        f'<div class="scroll"><table>\n<thead><tr>{"".join(heads)}</tr></thead>\n<tbody>\n{"".join(body)}</tbody>\n'
        "</table></div>"
    )


def _rates(evaluations: Sequence[Evaluation]) -> str:
    """Return the true-accept rates, plain and normalised."""
    rows = [
        (
            [name] * (len(evaluations) > 1) + [f"{plain.far:g}"],
            [_share(plain.tar), _share(plain.distance), _share(normalised.tar if normalised else None)],
        )
        for name, evaluation in zip(names_of(evaluations), evaluations, strict=True)
        for plain, normalised in zip_longest(evaluation.verifications, evaluation.normalised)
    ]
    columns = (("set", ""), ("rate", "false-accept"), ("accepted", "true pairs"), ("distance", "below"))
    hint = (
        "Normalised: the true pairs accepted at the same rate when likeness is judged by what both faces have with "
        "strangers. -: too few pairs to tell, or an engine without such figures."
    )
    return _as_table((*columns[len(evaluations) == 1 :], ("normalised", "true pairs")), rows) + _paragraph(hint, "hint")


def _numbers(evaluation: Evaluation, grouping: Grouping) -> list[str]:
    measured = evaluation.scores_of(grouping)
    shares = [n for a in (measured.bcubed, measured.pairwise) for n in (a.precision, a.recall, a.f)]
    return [
        *(f"{number:.4f}" for number in (*shares, measured.nmi)),
        *(str(measured.n_people_found), str(measured.n_people_true), f"{measured.fragments.folders:.2f}"),
        *(str(measured.n_faces_in_groups), str(grouping.n_photos_twice)),
        f"{grouping.seconds:.1f}",
    ]


# --- known or new ---


def _identified(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.identified:
        rows = [(row[:1], row[1:]) for row in identification.rows_of(evaluation.identified)]
        table = _as_table([("", name) for name in identification.HEADER], rows)
        yield section("Known or new", table, _paragraph(identification.LEGEND, "hint"))


# --- the simulated user ---

_USER = _paragraph(
    "After a third and two thirds of the photos the user names each group that is mostly one of the largest people; "
    "when all have arrived it answers the questions of review truthfully, the best first. Unsettled: labelled faces, "
    "good enough to be matched, that belong to nobody with a name.",
    "hint",
)


def _simulations(evaluation: Evaluation) -> Iterator[str]:
    for simulation in evaluation.simulations:
        rows = "".join(
            f'<tr><th>{escape(what)}</th><td class="number">{escape(number)}</td><td>{escape(made_of)}</td></tr>\n'
            for what, number, made_of in rows_of(simulation)
        )
        table = f'<div class="scroll"><table>\n<tbody>\n{rows}</tbody>\n</table></div>'
        yield section(f"A user who names and answers ({simulation.method})", table, _USER)


# --- the charts ---


def _charts(evaluation: Evaluation) -> str:
    pairs, limits = evaluation.pairs, evaluation.info.thresholds
    return "\n".join(
        (
            _histogram(pairs, limits),
            _by_threshold(pairs, limits),
            _trade(evaluation),
            *([_over_time(evaluation)] if any(len(g.steps) > 1 for g in evaluation.groupings) else []),
        )
    )


def _figure(title: str, picture: str, keys: Iterable[tuple[str, str]], hint: str) -> str:
    """Return a chart with its words; each key is a class and what it stands for."""
    listed = "".join(f'<li><i class="{kind}"></i>{escape(name)}</li>' for kind, name in keys)
    return (
        f"<figure>\n<h3>{escape(title)}</h3>\n{picture}\n"
        f'<figcaption><ul class="keys">{listed}</ul>{_paragraph(hint, "hint")}</figcaption>\n</figure>'
    )


def _marks(limits: Thresholds) -> list[tuple[str, float]]:
    return [("match", limits.match), ("centroid", limits.centroid), ("cluster", limits.cluster)]


def _histogram(pairs: PairCounts, limits: Thresholds) -> str:
    shares = [_binned(counts) for counts in (pairs.same, pairs.different)]
    end = _end(pairs)
    n_bars = min(len(shares[0]), round(end / BIN_WIDTH / _HISTOGRAM_BIN))
    edges = np.arange(n_bars + 1) * BIN_WIDTH * _HISTOGRAM_BIN
    top = max(float(share[:n_bars].max(initial=0.0)) for share in shares) or 1.0
    marks = _marks(limits)
    axes = Axes((0.0, float(edges[-1])), (0.0, top), "distance", "share of pairs in 0.01", n_lines_above=len(marks))
    bars = [steps(axes, edges, share[:n_bars], tone=tone) for tone, share in enumerate(shares)]
    title = "How far apart faces are"
    keys = (("tone-0", f"same person, {pairs.n_same:,} pairs"), ("tone-1", f"two people, {pairs.n_different:,} pairs"))
    hint = (
        "Euclidean between unit vectors; dashed: the engine's thresholds. The less they overlap, the better the engine."
    )
    return _figure(title, chart(title, axes, *bars, rulers(axes, marks)), keys, hint)


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


def _by_threshold(pairs: PairCounts, limits: Thresholds) -> str:
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
    keys = (("tone-0", "precision of pairs"), ("tone-1", "recall of pairs"))
    hint = (
        "Precision: the share of the accepted pairs that is one person; it falls the sooner, the more people there are."
    )
    return _figure(title, chart(title, axes, *lines), keys, hint)


def _trade(evaluation: Evaluation) -> str:
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
    keys = (("tone-0", "by all distances"), ("tone-1", "wanted rates"))
    hint = "Towards the upper left is better. Rates near 1 / pairs of two people rest on a handful of pairs."
    return _figure(title, chart(title, axes, line(axes, far, tar, tone=0), *dots), keys, hint)


def _over_time(evaluation: Evaluation) -> str:
    told = [grouping for grouping in evaluation.groupings if len(grouping.steps) > 1]
    values = [n for grouping in told for step in grouping.steps for n in (step.bcubed.precision, step.bcubed.recall)]
    low = np.floor(min(values) * 10 - 0.01) / 10
    last = max(step.n_photos for grouping in told for step in grouping.steps)
    axes = Axes((0, last), (max(0.0, float(low)), 1.0), "photos that have arrived", "BCubed")
    lines, keys = [], []
    for tone, grouping in enumerate(told):
        xs = [step.n_photos for step in grouping.steps]
        lines.append(line(axes, xs, [step.bcubed.precision for step in grouping.steps], tone=tone))
        lines.append(line(axes, xs, [step.bcubed.recall for step in grouping.steps], tone=tone, is_dashed=True))
        keys.append((f"tone-{tone % 6}", _method(grouping)))
    title = "While photos arrive"
    hint = "Solid: precision. Dashed: recall, of the labelled faces that have arrived by then."
    return _figure(title, chart(title, axes, *lines), keys, hint)


# --- the mistakes ---


def _all_mistakes(evaluation: Evaluation, album: Album) -> Iterator[str]:
    """Yield a section for each grouping of interest; of those with the same groups only the first shows faces."""
    shown: list[Grouping] = []
    for grouping in _of_interest(evaluation):
        same = next((one for one in shown if is_same(one.groups, grouping.groups)), None)
        if same:
            yield section(_mistakes_title(grouping), _paragraph(f"The same as {_method(same)}."))
        else:
            shown.append(grouping)
            yield _mistakes(evaluation, grouping, album)


def is_same(left: NDArray[np.int64], right: NDArray[np.int64]) -> bool:
    """Whether two groupings put the same faces together, whatever the numbers of their groups."""
    return len({*zip(left.tolist(), right.tolist(), strict=True)}) == len({*left.tolist()}) == len({*right.tolist()})


def _method(grouping: Grouping) -> str:
    return grouping.method if grouping.is_normalised else f"{grouping.method}, plain"


def _mistakes_title(grouping: Grouping) -> str:
    return f"Worst mistakes: {grouping.way}, {_method(grouping)}"


def _mistakes(evaluation: Evaluation, grouping: Grouping, album: Album) -> str:
    """Return the worst mistakes as pairs of faces, half of each kind where there are enough of both."""
    sample = evaluation.sample
    together = wrongly_together(sample.person, grouping.groups, sample.embeddings)
    apart = wrongly_apart(sample.person, grouping.groups, sample.embeddings)
    n_together = min(len(together), max(MOST_MISTAKES // 2, MOST_MISTAKES - len(apart)))
    n_apart = min(len(apart), MOST_MISTAKES - n_together)
    is_open = ' open="open"' if grouping is _of_interest(evaluation)[0] else ""
    content = (
        _cards(
            f"Two people in one group: {n_together} of {len(together)}",
            "The pair that is nearest, of one face of each; those that cost the most precision first.",
            [_card(evaluation, album, mistake, _TOGETHER) for mistake in together[:n_together]],
        ),
        _cards(
            f"One person in several groups: {n_apart} of {len(apart)}",
            "A part that is apart from the person's largest group, and the pair that is nearest; the farthest first. "
            "What looks like two people may be a wrong label.",
            [_card(evaluation, album, mistake, _APART) for mistake in apart[:n_apart]],
        ),
    )
    return (
        f"<section>\n<details{is_open}>\n<summary><h2>{escape(_mistakes_title(grouping))}</h2></summary>\n"
        f"{''.join(content)}</details>\n</section>"
    )


_TOGETHER = "{distance:.3f} apart; {left} of one with {right} of the other"
_APART = "{distance:.3f} apart; {right} apart from {left}"


def _cards(title: str, hint: str, cards: Sequence[str]) -> str:
    shown = f'{_paragraph(hint, "hint")}\n<div class="cards">\n{"".join(cards)}</div>' if cards else _paragraph("None.")
    return f"<h3>{escape(title)}</h3>\n{shown}\n"


def _card(evaluation: Evaluation, album: Album, mistake: Mistake, words: str) -> str:
    text = words.format(
        distance=mistake.distance, left=plural(mistake.n_left, "face"), right=plural(mistake.n_right, "face")
    )
    faces = "".join(_face(evaluation, album, row) for row in (mistake.left, mistake.right))
    return f'<figure class="card">{faces}<figcaption>{escape(text)}</figcaption></figure>\n'


def _face(evaluation: Evaluation, album: Album, row: int) -> str:
    sample = evaluation.sample
    photo, name = sample.photos[int(sample.photo[row])], sample.names[int(sample.person[row])]
    uri = album.uri(photo.file, sample.face_at(row).box)
    picture = f'<img src="{uri}" alt="{escape(name)}" width="96" height="96"/>' if uri else '<i class="gone">gone</i>'
    doubt = _DOUBTS.get(str(sample.tiers[row]), "")
    where = f"<small>{_breakable(display(photo.path))}{doubt}</small>"
    return f'<div class="face">{picture}<b>{_breakable(name)}</b>{where}</div>'


_DOUBTS = {Tier.MATCH.value: " (fair quality)", Tier.SHOW.value: " (too poor to be matched)"}


def _breakable(text: str) -> str:
    """Return the text escaped, with places where a line may end."""
    return "".join(part + "<wbr/>" if part in "_/-." else escape(part) for part in re.split(r"([_/.-])", text) if part)


# --- the small print ---


def _notes(evaluation: Evaluation) -> str:
    sample = evaluation.sample
    facts = [
        f"{sample.n_labelled} labelled faces: {len(sample)} found, {sample.n_missed} missed, {sample.n_disputed} with "
        f"labels that contradict each other. {sample.n_false} faces in photos that show none.",
        "BCubed (Amigo et al. 2009): for each face, the share of its group that is its person (precision) and the "
        "share of its person that is in its group (recall), averaged over faces. A face that belongs to nobody is a "
        "group of its own. Missed faces do not count.",
        "Pairs: the same for pairs of faces, which weighs large people more. NMI: mutual information over the mean of "
        "both entropies.",
        "Thresholds: " + ", ".join(f"{name} {value:g}" for name, value in _thresholds(evaluation.info.thresholds)),
    ]
    faults = [f"{path}: {fault}; {advice}" for path, (fault, advice) in evaluation.faults.items()]
    listed = "".join(f"<li>{escape(fault)}</li>" for fault in faults)
    return section(
        "Small print",
        *(_paragraph(fact) for fact in facts),
        *([f"<h3>Photos that could not be used</h3>\n<ul>{listed}</ul>"] if faults else []),
    )


def _thresholds(limits: Thresholds) -> list[tuple[str, float]]:
    return [(name, getattr(limits, name)) for name in Thresholds.__slots__]
