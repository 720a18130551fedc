"""`scripts/bench --against REV`: the same work by this program and by an older revision, in turns, in one run.

Every figure is a pair, and what it has to reach: so many times as good as the older one's, or a number of its own.
Each program has its own catalog of the same photos (bench_older.py).
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import bench_page
import numpy as np
from bench_angles import without_faces
from bench_catalog import fill_catalog, make_files, unit
from bench_engines import first_scan, plain_session, strong_crops
from bench_kit import (
    SEED,
    Bench,
    Finding,
    Household,
    Spent,
    copy_file,
    copy_sample,
    number_text,
    photos_below,
    run_quietly,
    spent_by,
)
from bench_labels import boxes_of_facewatch, count_true, read_labels
from bench_memory import BIG_PHOTO, peak_of
from bench_older import Program, check_out, hand_over, this_program
from PIL import Image
from synthetic import make_faces

from facewatch.catalog import Catalog
from facewatch.cores import available_cores
from facewatch.engines import describe_engine
from facewatch.engines.runtimes import Machine
from facewatch.models.packs import find_pack

Side = TypeVar("Side")
Took = TypeVar("Took")

Settings = Mapping[str, Mapping[str, float | str]]
"""By section and key."""

SAME = 0.97
"""A ratio of what should be no worse than it was: two measurements of one program differ by as much."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of both programs."""

    what: str
    old: float
    new: float
    unit: str
    times: float | None = None
    """How many times as good the new one has to be at least."""
    at_most: float | None = None
    """What the new one may be at most, whatever the old one is."""
    is_less_better: bool = True
    part: str = ""

    @property
    def ratio(self) -> float:
        """How many times as good the new one is."""
        good, bad = (self.old, self.new) if self.is_less_better else (self.new, self.old)
        return good / bad if bad else 1.0

    @property
    def is_ok(self) -> bool | None:
        """None: nothing is wanted of it."""
        return self.goal.is_ok

    @property
    def goal(self) -> Finding:
        """The figure that counts, and its limit."""
        if self.times is not None:
            return Finding(self.what, self.ratio, "times", at_least=self.times, part=self.part)
        return Finding(self.what, self.new, self.unit, at_most=self.at_most, part=self.part)

    def as_row(self) -> tuple[str, ...]:
        values = (f"{number_text(value)} {self.unit}".strip() for value in (self.old, self.new))
        wanted = f"{self.goal.limit} {self.goal.unit}" if self.goal.limit else ""
        verdict = {None: "", True: "yes", False: "no"}[self.is_ok]
        return self.part, self.what, *values, f"{self.ratio:.2f}", wanted.strip(), verdict


HEADINGS = ("part", "work", "before", "now", "times as good", "wanted", "reached")


def races_as_markdown(comparisons: Iterable[Comparison]) -> str:
    """Return the table of docs/developing.md."""
    rows = [HEADINGS, ("---",) * len(HEADINGS), *(comparison.as_row() for comparison in comparisons)]
    return "\n".join(f"| {' | '.join(row[1:])} |" for row in rows)


class Pair(NamedTuple):
    """A household of each program."""

    old: Household
    new: Household


@dataclass(frozen=True, slots=True)
class Race:
    """Both programs, and where they work."""

    bench: Bench
    old: Program
    new: Program

    def households(self, name: str, settings: Settings | None = None, newer: Settings | None = None) -> Pair:
        """Return two new households; this program's has the newer settings, which the older one may not know."""
        old = self.old.household(self.home(name, self.old), settings)
        return Pair(old, self.new.household(self.home(name, self.new), newer or settings))

    def advanced(self, name: str, runtime: str = "onnxruntime", **settings: float | str) -> Pair:
        """Return two new households in advanced mode, of which the older one has nothing but onnxruntime."""
        engine = {"name": self.bench.engine, **settings}
        return self.households(name, {"engine": engine}, {"engine": engine | {"runtime": runtime}})

    def home(self, name: str, program: Program) -> Path:
        return self.bench.scratch / f"{name}-{program.name}"


