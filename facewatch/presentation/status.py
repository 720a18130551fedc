"""The page of the status: what runs and how far it is, and what is said of work that the page starts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from facewatch.presentation.reports import doing_now, queue, status_facts, status_remarks
from facewatch.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facewatch.fs.locks import Holder
    from facewatch.heartbeat import Heartbeat
    from facewatch.reports.status import Counts, FaultGroup, Status

WATCHED = "the watcher is running: what is new is found without a scan"
SCANNING_ALREADY = "a scan that was started here is running already; wait for it, or stop it"
ENDED = "it was ended before it was done, perhaps because memory is short"
STARTED = "The scan has begun"
STOPPING = "The scan ends after the photos that it has begun"
TOO_MANY_STREAMS = "too many browsers follow what changes; close some"


def scan_ended(code: int, said: str) -> str:
    """Return why a scan failed, by its exit code and what it wrote; "": it did not."""
    if code in (0, 130, -15):
        return ""
    return said.strip().rpartition("\n")[2].removeprefix("facewatch: ") or f"the scan ended with exit code {code}"


def busy_on_page(runner: Holder) -> str:
    """Return why no scan can be started while this process runs."""
    return WATCHED if runner.is_watcher else f"a {runner} is running already; wait for it"


def heartbeat_row(runner: Holder | None, live: Heartbeat | None) -> dict[str, Any]:
    """Return what runs and how far it is, as JSON has it; all of it is null or 0 where nothing runs."""
    backlog = live.backlog if live else None
    return {
        "runner": str(runner) if runner else None,
        "doing": live.doing if live else None,
        "told_at": live.told_at if live else None,
        "n_waiting": backlog.n_waiting + backlog.n_settling if backlog else 0,
        "n_done": backlog.n_done if backlog else 0,
        "photos_per_second": backlog.photos_per_second if backlog else 0.0,
        "eta_seconds": backlog.eta_seconds if backlog else None,
    }


@dataclass(frozen=True, slots=True)
class Amount:
    """How much of something is done."""

    done: int
    total: int
    text: str


@dataclass(frozen=True, slots=True)
class Total:
    """How many there are of something, with the page that shows them."""

    n: int
    what: str
    note: str
    href: str


@dataclass(frozen=True, slots=True)
class StatusPage:
    """What the page of the status shows."""

    is_running: bool
    runner: str
    """What runs now."""
    doing: str
    """What it does; "": nothing runs, or it does not say."""
    queue: Amount | None
    """How far it is; None: nothing waits."""
    switch: Amount | None
    """How far the change to another engine is; None: there is none."""
    totals: tuple[Total, ...]
    remarks: tuple[str, ...]
    """What is not as it should be, or under way."""
    faults: tuple[FaultGroup, ...]
    n_faulty: int
    facts: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """Facts with their names, under headings."""


_RUNNERS = {"watch": "The watcher is running", "scan": "A scan is running"}


def status_page(current: Status, now: datetime, *, begun_at: datetime | None = None) -> StatusPage:
    """Return what the page shows; `begun_at`: when a scan began that was started there and has not ended."""
    health, switch = current.health, current.engine.switch
    live, runner = health.live, health.runner
    return StatusPage(
        is_running=runner is not None,
        runner=_RUNNERS.get(runner.purpose, str(runner)) if runner else _beside_its_work(current.last_scan, begun_at),
        doing=doing_now(live, now) if live else "",
        queue=_queue_of(live) if live else None,
        switch=Amount(switch.n_done, switch.n_photos, f"from {switch.before} to {switch.wanted}") if switch else None,
        totals=tuple(_totals(current.counts)),
        remarks=tuple(status_remarks(current)),
        faults=current.fault_groups,
        n_faulty=len(current.faults),
        facts=tuple(_grouped_facts(current, now)),
    )


def _beside_its_work(last_scan: str | None, begun_at: datetime | None) -> str:
    """Return what a scan does before it looks at photos, or behind that; the catalog knows seconds."""
    if begun_at is None:
        return "Nothing runs now"
    has_looked = last_scan is not None and datetime.fromisoformat(last_scan) >= begun_at.replace(microsecond=0)
    return "The scan is ending" if has_looked else "The scan is starting"


def _queue_of(live: Heartbeat) -> Amount | None:
    backlog, text = live.backlog, queue(live)
    return Amount(backlog.n_done, backlog.n_done + backlog.n_waiting + backlog.n_settling, text) if text else None


def _totals(counts: Counts) -> Iterator[Total]:
    yield Total(counts.n_photos, "photos", f"in {plural(counts.n_files, 'file')}", "/photos")
    yield Total(counts.n_faces, "faces", f"{counts.n_assigned:,} belong to somebody", "/stats")
    yield Total(counts.n_people, "people", f"{counts.n_named:,} with a name", "/")
    yield Total(counts.n_pool, "unassigned faces", f"{counts.n_only_shown:,} more are too poor to recognise", "/pool")


_HEADINGS = {
    "Library": (
        "photos",
        "people folder",
        "last scan",
        "scanned",
        "passed over",
        "written",
        "names in files",
        "paused",
    ),
    "Catalog and backups": ("catalog", "disk", "last backup", "settings"),
    "Engine and versions": ("engine", "runtime", "memory", "versions"),
}
"""Where each fact stands."""


def _grouped_facts(current: Status, now: datetime) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    versions = ", ".join(f"{name} {version}" for name, version in current.versions.items())
    facts = [*status_facts(current, now), ("versions", versions)]
    for heading, names in _HEADINGS.items():
        own = [fact for name in names for fact in facts if fact[0] == name]
        yield heading, tuple(own)
