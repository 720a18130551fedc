"""The command `stats`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facewatch import ids
from facewatch.cli.output import echo, print_facts, print_json, print_table
from facewatch.cli.program import State, command, json_option, pass_state
from facewatch.text import plural

if TYPE_CHECKING:
    from facewatch.reports.stats import Spread, Stats


@command("stats", "Show statistics of the library.")
@click.option("--report", type=click.Path(path_type=Path), help="Write a page (.html) with charts.")
@json_option
@pass_state
def stats(state: State, report: Path | None, as_json: bool) -> None:
    """Show how many faces and people there are, how large and how good the faces are, and how similar to each other.

    Distances are Euclidean between unit vectors of the engine in use: 0 is the same picture. Each face is compared with
    all others of its person and with those of the few people who are nearest.

    \b
    Example:
      facewatch stats --report stats.html
    """
    from facewatch.catalog import utc_now
    from facewatch.fs.output import check_target
    from facewatch.service import auditing

    with state.app() as app:
        if report:
            check_target(report, suffix=".html", photos=app.catalog.roots.all())
        found = auditing.stats(app)
    if report:
        from facewatch.presentation.html.stats import write_page

        write_page(report, found, made_at=utc_now())
    if as_json:
        from facewatch.presentation.reports import stats_row

        print_json(stats_row(found))
        return
    _print_stats(found)
    if report and not state.is_quiet:
        echo(f"\nwrote {report}")


def _print_stats(found: Stats) -> None:
    from facewatch.catalog import display

    counts = found.counts
    tiers, sources, marks = found.shares.tiers, found.shares.sources, found.shares.marks
    by = {"user": "by you", "auto": "matched", "cluster": "grouped", "import": "imported", "folder": "by folder"}
    out = {"nobody": "nobody's for good", "forgotten": "forgotten"}
    facts = {
        "catalog": f"{display(found.catalog)}, {found.n_bytes / 1e6:.1f} MB",
        "photos": f"{counts.n_photos} in {plural(counts.n_files, 'file')}",
        "faces": f"{counts.n_faces}: {tiers.get('found', 0)} good, {tiers.get('match', 0)} fair, "
        f"{tiers.get('show', 0)} too poor to be matched",
        "assigned": f"{counts.n_assigned}{_listed(sources, by)}",
        "unassigned": f"{counts.n_pool}, and {counts.n_only_shown} too poor to tell",
        "taken out": f"{counts.n_left_out}{_listed(marks, out)}"
        + (f"; and {n_no_face} that are no faces" if (n_no_face := marks.get("not_a_face", 0)) else ""),
        "open": f"{counts.n_open}: {counts.n_open - counts.n_pool} of people without a name, "
        f"{counts.n_pool} unassigned",
        "people": f"{counts.n_people}: {counts.n_named} named, {counts.n_unnamed} not; "
        f"{counts.n_hidden} hidden"
        + (f"; {counts.n_absent} more with a name on no photo now" if counts.n_absent else ""),
    }
    print_facts(facts.items())
    click.echo()
    rows = [("faces per person", found.sizes), ("quality (0 to 1)", found.quality.score)]
    rows += [("size in pixels", found.quality.pixels), ("sharpness", found.quality.sharpness)]
    rows += [("pose (1: a profile)", found.quality.pose)]
    if found.distances:
        rows += [("distance to own", found.distances.own), ("to own centroid", found.distances.centroid)]
        rows += [("distance to others", found.distances.other)]
    print_table(("", "5th percentile", "median", "95th percentile", "measured"), [_row(*row) for row in rows])
    if found.distances and found.distances.n_close_pairs is not None:
        n, match = found.distances.n_close_pairs, found.distances.match
        are = "pairs of people have" if n != 1 else "pair of people has"
        echo(f"{n} {are} faces nearer to each other than {match:.3f}, within which a face may be matched")
    click.echo()
    if found.largest:
        header = ("with most faces", "id", "faces", "photos")
        print_table(header, [(display(p.label), ids.person(p.id), p.n_faces, p.n_photos) for p in found.largest])
        click.echo()
    if found.engines:
        engines = [
            (e.name, "yes" if e.is_in_use else "", e.n_dims, e.n_photos, e.n_vectors, f"{e.n_bytes / 1e6:.1f}")
            for e in found.engines
        ]
        print_table(("engine", "in use", "dimensions", "photos", "vectors", "MB"), engines)


def _listed(counts: dict[str, int], words: dict[str, str]) -> str:
    """Return ": 3 by you, 4 matched"."""
    said = [f"{n} {words[key]}" for key, n in sorted(counts.items(), key=lambda item: -item[1]) if key in words]
    return ": " + ", ".join(said) if said else ""


def _row(name: str, spread: Spread) -> tuple[object, ...]:
    return name, *("-" if v is None else _short(v) for v in (spread.p5, spread.median, spread.p95)), spread.n


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or value == round(value) else f"{value:.3f}"
