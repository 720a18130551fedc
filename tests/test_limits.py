"""How memory is shared out among workers and photos, and where a limit on it is read."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facewatch.errors import EngineError
from facewatch.indexing.memory import (
    BYTES_PER_PIXEL,
    MB,
    OWN_GROWTH_BYTES,
    Room,
    bytes_needed,
    memory_limit,
    share_out,
    worker_bytes,
)

GB = 1000 * MB
ENGINES = ("face_recognition", "insightface:buffalo_l")


@pytest.fixture
def system(tmp_path: Path) -> Path:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "cgroups").mkdir()
    return tmp_path


def groups(system: Path, lines: str, **files: str) -> None:
    """Pretend that this process is in these groups, which say this: path with "__" for "/" -> content."""
    (system / "proc/self/cgroup").write_text(lines)
    for name, content in files.items():
        file = system / "cgroups" / name.replace("__", "/").replace("DOT", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


def limit(system: Path, wanted_mb: int = 0) -> int | None:
    return memory_limit(wanted_mb, proc=system / "proc", cgroups=system / "cgroups")


def test_without_a_limit_there_is_none(system: Path) -> None:
    assert limit(system) is None
    groups(system, "0::/user.slice\n", user__memoryDOTmax="max\n")
    assert limit(system) is None
    assert limit(system, 700) == 700 * MB


def test_the_limit_of_a_group_holds_and_a_tenth_of_it_is_left(system: Path) -> None:
    groups(system, "0::/app\n", app__memoryDOTmax="1000000000\n")
    assert limit(system) == 900 * MB


def test_the_smallest_limit_of_all_groups_around_holds(system: Path) -> None:
    groups(
        system,
        "0::/outer/inner\n",
        outer__inner__memoryDOTmax="max\n",
        outer__memoryDOTmax="2000000000\n",
        outer__memoryDOThigh="500000000\n",
    )
    assert limit(system) == 450 * MB
    assert limit(system, 400) == 400 * MB
    assert limit(system, 4000) == 450 * MB


def test_a_container_sees_its_group_as_the_top(system: Path) -> None:
    groups(system, "0::/../../docker/0123\n", memoryDOTmax="1000000000\n")
    assert limit(system) == 900 * MB


def test_groups_of_the_first_version_are_understood(system: Path) -> None:
    lines = "9:name=systemd:/\n4:cpu,memory:/docker/0123\n0::/\n"
    groups(system, lines, memory__memoryDOTlimit_in_bytes="1000000000\n")
    assert limit(system) == 900 * MB


def test_more_than_the_machine_has_is_no_limit(system: Path) -> None:
    groups(system, "4:memory:/\n", memory__memoryDOTlimit_in_bytes="9223372036854771712\n")
    assert limit(system) is None


def test_what_a_group_says_is_not_believed_when_it_is_no_number(system: Path) -> None:
    groups(system, "0::/app\n", app__memoryDOTmax="?\n")
    assert limit(system) is None


def test_without_a_limit_everybody_works() -> None:
    assert share_out(None, 8, engine="face_recognition", own=10**9).n_workers == 8
    assert share_out(None, 8, engine="face_recognition", own=10**9).room == Room(None, None)


@given(st.integers(0, 64_000), st.integers(1, 64), st.sampled_from(ENGINES), st.integers(20, 600))
def test_what_is_shared_out_never_exceeds_the_limit(memory_mb: int, n_wanted: int, engine: str, own_mb: int) -> None:
    memory, own = memory_mb * MB, own_mb * MB
    base = worker_bytes(engine)
    try:
        share = share_out(memory, n_wanted, engine=engine, own=own)
    except EngineError:
        assert memory < own + OWN_GROWTH_BYTES + base
        return
    assert share.room.together is not None
    assert share.room.alone is not None
    assert 1 <= share.n_workers <= n_wanted
    assert own + OWN_GROWTH_BYTES + share.n_workers * base + share.room.together == memory
    assert own + OWN_GROWTH_BYTES + base + share.room.alone == memory
    assert 0 <= share.room.together <= share.room.alone


@given(st.integers(800, 16_000), st.integers(1, 8))
def test_more_memory_never_means_fewer_workers(memory_mb: int, n_wanted: int) -> None:
    few, more = (
        share_out(mb * MB, n_wanted, engine="face_recognition", own=80 * MB).n_workers
        for mb in (memory_mb, memory_mb + 500)
    )
    assert few <= more


def test_too_little_memory_for_the_models_is_said_with_what_would_do() -> None:
    with pytest.raises(EngineError, match=r"300 MB of memory are too little.*resources\.memory_mb.*to 620 MB"):
        share_out(300 * MB, 2, engine="face_recognition", own=100 * MB)


_MEASURE = """
import io, sys
from facewatch import decode
import pillow_heif

def peak():
    return 1024 * next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

data = io.BytesIO(open(sys.argv[1], "rb").read())
open("/proc/self/clear_refs", "w").write("5")
before = peak()
decode.decode(data)
print(peak() - before)
"""


QUICKLY: dict[str, dict[str, int]] = {"PNG": {"compress_level": 0}, "AVIF": {"speed": 10}, "WEBP": {"method": 0}}
"""How a format is written in less time than it takes by itself."""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells the peak on Linux only")
@pytest.mark.parametrize("name", [*BYTES_PER_PIXEL, "PNG-RGBA", "PNG-16", "TIFF-CMYK"])
def test_no_format_takes_more_memory_than_is_reckoned_with(name: str, tmp_path: Path) -> None:
    file_format, _, mode = name.partition("-")
    # Compressing noise takes longer than all the rest; what HEIF takes does not depend on what is in the picture.
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    # No JPEG is decoded at full size that is more than twice as large as it has to be.
    size = (3900, 3000) if file_format == "JPEG" else (4000, 3000)
    image = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
    if mode == "16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 256)
    elif mode or file_format == "GIF":
        image = image.convert(mode or "P")
    path, target = tmp_path / "photo", io.BytesIO()
    if file_format == "HEIF":
        pillow_heif.from_pillow(Image.new("RGB", size)).save(target)
    else:
        image.save(target, file_format, **QUICKLY.get(file_format, {}))
    path.write_bytes(target.getvalue())
    taken = int(subprocess.run([sys.executable, "-c", _MEASURE, path], capture_output=True, check=True).stdout)
    # Half of the pixels held as RGB is the least that any way takes: what measures less measures nothing.
    n_pixels = size[0] * size[1]
    assert 1.5 * n_pixels < taken
    # Small photos take the same for the picture that comes of them, which is 9 MB here, a tenth of what is reckoned.
    assert taken < 1.1 * bytes_needed(file_format, n_pixels, path.stat().st_size)


AFTER_LARGE_BLOCKS = """
import platform, psutil, sys
from facewatch.indexing.memory import give_back_large_blocks
assert give_back_large_blocks() or platform.libc_ver()[0] != "glibc"
first = bytearray(4 << 20)
del first
before, blocks, small = psutil.Process().memory_info().rss, [], []
for _ in range(100):
    blocks.append(bytearray(2 << 20))
    small.append(bytes(100_000))
del blocks
print(psutil.Process().memory_info().rss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems give memory back by themselves")
def test_large_blocks_that_are_freed_do_not_stay_with_the_process() -> None:
    """Small ones that were made in between stay: by itself glibc would keep all 200 MB for their sake."""
    done = subprocess.run([sys.executable, "-P", "-c", AFTER_LARGE_BLOCKS], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 50 * MB
