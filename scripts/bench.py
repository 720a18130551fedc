"""Measure what facewatch promises about speed and memory, each number beside its limit.

    scripts/bench                                   everything, about half an hour on two cores
    scripts/bench --quick --output bench.json       smaller samples, and the same numbers as JSON
    scripts/bench --quick --markdown                the table of README
    scripts/bench --only assign --only rename       some parts
    scripts/bench --against 89c7d1e                 this program beside an older revision of it, in turns

Parts that compare two things measure them in turns in one run, so that a busy machine is unfair to neither; ratios
travel from machine to machine, times do not. Photos are copied before anything reads them. Here is the door, the
parts are in the bench_*.py beside it.

Exit codes: 0 every limit is met, 1 one is not, 2 command line.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import platformdirs
import psutil
from rich.console import Console
from rich.table import Table

import facewatch
from facewatch.cores import available_cores
from facewatch.engines import describe_engine

# Python -P leaves out even the script's own folder, where the parts are; the synthetic faces are those of the tests.
sys.path.extend(str(Path(__file__).resolve().parents[1] / name) for name in ("scripts", "tests"))

from bench_against import HEADINGS, RACES, Comparison, compare, races_as_markdown
from bench_angles import measure_angles
from bench_archive import measure_archive
from bench_catalog import measure_assign, measure_rename, measure_rescan
from bench_decisions import measure_decisions
from bench_engines import measure_advanced, measure_stages
from bench_folders import measure_folders
from bench_grouping import measure_grouping, measure_million
from bench_kit import ROOT, SEED, Bench, Finding, Size, as_markdown, pack_beside
from bench_memory import measure_memory
from bench_peer import PEER, measure_peer
from bench_publish import measure_publish
from bench_ray import measure_ray
from bench_scale import measure_scale
from bench_search import measure_search
from bench_web import measure_page

PARTS: dict[str, Callable[[Bench], list[Finding]]] = {
    "assign": measure_assign,
    "rename": measure_rename,
    "rescan": measure_rescan,
    "decisions": measure_decisions,
    "folders": measure_folders,
    "search": measure_search,
    "scale": measure_scale,
    "archive": measure_archive,
    "grouping": measure_grouping,
    "million": measure_million,
    "publish": measure_publish,
    "page": measure_page,
    "ray": measure_ray,
    "stages": measure_stages,
    "advanced": measure_advanced,
    "angles": measure_angles,
    "memory": measure_memory,
    "peer": measure_peer,
}
PARTS_WITH_BROWSER = frozenset({"page"})
PARTS_WITH_PACK = frozenset({"advanced", "angles", "memory", "one", "scan", "recogniser"})
"""Those with the advanced engine, whose models lie beside the photos; as is true of the next, some are of --against."""
PARTS_WITH_PHOTOS = PARTS_WITH_PACK | {"ray", "stages", "peer", "faceless", "accuracy"}


def machine_facts(bench: Bench) -> dict[str, Any]:
    """Return what the numbers depend on."""
    packages = ("numpy", "dlib-bin", "insightface", "onnxruntime", "pillow", "pillow-heif", "sqlite-utils", "hdbscan")
    stamp = bench.cache / PEER.replace("==", "-") / "packages.txt"
    return {
        "facewatch": facewatch.__version__,
        "commit": _commit(),
        "cores": available_cores(),
        "cpu": _cpu_model(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_at_end": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "peer_packages": stamp.read_text().split() if stamp.is_file() else [],
        "engine": describe_engine("face_recognition").fingerprint,
        "engine_advanced": describe_engine(bench.engine).fingerprint if pack_beside(bench.photos).is_dir() else None,
    }


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str | None:
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def default_photos() -> Path:
    """Return the labelled photos in the checkout or beside it."""
    places = (ROOT / "shared" / "photos", ROOT.parent / "shared" / "photos")
    return next((place for place in places if place.is_dir()), places[0])


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, and how it is shown."""

    findings: Sequence[Finding] | Sequence[Comparison]
    headings: tuple[str, ...]
    markdown: str


def measure(bench: Bench, chosen: Iterable[str]) -> Report:
    findings = [replace(finding, part=name) for name in chosen for finding in PARTS[name](bench)]
    return Report(findings, ("part", "what", "value", "unit", "limit", ""), as_markdown(findings))


