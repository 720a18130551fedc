"""The numbers of a catalog as one HTML page that needs nothing else: no script, no font, no picture from anywhere.

It is well-formed XML too, which a test makes use of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from facewatch import __version__
from facewatch.catalog import display
from facewatch.cli.output import plural
from facewatch.evaluation.style import head, page, section
from facewatch.fs.output import written_at_once
from facewatch.presentation.html.plots import Axes, chart, rulers, steps
from facewatch.reports.stats import Distances, Histogram, Spread, Stats

_MOST_TICKS = 7


def write_page(file: Path, stats: Stats, *, made_at: str) -> None:
    """Write the page, as a whole or not at all.

    Raises:
        LibraryError: it cannot be written.
    """
    page = stats_page(stats, made_at=made_at)
    with written_at_once(file) as page_file:
        page_file.write(page.encode())


def stats_page(stats: Stats, *, made_at: str) -> str:
    """Return the page as text."""
    title = "facewatch: the library in numbers"
    body = (
        _head(stats, title, made_at),
        _tiles(stats),
        section("People", _charts(_sizes(stats.sizes), _largest(stats))),
        section("Distances", _charts(*_distances(stats.distances))) if stats.distances else "",
        section("Quality", _charts(*_quality(stats))),
        section("Engines", _engines(stats)) if stats.engines else "",
    )
    return page(title, body)


def _charts(*figures: str) -> str:
    return f'<div class="charts">{"".join(figures)}</div>'


# --- what it is about ---


def _head(stats: Stats, title: str, made_at: str) -> str:
    facts = (
        f"{display(stats.catalog)}, {stats.n_bytes / 1e6:.1f} MB",
        f"facewatch {__version__}, {made_at}",
    )
    return head(title, facts)


def _tiles(stats: Stats) -> str:
    counts = stats.counts
    tiles = [
        ("photos", f"{counts.n_photos:,}", f"in {plural(counts.n_files, 'file')}"),
        ("faces", f"{counts.n_faces:,}", f"{counts.tiers.get('found', 0):,} of them good"),
        ("belong to somebody", f"{counts.n_assigned:,}", f"{counts.sources.get('user', 0):,} by your word"),
        ("to nobody yet", f"{counts.n_pool:,}", f"and {counts.n_only_shown:,} too poor to tell"),
        ("people", f"{counts.n_people:,}", f"{counts.n_named:,} named, {counts.n_hidden:,} hidden"),
    ]
    if stats.distances and stats.distances.n_close_pairs is not None:
        tiles.append(("pairs of people", f"{stats.distances.n_close_pairs:,}", "whose faces come near enough to match"))
    return '<div class="tiles">' + "".join(_tile(*tile) for tile in tiles) + "</div>"


def _tile(name: str, value: str, note: str) -> str:
    return (
        f'<div class="tile"><span class="name">{escape(name)}</span><span class="value">{escape(value)}</span>'
        f'<span class="note">{escape(note)}</span></div>'
    )


# --- charts ---


def _sizes(sizes: Spread) -> str:
    hint = f"{_typical(sizes, '{:.0f}')} faces a person." if sizes.n else "Nobody has a face yet."
    return _doubling("How many faces people have", sizes, "faces", "people", hint)


def _distances(distances: Distances) -> tuple[str, ...]:
    own, other, middle = distances.own, distances.other, distances.centroid
    edges = own.histogram.edges
    marks = [("match", distances.match)] if distances.match is not None else []
    top = max((*_shares(own), *_shares(other), 0.01))
    axes = Axes((edges[0], edges[-1]), (0, top), "distance", "share of faces", n_lines_above=len(marks))
    bars = [steps(axes, edges, _shares(one), tone=tone) for tone, one in enumerate((own, other))]
    title = "To the nearest other face"
    nearest = _figure(
        title,
        chart(title, axes, *bars, rulers(axes, marks)),
        [("tone-0", f"of the same person, {own.n:,} faces"), ("tone-1", f"of another person, {other.n:,} faces")],
        f"By {distances.engine}; Euclidean between unit vectors. Inside: {_typical(own, '{:.3f}')}; "
        f"to others: {_typical(other, '{:.3f}')}. The less they overlap, the clearer people are.",
    )
    axes = Axes((edges[0], edges[-1]), (0, max((*_shares(middle), 0.01))), "distance", "share of faces")
    title = "To the middle of the same person"
    picture = chart(title, axes, steps(axes, edges, _shares(middle), tone=2))
    return nearest, _figure(title, picture, [], f"{_typical(middle, '{:.3f}')}.")


def _quality(stats: Stats) -> tuple[str, ...]:
    quality, tiers = stats.quality, stats.counts.tiers
    said = (
        f"{tiers.get('found', 0):,} may found people, {tiers.get('match', 0):,} only be matched, "
        f"{tiers.get('show', 0):,} only be shown; {_typical(quality.score, '{:.2f}')}."
    )
    return (
        _even("All of it in one number", quality.score, "quality", said),
        _doubling("Size", quality.pixels, "pixels, shorter side", "faces", f"{_typical(quality.pixels, '{:.0f}')}."),
        _doubling(
            "Sharpness",
            quality.sharpness,
            "variance of the Laplacian",
            "faces",
            f"{_typical(quality.sharpness, '{:.0f}')}.",
        ),
        _even("Pose", quality.pose, "0: into the camera, 1: a profile", f"{_typical(quality.pose, '{:.2f}')}."),
    )


def _even(title: str, spread: Spread, x_label: str, hint: str) -> str:
    edges, counts = spread.histogram.edges, spread.histogram.counts
    axes = Axes((edges[0], edges[-1]), (0, max((*counts, 1))), x_label, "faces")
    return _figure(title, chart(title, axes, steps(axes, edges, counts, tone=0)), [], hint)


def _doubling(title: str, spread: Spread, x_label: str, y_label: str, hint: str) -> str:
    """A histogram over a scale on which every doubling has the same width."""
    edges, counts = _without_empty_ends(spread.histogram)
    every = -(-len(edges) // _MOST_TICKS)
    axes = Axes((edges[0], edges[-1]), (0, max((*counts, 1))), x_label, y_label, is_log_x=True, x_ticks=edges[::every])
    return _figure(title, chart(title, axes, steps(axes, edges, counts, tone=0)), [], hint)


def _without_empty_ends(histogram: Histogram) -> tuple[tuple[float, ...], tuple[int, ...]]:
    filled = [i for i, count in enumerate(histogram.counts) if count] or [0]
    return histogram.edges[filled[0] : filled[-1] + 2], histogram.counts[filled[0] : filled[-1] + 1]


def _shares(spread: Spread) -> list[float]:
    return [count / max(1, spread.n) for count in spread.histogram.counts]


def _typical(spread: Spread, form: str) -> str:
    """Return "median 5, nine in ten from 2 to 40"."""
    if spread.median is None or spread.p5 is None or spread.p95 is None:
        return "nothing measured"
    median, low, high = (form.format(value) for value in (spread.median, spread.p5, spread.p95))
    return f"median {median}, nine in ten from {low} to {high}"


def _figure(title: str, picture: str, keys: Iterable[tuple[str, str]], hint: str) -> str:
    """Return a chart with its words; each key is a class and what it stands for."""
    listed = "".join(f'<li><i class="{kind}"></i>{escape(name)}</li>' for kind, name in keys)
    named = f'<ul class="keys">{listed}</ul>' if listed else ""
    return (
        f"<figure>\n<h3>{escape(title)}</h3>\n{picture}\n"
        f'<figcaption>{named}<p class="hint">{escape(hint[:1].upper() + hint[1:])}</p></figcaption>\n</figure>'
    )


# --- tables ---


def _largest(stats: Stats) -> str:
    rows = [(display(one.label), f"{one.n_faces:,}", f"{one.n_photos:,}") for one in stats.largest]
    return _table(("with most faces", "", "faces", "photos"), [(name, "", *numbers) for name, *numbers in rows])


def _engines(stats: Stats) -> str:
    rows = [
        (
            *(engine.name, "in use" if engine.is_in_use else "", f"{engine.n_dims}"),
            *(f"{engine.n_photos:,}", f"{engine.n_vectors:,}", f"{engine.n_bytes / 1e6:.1f}"),
        )
        for engine in stats.engines
    ]
    return _table(("engine", "", "dimensions", "photos", "vectors", "MB"), rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of two columns of words, and numbers behind them."""
    heads = "".join(f"<th>{escape(name)}</th>" for name in header)
    lines = "".join(
        f"<tr><th>{escape(row[0])}</th><td>{escape(row[1])}</td>"
        + "".join(f'<td class="number">{escape(cell)}</td>' for cell in row[2:])
        + "</tr>\n"
        for row in rows
    )
    return f'<div class="scroll"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{lines}</tbody>\n</table></div>'
