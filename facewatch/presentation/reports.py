"""Scans, status and statistics in sentences, tables and JSON rows, whose keys are a promise."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from facewatch import ids
from facewatch.catalog import display
from facewatch.folders.model import CALLED
from facewatch.heartbeat import Activity
from facewatch.models.packs import megabytes
from facewatch.presentation import local_time
from facewatch.presentation.from_folder import waiting
from facewatch.presentation.regions import sidecar_row, written
from facewatch.reports.evaluation import NoEvaluation
from facewatch.text import plural, printable

if TYPE_CHECKING:
    from facewatch.catalog import Pause
    from facewatch.folders.restore import TakenOver
    from facewatch.fs.locks import Holder
    from facewatch.heartbeat import Heartbeat
    from facewatch.pipeline import FaceCounts, ScanResult
    from facewatch.reports.stats import Spread, Stats
    from facewatch.reports.status import Counts, Status
    from facewatch.types import PassedOver

_MOST_UNREAD = 10
"""Folders that cannot be read and are listed one by one."""
_MOST_RULES = 4
"""Reasons to pass something over that are listed without --all."""

NO_EVALUATION = {
    NoEvaluation.NOT_MADE: "no evaluation has been made yet",
    NoEvaluation.DAMAGED: "the newest evaluation cannot be read any more; the next one takes its place",
    NoEvaluation.OTHER_VERSION: "the newest evaluation was made by another version; the next one takes its place",
}

# --- a scan ---


def scan_lines(result: ScanResult, status: Status, *, n_followed: int = 0) -> Iterator[str]:
    """Yield what a scan did; `n_followed`: how many decisions it made of what somebody did in the people folder."""
    files = result.files
    yield from (f"{old}: was moved to {new}" for old, new in result.libraries_moved.items())
    yield (
        f"{plural(files.n_files, 'file')} scanned in {result.seconds:.1f} s: {files.n_new} new, "
        f"{files.n_known - files.n_same} copied, {files.n_moved} moved, {files.n_missing} gone, "
        f"{files.n_faulty} faulty" + (f", {files.n_other} no photos" if files.n_other else "")
    )
    yield _found_in(result.faces)
    links = f"{plural(result.n_links_made, 'link')} made, {result.n_links_removed} removed"
    if result.n_links_moved:
        links += f", {plural(result.n_links_moved, 'link or folder', 'links or folders')} moved"
    if n_followed:
        links += f", {plural(n_followed, 'change')} of yours followed"
    yield f"{status.paths.people_folder}: {links}"
    if files.n_again:
        yield f"{plural(files.n_again, 'photo')} analysed again"
    if result.engine_before == result.engine:
        yield f"{result.engine} sees faces in a new way now; names and decisions stay"
    elif result.engine_before:
        yield f"{result.engine} is in use now; until now it was {result.engine_before}"
    elif status.engine.switch:
        yield f"{result.engine} has more photos to analyse: facewatch status"
    if status.faults:
        yield f"{plural(len(status.faults), 'file')} could not be used: facewatch status lists why"


def _found_in(faces: FaceCounts) -> str:
    """Return what became of the faces that came, and of those that were there."""
    new = f"{plural(faces.n_faces, 'new face')}: {faces.n_new_assigned} assigned" if faces.n_faces else "no new faces"
    before = f", {plural(faces.n_earlier_assigned, 'earlier face')} assigned" if faces.n_earlier_assigned else ""
    return f"{new}{before}, {plural(faces.n_new_people, 'new person', 'new people')}"


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
    paths, engine, health = status.paths, status.engine, status.health
    return {
        "settings": paths.settings,
        "catalog": paths.catalog,
        "people_folder": paths.people_folder,
        "links": paths.links,
        "photos": paths.photos,
        "engine": engine.in_use,
        "engine_fault": engine.fault,
        "engine_runtime": engine.runtime or None,
        "switch": asdict(engine.switch) if engine.switch else None,
        "aligned": paths.aligned,
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
        "people_folder_waiting": waiting(health.folder_edits) if health.folder_edits else None,
        "sidecars": sidecar_row(status.sidecars) if status.sidecars else None,
        "name_conflicts": status.n_conflicts,
        "graph_recall": status.graph_recall,
        "disks": [asdict(place) for place in health.disks],
        "versions": dict(status.versions),
    }


def status_lines(current: Status, now: datetime, *, is_all: bool = False) -> list[str]:
    """Return the status line by line; with `is_all` the files that could not be used are listed elsewhere."""
    lines = [f"{name:>14}  {printable(fact)}" for name, fact in status_facts(current, now)]
    lines += [printable(remark) for remark in status_remarks(current)]
    if current.faults:
        why = "" if is_all else " (--all lists every one); why, and what to do"
        lines += ["", f"{plural(len(current.faults), 'file')} could not be used{why}:"]
    return lines if is_all else [*lines, *_fault_lines(current)]


def status_facts(current: Status, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield what the status says, each with its name."""
    paths, health, counts = current.paths, current.health, current.counts
    live = health.live
    yield "settings", paths.settings
    yield "photos", ", ".join(paths.photos) or "none yet: facewatch scan PHOTOS"
    yield "people folder", paths.people_folder + ("" if paths.links == "symlink" else f" ({CALLED[paths.links]})")
    yield "catalog", paths.catalog
    yield "engine", current.engine.in_use
    if current.engine.runtime:
        yield "runtime", current.engine.runtime
    doing = doing_now(live, now) if live else ""
    yield "running", ": ".join(filter(None, (str(health.runner or "nothing"), doing)))
    if live and (waiting := queue(live)):
        yield "queue", waiting
    if live and live.memory_mb:
        yield "memory", f"{live.memory_mb:.0f} MB"
    if health.paused:
        yield "paused", f"since {local_time(health.paused)}: no new photos are analysed until `facewatch resume`"
    yield "last scan", local_time(current.last_scan) if current.last_scan else "never"
    for root, moment in live.libraries.listed("last_look").items() if live else ():
        yield "scanned", f"{local_time(moment)}: {root}" if moment else root
    if health.last_backup:
        yield "last backup", f"{local_time(health.last_backup)}: {health.backup_file}"
    for place in health.disks:
        room = f", {megabytes(place.free_bytes)} free" if place.free_bytes is not None else ""
        yield "disk", f"{place.what}: {megabytes(place.n_bytes)}{room} ({place.path})"
    yield "holds", f"{plural(counts.n_photos, 'photo')} in {plural(counts.n_files, 'file')}"
    if current.passed_over:
        yield "passed over", _passed_over(current.passed_over)
    yield from _count_facts(counts)
    if current.sidecars:
        yield "written", written(current.sidecars)
    if current.n_conflicts != 0:
        yield "names in files", _in_doubt(current.n_conflicts)
    if current.graph_recall < 1:
        found = f"{100 * current.graph_recall:.1f} %"
        yield "neighbours", f"{found} of the near ones known, by a sample: so many faces are not all compared"


