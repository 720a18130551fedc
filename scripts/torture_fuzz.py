"""Damaged photos by the thousand: whatever they do, they are photos, or faults with a reason, or cost one worker."""

from __future__ import annotations

import os
import random
import re
import struct
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from facewatch.decode import HEAD_BYTES, sniff
from facewatch.engines import fake
from facewatch.errors import Fault, FaultCode
from facewatch.indexing.analyzer import AnalysisResult, Examination, LibraryFile, Recipe
from facewatch.indexing.pool import WorkerPool
from facewatch.indexing.worker import WorkerLost
from facewatch.types import Analysis, Engine

LARGEST_SEED = 3_000_000
"""Bytes; larger photos say no more, and take long."""

MAX_PIXELS = 100_000_000
"""The cap while mutants are analysed: an honest photo of 200 megapixels takes as long on a busy machine as a hang."""

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""What a length or a size is set to, as far as the field has room for it."""

HEADER_BYTES = (4, 12, 32, 128, 1024)
"""How much of one format is put over the start of another."""

_NAMED_CHUNK = re.compile(
    rb"IHDR|PLTE|IDAT|IEND|eXIf|iCCP|tEXt|zTXt|iTXt|acTL|fcTL|fdAT|VP8[ LX]|ALPH|ANIM|ANMF|EXIF|XMP "
    rb"|ftyp|meta|mdat|moov|iloc|iinf|infe|iprp|ipco|ipma|ispe|hvcC|av1C|irot|imir|pitm|iref|grid|jp2h|ihdr|colr|jp2c"
    rb"|CMT[1-4]|uuid|trak|stsz|co64"
)
"""Names that a four-byte length stands beside, in PNG and ISO media before them and in WebP behind."""

_JPEG_SEGMENT = re.compile(rb"\xff[\xc0-\xcf\xda-\xfe]")

Mutation = Callable[[random.Random, bytes, bytes], bytes]
"""Of a photo, given another one."""


@dataclass(slots=True)
class Fuzzed:
    """What came of it."""

    n: int = 0
    decoded: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    """How often each was said, without numbers and names in it."""
    refused: dict[str, Fault] = field(default_factory=dict)
    """The fault of each."""
    crashes: list[str] = field(default_factory=list)
    """Mutants over which a worker ended, or anything left a future that may not; with what was said."""
    hangs: list[str] = field(default_factory=list)
    """Mutants that took longer than the limit."""
    unclear: list[str] = field(default_factory=list)
    """Mutants whose fault or advice says nothing, or takes more than a line."""

    @property
    def is_clean(self) -> bool:
        return not (self.crashes or self.hangs or self.unclear)


# --- mutants ---


def seeds_in(folder: Path) -> list[Path]:
    """Return the photos below a folder that are worth mutating, in the order of their paths."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and _is_worth_it(path)]


def _is_worth_it(path: Path) -> bool:
    with path.open("rb") as file:
        return sniff(file.read(HEAD_BYTES)).is_supported and path.stat().st_size <= LARGEST_SEED


