"""The numbers of a catalog on one page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from facewatch import __version__
from facewatch.catalog import display
from facewatch.fs.atomic import written_at_once
from facewatch.presentation.html import Axes, Figure, HtmlTable, Tile, chart, render, rulers, steps
from facewatch.presentation.html.pictures import data_uri
from facewatch.reports.examples import ExampleFace, Examples
from facewatch.reports.stats import Distances, Histogram, Spread, Stats
from facewatch.reports.status import Counts
from facewatch.text import plural

_MOST_TICKS = 7


SIDE = 112
"""Pixels of a face in a file."""


@dataclass(frozen=True, slots=True)
class FaceSources:
    """Where a page has the pictures of faces from, and where these lead; by the id of the face."""

    picture: Callable[[int], str]
    """"": there is none."""
    link: Callable[[int], str] = lambda _: ""
    """"": nowhere."""


@dataclass(frozen=True, slots=True)
class FigureFace:
    """A face on the page."""

    picture: str
    link: str
    name: str
    note: str


@dataclass(frozen=True, slots=True)
class FaceStrip:
    """Faces that show one thing; in pairs, or each for itself."""

    title: str
    hint: str
    groups: tuple[tuple[FigureFace, ...], ...]
    """Those of one group stand together."""


def write_page(file: Path, stats: Stats, *, made_at: str, crops: Mapping[int, Path] = MappingProxyType({})) -> None:
    """Write the page, as a whole or not at all; `crops` are pictures of the faces that it shows.

    Raises:
        LibraryError: it cannot be written.
    """
    faces = FaceSources(lambda face_id: data_uri(crops.get(face_id), SIDE))
    page = stats_page(stats, faces, made_at=made_at)
    # It shows faces.
    with written_at_once(file, mode=0o600) as page_file:
        page_file.write(page.encode())


def remark_on(stats: Stats, counts: Counts, *, is_renewing: bool, fault: str) -> str:
    """Return what is to be known of numbers that are shown again, when these are how many there are; "": nothing is."""
    if is_renewing:
        return "they are being worked out again; with many faces that takes some seconds"
    if fault:
        return f"they could not be worked out again: {fault}"
    return "the library has changed since" if stats.counts != counts else ""


def stats_page(
    stats: Stats,
    faces: FaceSources,
    *,
    made_at: str,
    remark: str = "",
    frame: str = "page.html",
    counted: int = 0,
) -> str:
    """Return the page as text; `frame` is the template around it, `counted` of which version what the remark says."""
    facts = (f"{display(stats.catalog)}, {stats.n_bytes / 1e6:.1f} MB", f"facewatch {__version__}, {made_at}", remark)
    return render(
        "stats.html",
        frame=frame,
        counted=counted,
        title="facewatch: the library in numbers",
        facts=tuple(filter(None, facts)),
        numbers=_tiles(stats),
        sizes=_sizes(stats.sizes),
        largest=_largest(stats),
        strips=_strips(stats.examples, faces),
        distances=_distances(stats.distances) if stats.distances else (),
        quality=_quality(stats),
        engines=_engines(stats),
    )


def _tiles(stats: Stats) -> list[Tile]:
    counts = stats.counts
    tiles = [
        Tile("photos", f"{counts.n_photos:,}", f"in {plural(counts.n_files, 'file')}"),
        Tile("faces", f"{counts.n_faces:,}", f"{stats.shares.tiers.get('found', 0):,} of them good"),
        Tile("belong to somebody", f"{counts.n_assigned:,}", f"{stats.shares.sources.get('user', 0):,} by your word"),
        Tile("to nobody yet", f"{counts.n_pool:,}", f"and {counts.n_only_shown:,} too poor to recognise"),
        Tile("people", f"{counts.n_people:,}", f"{counts.n_named:,} named, {counts.n_hidden:,} hidden"),
    ]
    if stats.distances and stats.distances.n_close_pairs is not None:
        note = "whose faces come near enough to match"
        tiles.append(Tile("pairs of people", f"{stats.distances.n_close_pairs:,}", note))
    return tiles


# --- faces ---


def _strips(examples: Examples, faces: FaceSources) -> dict[str, FaceStrip]:
    def face(one: ExampleFace, note: str = "") -> FigureFace:
        return FigureFace(faces.picture(one.face_id), faces.link(one.face_id), display(one.label), note)

    return {
        "covers": FaceStrip(
            "Who has most faces",
            "One face of each.",
            tuple((face(one, plural(int(one.value), "face")),) for one in examples.covers),
        ),
        "farthest": FaceStrip(
            "Farthest from the middle of their person",
            "One face of a person, with its distance. A face that is somebody else's, or a person that is two, is seen "
            "here first.",
            tuple((face(one, f"{one.value:.2f}"),) for one in examples.farthest),
        ),
        "pairs": FaceStrip(
            "Different people who look most alike",
            "The nearest faces of two people. They may be one, or one of the faces may be with the wrong person.",
            tuple((face(pair.one, f"{pair.distance:.2f} apart"), face(pair.other)) for pair in examples.pairs),
        ),
        "poorest": FaceStrip(
            "The poorest faces that belong to somebody",
            "With their quality.",
            tuple((face(one, f"{one.value:.2f}"),) for one in examples.poorest),
        ),
    }


# --- charts ---


def _sizes(sizes: Spread) -> Figure:
    hint = _sentence(f"{_typical(sizes, '{:.0f}')} faces a person") if sizes.n else "Nobody has a face yet."
    return _doubling("How many faces people have", sizes, "faces", "people", hint)


def _distances(distances: Distances) -> tuple[Figure, Figure]:
    own, other, middle = distances.own, distances.other, distances.centroid
    edges = own.histogram.edges
    marks = [("match", distances.match)] if distances.match is not None else []
    top = max((*_shares(own), *_shares(other), 0.01))
    axes = Axes((edges[0], edges[-1]), (0, top), "distance", "share of faces", n_lines_above=len(marks))
    bars = [steps(axes, edges, _shares(one), tone=tone) for tone, one in enumerate((own, other))]
    title = "To the nearest other face"
    nearest = Figure(
        title,
        chart(title, axes, *bars, rulers(axes, marks)),
        f"By {distances.engine}; Euclidean between unit vectors. Inside: {_typical(own, '{:.3f}')}; "
        f"to others: {_typical(other, '{:.3f}')}. The less they overlap, the clearer people are.",
        keys=(f"of the same person, {own.n:,} faces", f"of another person, {other.n:,} faces"),
    )
    axes = Axes((edges[0], edges[-1]), (0, max((*_shares(middle), 0.01))), "distance", "share of faces")
    title = "To the middle of the same person"
    picture = chart(title, axes, steps(axes, edges, _shares(middle), tone=2))
    return nearest, Figure(title, picture, _sentence(_typical(middle, "{:.3f}")))


def _quality(stats: Stats) -> tuple[Figure, ...]:
    quality, tiers = stats.quality, stats.shares.tiers
    said = (
        f"{tiers.get('found', 0):,} may start a person, {tiers.get('match', 0):,} only be matched, "
        f"{tiers.get('show', 0):,} only be shown; {_typical(quality.score, '{:.2f}')}."
    )
    size, sharpness = (_sentence(_typical(spread, "{:.0f}")) for spread in (quality.pixels, quality.sharpness))
    pose = _sentence(_typical(quality.pose, "{:.2f}"))
    return (
        _even("All of it in one number", quality.score, "quality", said),
        _doubling("Size", quality.pixels, "pixels, shorter side", "faces", size),
        _doubling("Sharpness", quality.sharpness, "variance of the Laplacian", "faces", sharpness),
        _even("Pose", quality.pose, "0: into the camera, 1: a profile", pose),
    )


def _even(title: str, spread: Spread, x_label: str, hint: str) -> Figure:
    edges, counts = spread.histogram.edges, spread.histogram.counts
    axes = Axes((edges[0], edges[-1]), (0, max((*counts, 1))), x_label, "faces")
    return Figure(title, chart(title, axes, steps(axes, edges, counts, tone=0)), hint)


def _doubling(title: str, spread: Spread, x_label: str, y_label: str, hint: str) -> Figure:
    """Return a histogram over a scale on which every doubling has the same width."""
    edges, counts = _without_empty_ends(spread.histogram)
    every = -(-len(edges) // _MOST_TICKS)
    axes = Axes((edges[0], edges[-1]), (0, max((*counts, 1))), x_label, y_label, is_log_x=True, x_ticks=edges[::every])
    return Figure(title, chart(title, axes, steps(axes, edges, counts, tone=0)), hint)


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


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


# --- tables ---


def _largest(stats: Stats) -> HtmlTable:
    rows = [(display(one.label), "", f"{one.n_faces:,}", f"{one.n_photos:,}") for one in stats.largest]
    return HtmlTable([("with most faces",), ("",), ("faces",), ("photos",)], rows, n_words=2)


def _engines(stats: Stats) -> HtmlTable:
    rows = [
        (
            *(engine.name, "in use" if engine.is_in_use else "", f"{engine.n_dims}"),
            *(f"{engine.n_photos:,}", f"{engine.n_vectors:,}", f"{engine.n_bytes / 1e6:.1f}"),
        )
        for engine in stats.engines
    ]
    names = ("engine", "", "dimensions", "photos", "vectors", "MB")
    return HtmlTable([(name,) for name in names], rows, n_words=2)
