"""The status as metrics in Prometheus' text format, for a textfile collector or a scrape through a small server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from facewatch.text import whole_text

if TYPE_CHECKING:
    from facewatch.reports.status import Status

Labels = dict[str, str]


class Metric(NamedTuple):
    """One gauge with its samples; without samples it is left out."""

    name: str
    """Without the prefix."""
    help: str
    samples: list[tuple[Labels, float]]


def exposition(status: Status, now: datetime) -> str:
    """Return the text: HELP, TYPE and samples of every metric. The names are a promise. `now` is aware."""
    return "".join(line for metric in _metrics(status, now) if metric.samples for line in _lines(metric))


def _metrics(status: Status, now: datetime) -> Iterator[Metric]:
    counts, health, paths = status.counts, status.health, status.paths
    live = health.live
    is_up = live is not None and live.is_fresh(now)
    yield _one("up", "Whether a scan or watcher is at work and has said so lately.", is_up)
    yield _one("paused", "Whether a watcher may not look at photos.", health.paused is not None)
    yield _one("files", "Files on record.", counts.n_files)
    yield _one("photos", "Different photos.", counts.n_photos)
    faces = {
        "assigned": counts.n_assigned,
        "pool": counts.n_pool,
        "only_shown": counts.n_only_shown,
        "left_out": counts.n_left_out,
    }
    yield _by("faces", "Faces, by what became of them.", "state", faces.items())
    people = {"true": counts.n_named, "false": counts.n_people - counts.n_named}
    yield _by("people", "People, by whether they have a name.", "named", people.items())
    causes = [(group.cause, group.n_files) for group in status.fault_groups]
    yield _by("faulty_files", "Files that could not be used.", "cause", causes)
    online = [(root, root not in health.offline) for root in dict.fromkeys((*paths.photos, *health.offline))]
    yield _by(
        "library_online",
        "Whether a library, or a folder of one that another drive was mounted on, is there.",
        "root",
        online,
    )
    unread = [(root, sum(f"{path}/".startswith(f"{root}/") for path in status.unread)) for root in paths.photos]
    yield _by("unread_places", "Folders, and files, that could not be read at the last look.", "root", unread)
    yield _one(
        "people_folder_usable",
        "Whether the people folder is there, and this catalog's.",
        not health.people_folder_fault,
    )
    if live is not None:
        queue = {"settling": live.backlog.n_settling, "waiting": live.backlog.n_waiting}
        yield _by("queue", "Files heard of and not looked at yet.", "state", queue.items())
        yield _one(
            "photos_per_second", "Photos looked at a second, over the last minute.", live.backlog.photos_per_second
        )
        yield _one("memory_bytes", "Resident memory of the process and its workers.", live.memory_mb * 1e6)
        yield _one("last_heartbeat_timestamp_seconds", "When it last said something.", *_moments(live.told_at))
        scans = [(root, at) for root, text in live.libraries.last_look.items() for at in _moments(text)]
        yield _by(
            "last_look_timestamp_seconds",
            "When a library was last compared with the catalog as a whole.",
            "root",
            scans,
        )
        polled = [(path, 1.0) for path in live.libraries.polled]
        yield _by("polled", "Folders that are looked at again and again instead of listened to.", "path", polled)
    yield _one(
        "last_scan_timestamp_seconds",
        "When the latest scan or watcher ended; while it has not, when it began.",
        *_moments(status.last_scan),
    )
    yield _one(
        "last_backup_timestamp_seconds", "When the newest daily backup was written.", *_moments(health.last_backup)
    )
    switch = status.engine.switch
    if switch is not None:
        photos = {"looked_at": switch.n_done, "waiting": switch.n_photos - switch.n_done}
        engines = {"before": switch.before, "wanted": switch.wanted}
        samples = [(engines | {"state": state}, float(n)) for state, n in photos.items()]
        yield Metric("engine_switch_photos", "Photos of a change of engine that is under way.", samples)


def _one(name: str, help: str, *values: float) -> Metric:
    return Metric(name, help, [({}, float(value)) for value in values])


def _by(name: str, help: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    # Two names that differ only in bytes that are no text would be one sample twice, which makes all of it unreadable.
    return Metric(
        name, help, [({label: key}, float(value)) for key, value in {whole_text(k): v for k, v in values}.items()]
    )


def _moments(text: str | None) -> list[float]:
    """Return the seconds since 1970 of a moment, or nothing when there is none."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return []
    return [(moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()]


def _lines(metric: Metric) -> Iterator[str]:
    name = f"facewatch_{metric.name}"
    yield f"# HELP {name} {metric.help}\n# TYPE {name} gauge\n"
    for labels, value in metric.samples:
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        # As the shortest text that is the same number; a count has no ".0".
        number = str(int(value)) if value.is_integer() else repr(value)
        yield f"{name}{{{inside}}} {number}\n" if inside else f"{name} {number}\n"


def _escaped(text: str) -> str:
    return whole_text(text).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