def race(bench: Bench, revision: str, chosen: Iterable[str]) -> Report:
    comparisons = compare(bench, revision, chosen)
    return Report(comparisons, HEADINGS, races_as_markdown(comparisons))


def print_table(report: Report, facts: Mapping[str, Any]) -> None:
    table = Table(title=f"facewatch {facts['facewatch']}, {facts['cores']} cores, {facts['cpu']}")
    for name in report.headings:
        table.add_column(name, justify="right" if name == "value" else "left", no_wrap=True)
    last = None
    for finding in report.findings:
        if last not in (None, finding.part):
            table.add_section()
        last = finding.part
        table.add_row(*finding.as_row())
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def write_json(file: Path, report: Report, facts: Mapping[str, Any], size: Size) -> None:
    rows = [{"part": finding.part} | asdict(finding) | {"is_ok": finding.is_ok} for finding in report.findings]
    content = {"size": size, "seed": SEED, "machine": facts, "findings": rows}
    file.write_text(json.dumps(content, indent=2) + "\n")


def choose(parts: Sequence[str], known: Iterable[str]) -> list[str]:
    """Return the known parts that were asked for, all if none was.

    Raises:
        BadParameter: one is not known.
    """
    for part in parts:
        if part not in known:
            raise click.BadParameter(f"{part!r} is none of {', '.join(known)}", param_hint="--only")
    return [name for name in known if name in parts or not parts]


def check_needs(parts: Iterable[str], photos: Path) -> None:
    """Raise a UsageError when something that these parts need is absent."""
    if PARTS_WITH_BROWSER & {*parts} and shutil.which("chromium") is None:
        raise click.UsageError(
            "page needs chromium (Debian: apt install chromium); --only runs parts that do without it"
        )
    if PARTS_WITH_PHOTOS & {*parts} and not (photos / "labels.csv").is_file():
        raise click.UsageError(f"{photos} holds no labels.csv; name the labelled photos with --photos, or use --only")
    if (with_pack := PARTS_WITH_PACK & {*parts}) and not (pack := pack_beside(photos)).is_dir():
        raise click.UsageError(
            f"{pack} is absent, the models of the advanced engine; --only runs parts that do without it, which "
            f"{' and '.join(sorted(with_pack))} cannot"
        )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", "size", flag_value=Size.QUICK, help="Smaller samples: about half an hour.")
@click.option("--tiny", "size", flag_value=Size.TINY, help="As little as possible, to see that all of it runs.")
@click.option("--full", "size", flag_value=Size.FULL, default=True, hidden=True)
@click.option("--only", "parts", multiple=True, metavar="PART", help="Only this part; may be repeated.")
@click.option("--against", "revision", metavar="REV", help="Measure an older revision as well, in turns.")
@click.option("--markdown", "is_markdown", is_flag=True, help="Print the table of the documents instead.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the numbers as JSON, too.")
@click.option(
    "--photos",
    type=click.Path(path_type=Path),
    default=default_photos,
    help="The labelled photos: album/, lfw/, odd/, labels.csv; default: shared/photos in the checkout or beside it.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default=lambda: Path(platformdirs.user_cache_dir("facewatch", appauthor=False)) / "bench",
    help="Where the environment of face-grouper is kept.",
)
def main(
    size: Size,
    parts: tuple[str, ...],
    revision: str | None,
    is_markdown: bool,
    output: Path | None,
    photos: Path,
    cache: Path,
) -> None:
    """Measure what facewatch promises about speed and memory. Exit code 0: every limit is met."""
    chosen = choose(parts, RACES if revision else PARTS)
    check_needs(chosen, photos.resolve())
    with tempfile.TemporaryDirectory(prefix="facewatch-bench-") as scratch:
        bench = Bench(Path(scratch), photos.resolve(), cache.absolute(), Size(size))
        report = race(bench, revision, chosen) if revision else measure(bench, chosen)
        facts = machine_facts(bench)
    if is_markdown:
        click.echo(report.markdown)
    else:
        print_table(report, facts)
    if output:
        write_json(output, report, facts, size)
    sys.exit(any(finding.is_ok is False for finding in report.findings))


if __name__ == "__main__":
    main()
