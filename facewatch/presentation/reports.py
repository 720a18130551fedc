"""Status and statistics as JSON rows; the keys are a promise."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facewatch.reports.stats import Stats
    from facewatch.reports.status import Status


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
        "runner": health.runner,
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


def stats_row(stats: Stats) -> dict[str, Any]:
    """Return the statistics as `stats --json` prints them."""
    row, counts = asdict(stats), stats.counts
    row["counts"] = asdict(counts) | row.pop("shares") | {"n_unnamed": counts.n_unnamed}
    for key in ("n_people", "n_named", "n_unnamed", "n_hidden", "n_absent"):
        row["counts"][key] = row["counts"].pop(key)
    return row
