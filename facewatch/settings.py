"""Converts the settings into the values that the parts take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facewatch.clustering import TUNABLE
from facewatch.config import SETTINGS, Config, changed, names_together
from facewatch.cores import available_cores
from facewatch.engines.options import OPTIONS, EngineOptions
from facewatch.errors import ConfigError
from facewatch.fs.mounts import is_folder
from facewatch.indexing.engine import EngineSettings

if TYPE_CHECKING:
    from facewatch.catalog.metadata import MetadataKind
    from facewatch.folders.model import Shape
    from facewatch.indexing.cluster import ClusterSettings
    from facewatch.library.scan import Rules
    from facewatch.matching import MatchSettings
    from facewatch.people.grouping import GroupingSettings
    from facewatch.people.sidecar_targets import SidecarSettings
    from facewatch.watcher.schedule import WatchSettings

# What is converted into is imported where it is asked for: no command takes all of it.


def engine_settings_of(config: Config) -> EngineSettings:
    return EngineSettings(
        name=config["engine.name"],
        options=EngineOptions(
            **{option.name: config[f"engine.{option.name}"] for option in OPTIONS},
            n_threads=max(1, available_cores() // n_workers_of(config)),
        ),
        max_pixels=int(config["library.max_megapixels"] * 1_000_000),
        min_face_pixels=config["match.min_face_pixels"],
        min_sharpness=config["match.min_sharpness"],
        min_confidence=config["match.min_face_confidence"],
        is_normalised=config["match.normalised"],
        strictness=config["match.strictness"],
    )


def cluster_settings_of(config: Config) -> ClusterSettings | None:
    """Return how photos are analysed on other machines; None: they are analysed here."""
    if not config["ray.address"]:
        return None
    from facewatch.indexing.cluster import ClusterSettings

    pairs = [pair.split("=") for pair in config["ray.paths"]]
    return ClusterSettings(
        address=config["ray.address"],
        is_shipped=config["ray.photos"] == "shipped",
        paths={here.rstrip("/"): there.rstrip("/") for here, there in pairs},
        n_local=n_workers_of(config),
    )


def match_settings_of(config: Config) -> MatchSettings:
    from facewatch.matching import Aggregation, MatchSettings

    return MatchSettings(
        shortlist=config["match.shortlist"],
        strictness=config["match.strictness"],
        aggregation=Aggregation(config["match.aggregation"]),
    )


def grouping_settings_of(config: Config) -> GroupingSettings:
    from facewatch.people.grouping import GroupingSettings

    return GroupingSettings(
        strictness=config["match.strictness"],
        is_normalised=config["match.normalised"],
        method=config["cluster.method"],
        k_reciprocal=config["cluster.k_reciprocal"],
        verification_threshold=config["cluster.verification_threshold"],
        n_clusters=config["cluster.n_clusters"],
        min_faces=config["cluster.min_faces"],
        eps=config["cluster.eps"],
        min_samples=config["cluster.min_samples"],
    )


RECLUSTER = {
    "method": "cluster.method",
    "strictness": "match.strictness",
    "min_faces": "cluster.min_faces",
    "eps": "cluster.eps",
    "min_samples": "cluster.min_samples",
    "k_reciprocal": "cluster.k_reciprocal",
    "verification_threshold": "cluster.verification_threshold",
    "n_clusters": "cluster.n_clusters",
}
"""What may be set for one recluster, and which setting it stands in for. What a method does not take is refused."""


def with_recluster(config: Config, given: Mapping[str, Any], *, source: str) -> Config:
    """Return the settings with what was given for one recluster, by the names in `RECLUSTER`; None: as it is set.

    Raises:
        ConfigError: with every fault found: a value out of range, or one that the method does not take.
    """
    wanted = {name: value for name, value in given.items() if value is not None}
    method = wanted.get("method", config["cluster.method"])
    taken = recluster_names(method)
    faults = [
        f"{name}: {method} has no such parameter; it has {', '.join(taken)}"
        for name in wanted
        if name in RECLUSTER and name not in taken
    ]
    try:
        chosen = changed(config, {RECLUSTER.get(name, name): value for name, value in wanted.items()}, source=source)
    except ConfigError as error:
        raise ConfigError(source, [*error.faults, *faults]) from None
    if faults:
        raise ConfigError(source, faults)
    return chosen


def recluster_names(method: str) -> list[str]:
    """Return the names in `RECLUSTER` that a method takes; of one that nobody knows all."""
    foreign = {name for names in TUNABLE.values() for name in names} - TUNABLE.get(method, RECLUSTER).keys()
    return [name for name in RECLUSTER if name not in foreign]


@dataclass(frozen=True, slots=True)
class ReclusterField:
    """What may be set for one recluster, for a form."""

    name: str
    setting: str
    """The setting that it stands in for: "cluster.eps"."""
    value: Any
    """As it is set."""
    hint: str
    methods: tuple[str, ...]
    """The methods that take it; none: all do."""
    is_whole: bool


def recluster_fields(config: Config) -> list[ReclusterField]:
    """Return what may be set for one recluster, but the method."""
    comments = {setting.name: setting.comment for setting in SETTINGS}
    fields = []
    for name, key in RECLUSTER.items():
        methods = tuple(method for method, names in TUNABLE.items() if name in names)
        comment = comments[key].partition(": ")[2] if methods else comments[key]
        if name != "method":
            hint = comment[:1].upper() + comment[1:]
            fields.append(ReclusterField(name, key, config[key], hint, methods, isinstance(config[key], int)))
    return fields


def n_workers_of(config: Config) -> int:
    """Return how many photos are analysed at the same time."""
    return config["engine.workers"] or available_cores()


def files_read_of(config: Config) -> frozenset[MetadataKind]:
    """Return the kinds of files that are read for names of people."""
    from facewatch.catalog.metadata import MetadataKind

    return {
        "off": frozenset[MetadataKind](),
        "sidecar": frozenset({MetadataKind.SIDECAR, MetadataKind.PICASA, MetadataKind.TAKEOUT}),
        "embedded": frozenset({MetadataKind.EMBEDDED}),
        "both": frozenset(MetadataKind),
    }[config["regions.read"]]


def sidecar_settings_of(config: Config) -> SidecarSettings:
    from facewatch.people.sidecar_targets import SidecarSettings

    return SidecarSettings(
        is_on=config["regions.xmp"] == "sidecar",
        is_beside=config["regions.beside"],
        mirror=config.sidecars,
        only_confirmed=config["regions.who"] == "confirmed",
    )


def people_folder_of(config: Config, remembered: str | None = None, library_id: str = "") -> Path:
    """Return where the people folder is: as set, else where it was last or was moved to, else beside the photos."""
    if config.people is not None:
        return config.people
    if remembered is not None:
        if is_folder(before := Path(remembered)):
            return before
        from facewatch.folders.check import find_renamed

        return find_renamed([before.parent, *(photos.parent for photos in config.photos)], library_id) or before
    return (config.photos[0].parent if config.photos else Path.cwd()) / "People"


def people_shape_of(config: Config) -> Shape:
    """Return what the people folder looks like."""
    from facewatch.folders.model import Shape

    return Shape(
        kind=None if config["folders.link"] == "auto" else config["folders.link"],
        has_faces=config["folders.show"] == "faces",
        unnamed_photos=config["folders.unnamed_photos"] if config["folders.unnamed"] else None,
        n_suggested=config["folders.review"],
        by_year=config["folders.layout"] == "person/year",
        with_dates=config["folders.names"] == "date",
        together=tuple(map(names_together, config["folders.together"])),
    )


def cover_name_of(config: Config) -> str | None:
    """Return what covers in the folders of people are called; None: there are none."""
    return None if config["folders.cover"] == "off" else config["folders.cover"]


def rules_of(config: Config) -> Rules:
    """Return what in the libraries is passed over."""
    from facewatch.library.scan import Rules

    return Rules(
        exclude=tuple(config["library.exclude"]),
        folders=tuple(config["library.exclude_folders"]),
        files=tuple(config["library.exclude_files"]),
    )


def watch_settings_of(config: Config) -> WatchSettings:
    from facewatch.watcher.schedule import GroupingPace, WatchSettings

    return WatchSettings(
        settle_seconds=config["watch.settle_seconds"],
        removal_seconds=config["watch.removal_seconds"],
        scan_seconds=60.0 * config["watch.scan_minutes"],
        poll_seconds=config["watch.poll_seconds"],
        is_always_polled=config["watch.poll"] == "always",
        idle_seconds=config["watch.idle_seconds"],
        photo_seconds=config["resources.photo_seconds"],
        hours=config["watch.hours"],
        grouping=GroupingPace(
            after_faces=config["cluster.after_faces"],
            after_share=config["cluster.after_share"],
            after_seconds=config["cluster.after_seconds"],
        ),
        backups=config.backups,
        n_backups=config["backup.keep"] if config["backup.daily"] else 0,
    )