def mutants(seeds: Sequence[Path], n: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Return `n` damaged photos with names that tell what was done to which; the same for the same seed."""
    contents = {path: path.read_bytes() for path in seeds}
    kinds = {path: sniff(content[:HEAD_BYTES]).name for path, content in contents.items()}
    paths = sorted(contents)
    of_kind = {kind: [path for path in paths if kinds[path] == kind] for kind in sorted(set(kinds.values()))}
    for number in range(n):
        chance = random.Random(f"{seed}/{number}")
        # First the format, then the file: most of them are JPEGs.
        kind = chance.choice([*of_kind])
        path = chance.choice(of_kind[kind])
        content, done = contents[path], []
        for _ in range(chance.choice((1, 1, 1, 2, 3, 5))):
            name, mutation = chance.choice(MUTATIONS)
            partner = chance.choice(of_kind[kind] if name == "splice" else paths)
            content = mutation(chance, content, contents[partner])
            done.append(name)
        yield f"{number:06d}-{'-'.join(done)}-{path.stem[:40]}{path.suffix}", content


def _place(chance: random.Random, content: bytes | bytearray) -> int:
    """Any place of a photo; one time in three one near its start, where the headers are."""
    return chance.randrange(max(1, min(len(content), 2048) if chance.random() < 0.33 else len(content)))


def _flip_bits(chance: random.Random, content: bytes, _other: bytes) -> bytes:
    changed = bytearray(content or b"\0")
    for _ in range(chance.choice((1, 1, 2, 4, 16, 128))):
        changed[_place(chance, changed)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _set_bytes(chance: random.Random, content: bytes, _other: bytes) -> bytes:
    changed = bytearray(content or b"\0")
    for _ in range(chance.choice((1, 2, 8, 64))):
        changed[_place(chance, changed)] = chance.randrange(256)
    return bytes(changed)


def _truncate(chance: random.Random, content: bytes, _other: bytes) -> bytes:
    return content[: _place(chance, content)]


def _zero_a_run(chance: random.Random, content: bytes, _other: bytes) -> bytes:
    start = _place(chance, content)
    end = min(len(content), start + chance.choice((1, 4, 64, 4096, 100_000)))
    return content[:start] + bytes(end - start) + content[end:]


def _chunk(chance: random.Random, content: bytes) -> tuple[int, int]:
    """A piece of a photo: from one name or marker to another where it has any, else any piece."""
    starts = [match.start() for match in _NAMED_CHUNK.finditer(content)] or [
        match.start() for match in _JPEG_SEGMENT.finditer(content, 0, 65536)
    ]
    if len(starts) >= 2 and chance.random() < 0.7:
        first = chance.randrange(len(starts) - 1)
        return starts[first], starts[min(len(starts) - 1, first + chance.choice((1, 1, 2, 5)))]
    start = _place(chance, content)
    return start, min(len(content), start + chance.choice((1, 2, 12, 100, 5000)))


def _delete_chunk(chance: random.Random, content: bytes, _other: bytes) -> bytes:
    start, end = _chunk(chance, content)
    return content[:start] + content[end:]


def _repeat_chunk(chance: random.Random, content: bytes, _other: bytes) -> bytes:
    start, end = _chunk(chance, content)
    times = chance.choice((1, 1, 3, 50))
    return content[:end] + content[start:end] * min(times, max(1, 500_000 // max(1, end - start))) + content[end:]


def _move_chunk(chance: random.Random, content: bytes, _other: bytes) -> bytes:
    start, end = _chunk(chance, content)
    rest = content[:start] + content[end:]
    place = _place(chance, rest)
    return rest[:place] + content[start:end] + rest[place:]


def _set_length(chance: random.Random, content: bytes, _other: bytes) -> bytes:
    """Give one field of two, four or eight bytes an extreme value; mostly one beside a name or marker."""
    names = [match.start() for match in _NAMED_CHUNK.finditer(content)]
    markers = [match.start() for match in _JPEG_SEGMENT.finditer(content, 0, 65536)]
    choices: list[tuple[int, int]] = [(name + offset, 4) for name in names for offset in (-4, 4, 8, 12)]
    choices += [(marker + offset, 2) for marker in markers for offset in (2, 5, 7)]
    if content[:2] in (b"II", b"MM"):
        choices += [(place, size) for place in range(8, min(len(content), 1024), 2) for size in (2, 4)]
    place, size = chance.choice(choices or [(0, 4)]) if chance.random() < 0.8 else (_place(chance, content), 4)
    value = chance.choice(EXTREMES) if chance.random() < 0.8 else chance.getrandbits(8 * size)
    order = chance.choice("<>")
    packed = struct.pack(f"{order}{'H' if size == 2 else 'I'}", value & (0xFFFF if size == 2 else 0xFFFFFFFF))
    place = max(0, place)
    return content[:place] + packed + content[place + size :]


def _splice(chance: random.Random, content: bytes, other: bytes) -> bytes:
    return content[: _place(chance, content)] + other[_place(chance, other) :]


def _exchange_header(chance: random.Random, content: bytes, other: bytes) -> bytes:
    n_bytes = chance.choice(HEADER_BYTES)
    return other[:n_bytes] + content[n_bytes:]


def _append(chance: random.Random, content: bytes, other: bytes) -> bytes:
    return content + other[: _place(chance, other)]


MUTATIONS: tuple[tuple[str, Mutation], ...] = (
    ("flip", _flip_bits),
    ("set", _set_bytes),
    ("cut", _truncate),
    ("zeros", _zero_a_run),
    ("delete", _delete_chunk),
    ("repeat", _repeat_chunk),
    ("move", _move_chunk),
    ("length", _set_length),
    ("splice", _splice),
    ("header", _exchange_header),
    ("append", _append),
)


# --- through the workers ---


def load_fake(_recipe: Recipe) -> Engine:
    """Return the engine of drawn people: what is tried here are decoders."""
    return fake.FakeEngine()


def fuzz(
    n: int, seed: int, seeds_folder: Path, seconds_limit: float = 20.0, *, n_workers: int = 2, memory: int | None = None
) -> Fuzzed:
    """Have worker processes analyse `n` mutants of the photos below a folder; returns what came of it.

    Args:
        n: how many.
        seed: the same seed makes the same mutants.
        seeds_folder: photos; they are only read.
        seconds_limit: an analysis that takes longer is a hang.
        n_workers: how many processes look.
        memory: bytes that all of them may take; None: what the workers think right.
    """
    with tempfile.TemporaryDirectory() as folder:
        photos = (_written(folder, name, content) for name, content in mutants(seeds_in(seeds_folder), n, seed))
        return analyse_files(photos, seconds_limit, n_workers=n_workers, memory=memory, done=os.unlink)


def _written(folder: str, name: str, content: bytes) -> LibraryFile:
    (Path(folder) / name).write_bytes(content)
    return LibraryFile(folder, name)


def analyse_files(
    photos: Iterator[LibraryFile],
    seconds_limit: float,
    *,
    n_workers: int = 2,
    memory: int | None = None,
    done: Callable[[LibraryFile], None] = lambda _photo: None,
) -> Fuzzed:
    """Have worker processes analyse photos; returns what came of it, and says of each when it is done with."""
    found = Fuzzed()
    recipe = Recipe("fake", max_pixels=MAX_PIXELS)
    workers = WorkerPool(recipe, n_workers, photo_seconds=seconds_limit, memory=memory, load=load_fake)
    try:
        while batch := [*islice(photos, 8 * n_workers)]:
            _analyse_batch(workers, batch, found, seconds_limit)
            for photo in batch:
                done(photo)
    finally:
        workers.close()
    return found


def _analyse_batch(workers: WorkerPool, batch: Sequence[LibraryFile], found: Fuzzed, seconds_limit: float) -> None:
    """Examine and analyse some photos, and note what came of them."""
    examined = [(photo, workers.examine(photo)) for photo in batch]
    waiting: list[tuple[LibraryFile, Future[AnalysisResult]]] = []
    for photo, first in examined:
        found.n += 1
        answer = _answer(first, photo, found, seconds_limit)
        if isinstance(answer, Examination) and answer.fault:
            _note_fault(answer.fault, photo, found)
        elif isinstance(answer, Examination) and answer.sha256:
            waiting.append((photo, workers.analyse(photo, answer.fingerprint)))
        elif isinstance(answer, Examination):
            found.faults["not a photo"] += 1
    for photo, second in waiting:
        analysed = _answer(second, photo, found, seconds_limit)
        if isinstance(analysed, Fault):
            _note_fault(analysed, photo, found)
        elif isinstance(analysed, Analysis):
            found.decoded.append(photo.path)


def _answer(
    future: Future[Examination] | Future[AnalysisResult], photo: LibraryFile, found: Fuzzed, seconds_limit: float
) -> Examination | AnalysisResult:
    try:
        return future.result(timeout=20 * seconds_limit)
    except OSError as error:
        found.faults[f"cannot be read: {error.strerror}"] += 1
    except Exception as error:  # whatever it is, it has no business here
        said = f"{photo.path}: {error}"
        is_too_slow = isinstance(error, WorkerLost) and error.fault.code is FaultCode.TAKES_LONG
        is_hang = isinstance(error, TimeoutError) or is_too_slow
        (found.hangs if is_hang else found.crashes).append(said)
    return None


def _note_fault(fault: Fault, photo: LibraryFile, found: Fuzzed) -> None:
    found.refused[photo.path] = fault
    found.faults[fault.cause] += 1
    said = (fault.text, fault.advice)
    if not all(text.strip() and text.isprintable() and len(text) < 200 for text in said) or photo.path in fault.text:
        found.unclear.append(f"{photo.path}: {fault}")
