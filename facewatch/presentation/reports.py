"""Scans, status and statistics in sentences, tables and JSON rows, whose keys are a promise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from facewatch import ids
from facewatch.catalog import display
from facewatch.text import plural

if TYPE_CHECKING:
    from facewatch.folders.taking_over import TakenOver
    from facewatch.people.identities import Reclustered
    from facewatch.pipeline import FaceCounts, ScanResult
    from facewatch.reports.stats import Spread, Stats
    from facewatch.reports.status import Status

# --- a scan ---


def scan_lines(result: ScanResult, status: Status) -> Iterator[str]:
    """Yield what a scan did."""
    files = result.files
    yield from (f"{old}: was moved to {new}" for old, new in result.libraries_moved.items())
    yield (
        f"{plural(files.n_files, 'file')} looked at in {result.seconds:.1f} s: {files.n_new} new, "
        f"{files.n_known - files.n_same} copied, {files.n_moved} moved, {files.n_missing} gone, "
        f"{files.n_faulty} faulty" + (f", {files.n_other} no photos" if files.n_other else "")
    )
    yield _found_in(result.faces)
    links = f"{plural(result.n_links_made, 'link')} made, {result.n_links_removed} removed"
    yield f"{status.places.people_folder}: {links}"
    if files.n_again:
        yield f"{plural(files.n_again, 'photo')} analysed again"
    if result.engine_before == result.engine:
        yield f"{result.engine} sees faces in a new way now; names and decisions stay"
    elif result.engine_before:
        yield f"{result.engine} is in use now; until now it was {result.engine_before}"
    elif status.engine.switch:
        yield f"{result.engine} has more to look at: facewatch status"
    if status.faults:
        yield f"{plural(len(status.faults), 'file')} could not be used: facewatch status lists why"


def _found_in(faces: FaceCounts) -> str:
    """Return what became of the faces that came, and of those that were there."""
    new = f"{plural(faces.n_faces, 'new face')}: {faces.n_placed} placed" if faces.n_faces else "no new faces"
    before = f", {plural(faces.n_placed_before, 'earlier face')} placed" if faces.n_placed_before else ""
    return f"{new}{before}, {plural(faces.n_new_people, 'new person', 'new people')}"


def reclustered(done: Reclustered, *, is_dry_run: bool) -> str:
    would = "would be " if is_dry_run else ""
    return (
        f"{plural(done.n_pool, 'face')} belonged to nobody: {done.n_matched} {would}matched to known people, "
        f"{done.n_grouped} {would}grouped; {plural(done.n_new_people, 'new person', 'new people')}, "
        f"{done.n_joined_people} {would}joined to another"
    )


# --- the people folder ---


def taken_over(taken: TakenOver) -> Iterator[str]:
    """Yield what was taken over from another catalog."""
    yield f"taken over: {plural(taken.n_links, 'link')}"
    if taken.names:
        yield f"the same people get these names, at once or after the next scan: {', '.join(taken.names)}"
    yield from (f"{folder}: stays as it is, for what else it holds" for folder in taken.left)


# --- the status ---


def status_row(status: Status) -> dict[str, Any]:
    """Return the status as `status --json` prints it."""
    places, engine, health = status.places, status.engine, status.health
    return {
        "settings": places.settings,
        "catalog": places.catalog,
        "people_folder": places.people_folder,
        "photos": places.photos,
        "engine": engine.in_use,
        "engine_fault": engine.fault,
        "switch": asdict(engine.switch) if engine.switch else None,
        "aligned": places.aligned,
        "runner": str(health.runner) if health.runner else None,
        **asdict(status.counts),
        "last_scan": status.last_scan,
        "offline": list(health.offline),
        "faults": [{"path": one.path, "fault": one.fault.text, "advice": one.fault.advice} for one in status.faults],
        "fault_groups": [asdict(group) for group in status.fault_groups],
        "passed_over": [asdict(one) for one in status.passed_over],
        "live": health.live.as_json() if health.live else None,
        "offline_reasons": dict(health.offline),
        "paused": health.paused,
        "last_backup": health.last_backup,
        "backup_file": health.backup_file,
        "unread": dict(status.unread),
        "people_folder_fault": health.people_folder_fault,
    }


# --- statistics ---


def stats_row(stats: Stats) -> dict[str, Any]:
    """Return the statistics as `stats --json` prints them."""
    row, counts = asdict(stats), stats.counts
    row["counts"] = asdict(counts) | row.pop("shares") | {"n_unnamed": counts.n_unnamed}
    for key in ("n_people", "n_named", "n_unnamed", "n_hidden", "n_absent"):
        row["counts"][key] = row["counts"].pop(key)
    return row


_SOURCES = {"user": "by you", "auto": "matched", "cluster": "grouped", "import": "imported", "folder": "by folder"}
_MARKS = {"nobody": "assigned to nobody by you", "forgotten": "forgotten"}


def stats_facts(stats: Stats) -> Iterator[tuple[str, str]]:
    """Yield what is counted, each with its name."""
    counts, tiers, marks = stats.counts, stats.shares.tiers, stats.shares.marks
    n_no_face = marks.get("not_a_face", 0)
    yield "catalog", f"{display(stats.catalog)}, {stats.n_bytes / 1e6:.1f} MB"
    yield "photos", f"{counts.n_photos} in {plural(counts.n_files, 'file')}"
    yield (
        "faces",
        f"{counts.n_faces}: {tiers.get('found', 0)} good, {tiers.get('match', 0)} fair, "
        f"{tiers.get('show', 0)} too poor to be matched",
    )
    yield "assigned", f"{counts.n_assigned}{_listed(stats.shares.sources, _SOURCES)}"
    yield "unassigned", f"{counts.n_pool}, and {counts.n_only_shown} too poor to tell"
    no_faces = f"; and {n_no_face} that are no faces" if n_no_face else ""
    yield "taken out", f"{counts.n_left_out}{_listed(marks, _MARKS)}{no_faces}"
    n_unnamed = counts.n_open - counts.n_pool
    yield "open", f"{counts.n_open}: {n_unnamed} of people without a name, {counts.n_pool} unassigned"
    absent = f"; {counts.n_absent} more with a name on no photo now" if counts.n_absent else ""
    named = f"{counts.n_named} named, {counts.n_unnamed} not; {counts.n_hidden} hidden"
    yield "people", f"{counts.n_people}: {named}{absent}"


def _listed(counts: Mapping[str, int], words: Mapping[str, str]) -> str:
    """Return ": 3 by you, 4 matched"."""
    said = [f"{n} {words[key]}" for key, n in sorted(counts.items(), key=lambda item: -item[1]) if key in words]
    return ": " + ", ".join(said) if said else ""


SPREADS_HEADER = ("", "5th percentile", "median", "95th percentile", "measured")
LARGEST_HEADER = ("with most faces", "id", "faces", "photos")
VECTORS_HEADER = ("engine", "in use", "dimensions", "photos", "vectors", "MB")


def spread_cells(stats: Stats) -> list[tuple[object, ...]]:
    """Return a row for each thing that is measured."""
    quality, distances = stats.quality, stats.distances
    spreads = {
        "faces per person": stats.sizes,
        "quality (0 to 1)": quality.score,
        "size in pixels": quality.pixels,
        "sharpness": quality.sharpness,
        "pose (1: a profile)": quality.pose,
    }
    if distances:
        spreads |= {
            "distance to own": distances.own,
            "to own centroid": distances.centroid,
            "distance to others": distances.other,
        }
    return [(name, *_percentiles(spread), spread.n) for name, spread in spreads.items()]


def _percentiles(spread: Spread) -> list[str]:
    return ["-" if value is None else _short(value) for value in (spread.p5, spread.median, spread.p95)]


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or value == round(value) else f"{value:.3f}"


def close_pairs(stats: Stats) -> str | None:
    """Return how many people come near each other; None: that was not measured."""
    if not stats.distances or stats.distances.n_close_pairs is None:
        return None
    n, match = stats.distances.n_close_pairs, stats.distances.match
    are = "pairs of people have" if n != 1 else "pair of people has"
    return f"{n} {are} faces nearer to each other than {match:.3f}, within which a face may be matched"


def largest_cells(stats: Stats) -> list[tuple[object, ...]]:
    return [(display(one.label), ids.person(one.id), one.n_faces, one.n_photos) for one in stats.largest]


def vectors_cells(stats: Stats) -> list[tuple[object, ...]]:
    """Return a row for each engine."""
    return [
        (e.name, "yes" if e.is_in_use else "", e.n_dims, e.n_photos, e.n_vectors, f"{e.n_bytes / 1e6:.1f}")
        for e in stats.engines
    ]