def _in_doubt(n_conflicts: int | None) -> str:
    if n_conflicts is None:
        return "`facewatch regions --conflicts` lists those that are in doubt"
    return f"{plural(n_conflicts, 'name')} in doubt and not taken over; `facewatch regions --conflicts` lists them"


def _count_facts(counts: Counts) -> Iterator[tuple[str, str]]:
    left_out = f", {counts.n_left_out} taken out by you" if counts.n_left_out else ""
    yield (
        "faces",
        f"{counts.n_faces}: {counts.n_assigned} belong to somebody, {counts.n_pool} to nobody yet, "
        f"{counts.n_only_shown} too poor to recognise{left_out}",
    )
    hidden = f", {counts.n_hidden} hidden" if counts.n_hidden else ""
    absent = f"; {counts.n_absent} more with a name on no photo now" if counts.n_absent else ""
    yield "people", f"{counts.n_people}, {counts.n_named} of them named{hidden}{absent}"
    if counts.n_open:
        n_unnamed = counts.n_open - counts.n_pool
        yield (
            "open",
            f"{plural(counts.n_open, 'face')}: {n_unnamed} of people without a name, {counts.n_pool} of nobody yet; "
            "`facewatch review` asks who they are",
        )


def _passed_over(passed: Sequence[PassedOver]) -> str:
    n_folders, n_files = sum(one.n_folders for one in passed), sum(one.n_files for one in passed)
    counts = [plural(n, what) for n, what in ((n_folders, "folder"), (n_files, "file")) if n]
    rules = [f"{one.rule} {one.n_folders + one.n_files}" for one in passed[:_MOST_RULES]]
    n_more = len(passed) - _MOST_RULES
    more = f"; {plural(n_more, 'more reason')} (--all)" if n_more > 0 else ""
    return f"{' and '.join(counts)}: {'; '.join(rules)}{more}"


def status_remarks(current: Status) -> Iterator[str]:
    """Yield what is out of the ordinary, with what to do."""
    health, switch = current.health, current.engine.switch
    if switch:
        yield (
            f"changing to {switch.wanted}: {switch.n_done} of {plural(switch.n_photos, 'photo')} analysed; until it "
            f"is complete, what {switch.before} found stands. `facewatch scan` or `watch` carries on"
        )
    if current.engine.fault:
        yield f"cannot analyse photos: {current.engine.fault}"
    for root in current.paths.aligned:
        yield f"face crops: {root}: nothing is detected there; scan {root} --no-aligned changes that"
    for root, reason in health.offline.items():
        yield f"offline: {root}: {reason} (nothing of it was removed)"
    unread = {path: why for path, why in current.unread.items() if not _is_among(path, health.offline)}
    for path, reason in list(unread.items())[:_MOST_UNREAD]:
        yield f"cannot be read: {path}: {reason}; make it readable: nothing of it was removed"
    if len(unread) > _MOST_UNREAD:
        yield f"and {len(unread) - _MOST_UNREAD} more that cannot be read; `facewatch status --json` names all"
    if health.people_folder_fault:
        yield health.people_folder_fault
    elif health.folder_edits:
        yield waiting(health.folder_edits)
    for path, reason in health.live.libraries.listed("polled").items() if health.live else ():
        # Why one that is offline sends no events is shown already.
        if path not in health.offline:
            yield f"scanned again and again: {path}{f': {reason}' if reason else ''}"