def compare(bench: Bench, revision: str, parts: Iterable[str]) -> list[Comparison]:
    """Return the figures of these parts of RACES, this program's and those of that revision."""
    race = Race(bench, check_out(bench, revision), this_program())
    found = []
    for part in parts:
        for comparison in RACES[part](race):
            bench.say("  ".join(comparison.as_row()).strip())
            found.append(replace(comparison, part=part))
    return found


def in_turns(pair: Pair, work: Callable[[Household], Spent], n_rounds: int) -> tuple[Spent, Spent]:
    """Return the least that the work took both."""
    old, new = (
        Spent(min(one.seconds for one in turns), min(one.cpu_seconds for one in turns))
        for turns in turns_of(pair, work, n_rounds)
    )
    return old, new


def turns_of(pair: tuple[Side, Side], work: Callable[[Side], Took], n_rounds: int) -> tuple[list[Took], list[Took]]:
    """Return what the work gave for both; who goes first changes with each round.

    Of several turns the least counts: what other programs take from one is never less than nothing.
    """
    turns: tuple[list[Took], list[Took]] = ([], [])
    for number in range(n_rounds):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            turns[which].append(work(pair[which]))
    return turns


# --- commands, in a library of 100 000 faces, and of people with 5 000 photos ---


def race_commands(race: Race) -> Iterator[Comparison]:
    """Seconds from the shell of the commands that look at everything."""
    bench = race.bench
    n_faces = bench.many(100_000, 100_000, 300)
    bench.say(f"commands: a library of {n_faces:,} faces for each")
    new = bench_page.make_library(race.home("commands", race.new), n_faces=n_faces, n_people=n_faces // 50)
    old = race.old.household(race.home("commands", race.old))
    hand_over(new.catalog, old)
    with bench_page.open_library(new) as app:
        # What every scan leaves behind, the older program's, too.
        app.pipeline.keep_up()
    photo = str(min(new.photos.rglob("*.jpg")))
    for words, at_most in ((("review", "--json"), 1), (("why", photo), 0.4), (("audit",), 4)):
        before, now = in_turns(Pair(old, new), partial(run, words=words), bench.many(5, 3, 1))
        what = f"`{' '.join(words).replace(photo, 'PHOTO')}` at {n_faces:,} faces"
        yield Comparison(what, before.seconds, now.seconds, "s", at_most=at_most)


def run(house: Household, words: tuple[str, ...]) -> Spent:
    return spent_by(lambda: house.run(*words))


def race_rename(race: Race) -> Iterator[Comparison]:
    """Seconds from the shell to name people with 5 000 photos each, and to name them again."""
    bench = race.bench
    n_people, n_photos = bench.many(5, 3, 1), bench.many(5_000, 5_000, 20)
    pair = race.households("rename")
    bench.say(f"rename: {n_people} people of {n_photos:,} photos for each")
    files = make_files(pair.new.photos, n_people * n_photos)
    people = np.repeat(np.arange(n_people) + 1, n_photos)
    vectors = unit(np.random.default_rng(SEED).normal(size=(len(people), 128)))
    with Catalog(pair.new.catalog) as catalog:
        fill_catalog(catalog, describe_engine("face_recognition"), pair.new.photos, files, people, vectors)
    pair.new.run("folders", "-q")
    hand_over(pair.new.catalog, pair.old)
    for what, of, to in (("first name", "Person 000{}", "Anna {}"), ("another name", "Anna {}", "Berta {}")):
        naming = {house.home: iter([(of.format(n), to.format(n)) for n in range(1, n_people + 1)]) for house in pair}
        before, now = in_turns(pair, partial(rename_next, naming=naming), n_people)
        yield Comparison(f"{what} for a person of {n_photos:,} photos", before.seconds, now.seconds, "s", at_most=1)


def rename_next(house: Household, naming: Mapping[Path, Iterator[tuple[str, str]]]) -> Spent:
    return run(house, ("rename", *next(naming[house.home])))


def race_one(race: Race) -> Iterator[Comparison]:
    """What the start costs: a scan of one photo in advanced mode, and one that finds nothing new."""
    pair = race.advanced("one")
    photo = photos_below(race.bench.photos, "album")[0]
    for house in pair:
        copy_file(race.bench.photos / photo, house.photos / photo)
    n_rounds = race.bench.many(9, 5, 1)
    before, now = in_turns(pair, first_scan, n_rounds)
    what = "scan of one photo, advanced, processor time"
    yield Comparison(what, before.cpu_seconds, now.cpu_seconds, "s", at_most=1.1)
    before, now = in_turns(pair, lambda house: spent_by(house.scan), n_rounds)
    yield Comparison("scan of nothing new", before.seconds, now.seconds, "s", at_most=0.3)
    yield Comparison("scan of nothing new, processor time", before.cpu_seconds, now.cpu_seconds, "s", at_most=0.3)


# --- scans ---


def race_scan(race: Race) -> Iterator[Comparison]:
    """Whole first scans of the photos of README's comparison, groups and folders included."""
    labels = read_labels(race.bench.photos / "labels.csv")
    for mode, pair, times in (
        ("standard", race.households("scan-standard", {"engine": {"name": "face_recognition"}}), 1.9),
        ("advanced", race.advanced("scan-advanced"), 1.25),
        ("advanced, fastest runtime", race.advanced("scan-fastest", "auto"), 1.8 if has_openvino() else None),
    ):
        photos, _ = (copy_sample(race.bench, house.photos) for house in pair)
        race.bench.say(f"scan: {len(photos)} photos, {mode}")
        before, now = in_turns(pair, first_scan, race.bench.many(4, 2, 1))
        what = f"whole scan of {len(photos)} photos, {mode}"
        yield Comparison(what, before.seconds, now.seconds, "s", times=times)
        yield Comparison(f"{what}, processor time", before.cpu_seconds, now.cpu_seconds, "s")
        yield Comparison(f"{what}, cores busy", share_busy(before), share_busy(now), "%", is_less_better=False)
        n_old, n_new = (count_true(boxes_of_facewatch(house), labels) for house in pair)
        n_labelled = sum(len(labels.get(photo, ())) for photo in photos)
        of = f"labelled faces found in them, of {n_labelled}"
        yield Comparison(f"{of}, {mode}", n_old, n_new, "faces", times=1, is_less_better=False)


def share_busy(spent: Spent) -> float:
    return 100 * spent.cpu_seconds / (spent.seconds * available_cores())


def race_faceless(race: Race) -> Iterator[Comparison]:
    """A first scan of photos on which nobody is, in standard mode."""
    pair = race.households("faceless")
    pictures = without_faces(race.bench, race.bench.many(300, 300, 2))
    race.bench.say(f"faceless: {len(pictures)} photos")
    for house in pair:
        for number, pixels in enumerate(pictures):
            Image.fromarray(pixels).save(house.photos / f"{number:03d}.jpg", quality=90)
    before, now = in_turns(pair, first_scan, race.bench.many(4, 2, 1))
    what = f"{len(pictures)} photos without a face, standard"
    yield Comparison(f"{what}, processor time", before.cpu_seconds, now.cpu_seconds, "s", times=2.5)
    yield Comparison(what, before.seconds, now.seconds, "s")


def race_memory(race: Race) -> Iterator[Comparison]:
    """Peak memory of a scan with two workers, as the part "memory" measures it."""
    bench = race.bench
    chosen = [path for path in photos_below(bench.photos, "album", "odd") if not path.endswith(BIG_PHOTO)]
    for mode, pair in (
        ("standard", race.households("memory-standard", {"engine": {"workers": 2, "name": "face_recognition"}})),
        ("advanced", race.advanced("memory-advanced", workers=2)),
    ):
        bench.say(f"memory: {len(chosen)} files, {mode}")
        for house in pair:
            for path in chosen:
                copy_file(bench.photos / path, house.photos / path)
        old, new = (peak_of(house, "scan", "-q", str(house.photos)) for house in pair)
        yield Comparison(f"peak memory of a scan with two workers, {mode}", old, new, "MB", times=SAME)


SETS = ("lfw", "album")
"""Parts of the labelled photos that `facewatch evaluate` measures apart."""

WORTH = 0.999
"""How many times as good what is measured of accuracy must be: the last digit of a table may be one less."""


def race_accuracy(race: Race) -> Iterator[Comparison]:
    """What `facewatch evaluate` says of either mode, by every detector of the standard one and every runtime."""
    modes: dict[str, dict[str, str]] = {"standard": {}, "advanced": {"name": race.bench.engine}}
    runtimes = ("onnxruntime", "openvino") if has_openvino() else ("onnxruntime",)
    ways = [("standard", "detector", name) for name in ("yunet", "hog")]
    ways += [("advanced", "runtime", name) for name in runtimes]
    for part in SETS[: race.bench.many(2, 2, 1)]:
        before = {mode: evaluated(race, race.old, f"{mode}-{part}", settings, part) for mode, settings in modes.items()}
        for mode, setting, value in ways:
            found = evaluated(race, race.new, f"{value}-{part}", modes[mode] | {setting: value}, part)
            for what, now in found.items():
                name = f"{part}, {mode} by {value}: {what}"
                yield Comparison(name, before[mode][what], now, "", times=WORTH, is_less_better=False)


def evaluated(race: Race, program: Program, name: str, settings: Mapping[str, str], part: str) -> dict[str, float]:
    """Return what `facewatch evaluate` says of a part of the labelled photos."""
    race.bench.say(f"accuracy: {program.name}, {name}")
    house = program.household(race.home(f"accuracy-{name}", program), {"engine": settings} if settings else {})
    command = [*house.bare("evaluate"), str(race.bench.photos), "--only", f"{part}/", "--json"]
    measured = json.loads(run_quietly(command, house.home))
    at_once, streaming = (
        next(
            one["bcubed"]["f"] for one in measured["groupings"] if one["way"] == way and one.get("is_normalised", True)
        )
        for way in ("all at once", "streaming")
    )
    accepted = [one["tar"] for one in measured["verification"] if one["far"] == 1e-4 and one["tar"]]
    return {
        "labelled faces found": measured["detection"]["n_found"],
        "BCubed F, all at once": at_once,
        "BCubed F, streaming": streaming,
    } | ({"true pairs accepted at 1e-4": accepted[0]} if accepted else {})


# --- the recogniser and grouping, each by the program's own modules ---

_RECOGNISER = """
import json, time
from pathlib import Path
import numpy as np
from facewatch.engines import arcface
name, crops, n_rounds, size = sys.argv[1], np.load(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
# The older program may know no other runtime.
is_openvino = sys.argv[5] == "openvino" and hasattr(arcface, "Runtime")
runtime = [arcface.Runtime("openvino", "", "bf16")] if is_openvino else []
ours = arcface.Recogniser(arcface.find_pack(name, Path()), arcface.Sessions("cpu", 1), *runtime)
vectors, seconds = ours.embed(crops), []
for _ in range(n_rounds):
    for first in range(0, len(crops), size):
        started = time.perf_counter()
        ours.embed(crops[first : first + size])
        seconds.append(time.perf_counter() - started)
print(json.dumps({"ms": 1000 * float(np.median(seconds)) / size, "vectors": vectors.tolist()}))
"""


def race_recogniser(race: Race) -> Iterator[Comparison]:
    """From strong crops to unit vectors, on one thread, by one face and by eight."""
    bench = race.bench
    home, file = bench.scratch / "recogniser", bench.scratch / "recogniser" / "crops.npy"
    home.mkdir()
    raw = plain_session(find_pack(bench.engine, Path()).recogniser)
    np.save(file, strong_crops(bench, raw, bench.many(8, 8, 2)))
    for runtime in ("onnxruntime", "openvino") if has_openvino() else ("onnxruntime",):
        by = "" if runtime == "onnxruntime" else " by OpenVINO in bf16"
        for size in (1, 8):
            arguments = (bench.engine, str(file), str(bench.many(20, 8, 1)), str(size), runtime)
            turns = turns_of(
                (race.old, race.new),
                partial(ask, code=_RECOGNISER, home=home, arguments=arguments),
                bench.many(4, 4, 1),
            )
            before, now = (min(said["ms"] for said in each) for each in turns)
            yield Comparison(f"recogniser{by}, batch of {size}", before, now, "ms/face", times=1.5)
        old, new = (np.array(each[0]["vectors"]) for each in turns)
        difference = float(np.abs(old - new).max())
        yield Comparison(
            f"largest difference of their unit vectors{by}", 0, difference, "", at_most=None if by else 1e-5
        )


def has_openvino() -> bool:
    """Whether OpenVINO is installed, and the processor has what it gains by."""
    return importlib.util.find_spec("openvino") is not None and Machine(lambda: False).has_bf16


def ask(program: Program, *, code: str, home: Path, arguments: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = program.ask(code, home, *arguments)
    return found


_GROUPING = """
import dataclasses, json
from pathlib import Path
from bench_grouping import group_file
print(json.dumps(dataclasses.asdict(group_file(Path(sys.argv[1]), int(sys.argv[2])))))
"""


def race_grouping(race: Race) -> Iterator[Comparison]:
    """Seconds, megabytes and agreement of what each program's own part "grouping" does with the same faces."""
    small, large = race.bench.many(20_000, 4_000, 40), race.bench.many(100_000, 20_000, 200)
    for n_new, n_old in ((large, 0), (small, large)):
        name = f"grouping {n_new:,} new faces among {n_old:,}" if n_old else f"grouping {n_new:,} faces"
        race.bench.say(name)
        old, new = group_both(race, n_new, n_old)
        yield Comparison(name, old["seconds"], new["seconds"], "s", times=1 / 0.45)
        yield Comparison(f"{name}, peak memory", old["megabytes"], new["megabytes"], "MB", times=SAME)
        f_old, f_new = (2 / (1 / said["precision"] + 1 / said["recall"]) for said in (old, new))
        yield Comparison(f"{name}, BCubed F", f_old, f_new, "", times=0.999, is_less_better=False)


def group_both(race: Race, n_new: int, n_old: int) -> list[dict[str, Any]]:
    """Return what the older program and this one say of grouping the same faces, the least of their turns."""
    home = race.bench.scratch / f"grouping-{n_old}"
    home.mkdir()
    faces = make_faces(n_old + n_new, SEED)
    np.savez(home / "faces.npz", embeddings=faces.embeddings, people=faces.people, photos=faces.photos)
    arguments = (str(home / "faces.npz"), str(n_old))
    turns = turns_of(
        (race.old, race.new), partial(ask, code=_GROUPING, home=home, arguments=arguments), race.bench.many(3, 2, 1)
    )
    return [{key: min(one[key] for one in each) for key in each[0]} for each in turns]


RACES: dict[str, Callable[[Race], Iterable[Comparison]]] = {
    "commands": race_commands,
    "rename": race_rename,
    "one": race_one,
    "scan": race_scan,
    "faceless": race_faceless,
    "accuracy": race_accuracy,
    "recogniser": race_recogniser,
    "grouping": race_grouping,
    "memory": race_memory,
}
