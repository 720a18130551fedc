"""Test files of decoders: what others decode without a warning is decoded here, too, and looks the same."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torture_fuzz import MAX_PIXELS, Fuzzed, analyse_files

from facewatch.decode import HEAD_BYTES, decode, sniff
from facewatch.errors import FaultCode
from facewatch.indexing.analyzer import LibraryFile

SIDE = 48
"""Pixels of the pictures that are compared."""

LEAST_SIDE = 4 * SIDE
"""Of a file whose picture is compared: each decoder has its own way to make smaller ones larger, or dots grey."""

MOST_DIFFERENCE = 12.0
"""Of 255, on average; colour profiles, which are ignored here, and ways to reduce a picture stay below it."""

Other = Callable[[Path], NDArray[np.float64] | None]
"""Another decoder: the picture, `SIDE` by `SIDE`, upright, on white; None: it says anything but that all is well."""


NOT_SUPPORTED = {FaultCode.UNSUPPORTED, FaultCode.RARE, FaultCode.RARE_OR_DAMAGED}


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of it."""

    analysed: Fuzzed
    wanted: list[str]
    """Files that are refused as damaged, though another decodes them without a warning."""
    different: list[str]
    """Files whose picture looks like nobody else's."""


def compare(folder: Path, others: Mapping[str, Other]) -> Compared:
    """Have worker processes analyse all files below a folder, and other decoders decode what is not clear then."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and _is_for_us(path)]
    analysed = analyse_files((LibraryFile(str(folder), str(path.relative_to(folder))) for path in paths), 60.0)
    refused = {folder / name: fault for name, fault in analysed.refused.items() if fault.code not in NOT_SUPPORTED}
    wanted = [
        f"{path.name}: {fault.text} ({', '.join(who)})"
        for path, fault in refused.items()
        if (who := _who(path, others))
    ]
    different = [path.name for name in analysed.decoded if _looks_otherwise(path := folder / name, others)]
    return Compared(analysed, wanted, different)


def _is_for_us(path: Path) -> bool:
    with path.open("rb") as data:
        return sniff(data.read(HEAD_BYTES)).is_supported


def _who(path: Path, others: Mapping[str, Other]) -> list[str]:
    return [name for name, other in others.items() if other(path) is not None]


def _looks_otherwise(path: Path, others: Mapping[str, Other]) -> bool:
    """Whether some other decoder shows that file, and none of them so."""
    with path.open("rb") as data:
        pixels = decode(data, max_pixels=MAX_PIXELS).pixels
    if min(pixels.shape[:2]) < LEAST_SIDE:
        return False
    ours = _small(Image.fromarray(pixels))
    pictures = [picture for other in others.values() if (picture := other(path)) is not None]
    return bool(pictures) and all(np.abs(picture - ours).mean() > MOST_DIFFERENCE for picture in pictures)


def _small(image: Image.Image) -> NDArray[np.float64]:
    return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX), np.float64)


# --- others ---

_LIMITS = ("prlimit", "--as=4000000000", "--cpu=60")
"""In front of a command, so that a bomb costs nothing but itself."""


def _run(*command: str) -> bytes | None:
    """What a command prints if it is content."""
    done = subprocess.run([*_LIMITS, *command], capture_output=True, check=False)
    return None if done.returncode or done.stderr else done.stdout


def _convert(path: Path) -> NDArray[np.float64] | None:
    options = "-auto-orient -background white -alpha remove -colorspace sRGB -depth 8 -scale"
    printed = _run("convert", f"{path}[0]", *options.split(), f"{SIDE}x{SIDE}!", "ppm:-")
    return _small(Image.open(io.BytesIO(printed))) if printed else None


def _vips(path: Path) -> NDArray[np.float64] | None:
    side = str(SIDE)
    printed = _run("vips", "thumbnail", str(path), ".png[bitdepth=8]", side, "--height", side, "--size", "force")
    if not printed:
        return None
    picture = Image.open(io.BytesIO(printed)).convert("RGBA")
    return _small(Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture))


def _djpeg(path: Path) -> NDArray[np.float64] | None:
    printed = _run("djpeg", "-ppm", str(path))
    return _small(Image.open(io.BytesIO(printed))) if printed else None


OTHERS: Mapping[str, Other] = {"djpeg": _djpeg, "vips": _vips, "convert": _convert}