def _is_among(path: str, places: Collection[str]) -> bool:
    return any(path.startswith(f"{place}/") for place in places)


def _fault_lines(current: Status) -> Iterator[str]:
    for group in current.fault_groups:
        yield f"{group.n_files:>6}  {printable(group.cause)}: {printable(group.advice)}"
        yield from (f"{'':8}{printable(path)}" for path in group.examples)
        if group.n_files > len(group.examples):
            yield f"{'':8}and {group.n_files - len(group.examples)} more"


# --- the process that scans or watches ---


def watched(runner: Holder, live: Heartbeat, now: datetime) -> str:
    """Describe what a watcher that reports is doing."""
    return f"{runner}: {printable(live.doing)} (reported {_duration(live.age_seconds(now))} ago)"


def not_watched(runner: Holder | None, live: Heartbeat | None) -> str:
    """Say that nobody watches, or that the watcher has stopped reporting."""
    return f"{runner}: it says nothing{_silence(live)}" if runner else "nobody watches"


def busy(runner: Holder, live: Heartbeat | None, unknown: Sequence[str], now: datetime) -> str:
    """Return what to say to somebody who wants to scan or watch while this process does.

    Args:
        unknown: options and libraries that were asked for, and that a watcher may know nothing of.
    """
    process = "" if runner.pid is None else f" (process {runner.pid})"
    far = _how_far(live, now)
    if not runner.is_watcher:
        wait = "Wait for it; the same command then scans the rest"
        return f"a {runner.purpose} is running already{process}: {far}. {wait}"
    if unknown:
        return (
            f"the watcher{process} is running ({far}) and was started without {', '.join(unknown)}: put it into its "
            "settings, or stop the watcher (Ctrl-C, or `facewatch service uninstall`), scan, and start it again"
        )
    if live and live.activity is Activity.PAUSED:
        return f"the watcher{process} is running, and paused: `facewatch resume` lets it continue"
    return (
        f"the watcher{process} does just that: {far}. What is new is found without a scan; `facewatch status --watch` "
        "shows how far it is"
    )


def _how_far(live: Heartbeat | None, now: datetime) -> str:
    if live is None:
        return "running"
    doing, waiting = doing_now(live, now), queue(live)
    if live.activity is Activity.IDLE and live.is_fresh(now):
        doing = "" if waiting else "there is nothing to do at the moment"
    return "; ".join(filter(None, (doing, waiting))) or "running"


def doing_now(live: Heartbeat, now: datetime) -> str:
    """Return what a scan or watcher does, or that it says nothing."""
    if live.is_fresh(now):
        return live.doing
    return f"says nothing{_silence(live)}; if it stays so, stop it and start it again"


def _silence(live: Heartbeat | None) -> str:
    return f" since {local_time(live.told_at)}" if live else ""


def queue(live: Heartbeat) -> str:
    """Return what waits; "": nothing does."""
    backlog = live.backlog
    n_files = backlog.n_waiting + backlog.n_settling
    if not n_files:
        return ""
    if live.activity.is_resting:
        return f"{n_files} {'waits' if n_files == 1 else 'wait'}"
    pace = f"; {backlog.photos_per_second:.1f} a second" if backlog.photos_per_second else ""
    left = f", about {_duration(backlog.eta_seconds)} left" if backlog.eta_seconds is not None else ""
    settling = f", {backlog.n_settling} may still be written to" if backlog.n_settling else ""
    return f"{plural(backlog.n_waiting, 'file')} to analyse, {backlog.n_done} done{settling}{pace}{left}"


def _duration(seconds: float) -> str:
    """Return how long that is, to a precision that nobody takes for a promise."""
    if seconds < 90:
        return plural(max(1, math.ceil(seconds)), "second")
    if seconds < 90 * 60:
        return plural(round(seconds / 60), "minute")
    if seconds < 48 * 3600:
        return plural(round(seconds / 3600), "hour")
    return plural(round(seconds / 86400), "day")


def paused(result: Pause) -> str:
    already = " already" if result.was_paused else ""
    return (
        f"paused{already}, since {local_time(result.since)}: the watcher analyses no new photos until "
        "`facewatch resume`; naming and correcting go on"
    )


def resumed(result: Pause, *, is_watched: bool) -> str:
    if not result.was_paused:
        return "was not paused"
    now = "what came meanwhile is analysed now" if is_watched else "nobody watches now: facewatch watch"
    return f"resumed: it was paused since {local_time(result.since)}; {now}"


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
    yield "unassigned", f"{counts.n_pool}, and {counts.n_only_shown} too poor to recognise"
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
