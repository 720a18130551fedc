"""The page of the status: what runs and how far it is, and what is said of work that the page starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from facewatch.presentation.reports import doing_now, status_facts, status_remarks

if TYPE_CHECKING:
    from datetime import datetime

    from facewatch.fs.locks import Holder
    from facewatch.heartbeat import Heartbeat
    from facewatch.reports.status import FaultGroup, Status

SCANNING_ALREADY = "a scan that was started here is running already; wait for it, or stop it"
STARTED = "the scan has begun"
STOPPING = "the scan ends after the photos that it has begun"
TOO_MANY_STREAMS = "too many browsers follow what changes; close some"


def scan_ended(code: int, said: str) -> str:
    """Return why a scan failed, by its exit code and what it wrote; "": it did not."""
    if code in (0, 130, -15):
        return ""
    return said.strip().rpartition("\n")[2] or f"the scan ended with exit code {code}"


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
class StatusPage:
    """What the page of the status shows."""

    doing: str
    """What runs now, and how far it is."""
    facts: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]
    """What is not as it should be, or under way."""
    faults: tuple[FaultGroup, ...]
    is_running: bool


def status_page(current: Status, now: datetime) -> StatusPage:
    live, runner = current.health.live, current.health.runner
    doing = f"{runner}: {doing_now(live, now)}" if live and runner else str(runner or "nobody scans or watches now")
    return StatusPage(
        doing,
        facts=tuple((name, value) for name, value in status_facts(current, now) if name != "running"),
        remarks=tuple(status_remarks(current)),
        faults=tuple(current.fault_groups),
        is_running=runner is not None,
    )
