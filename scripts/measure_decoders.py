"""Measure decoders of large JPEGs: what reading one at the size that facewatch works with takes, and how it differs.

scripts/measure_decoders ../shared/photos/album/selfies/001_A.jpg

Of simplejpeg and of libvips (pip install simplejpeg pyvips pyvips-binary) only where they are installed.
"""

from __future__ import annotations

import importlib.util
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facewatch import decode

Pixels = NDArray[np.uint8]
Reader = Callable[[bytes, int], Pixels]

SIZES = ((4000, 3000), (8000, 6000))
"""The photo is enlarged to these, in pixels."""


@click.command(help=__doc__)
@click.argument("photo", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def main(photo: Path) -> None:
    click.echo("| decoder | megapixels | ms | mean difference in levels |")
    click.echo("|---|---|---|---|")
    for width, height in SIZES:
        target = io.BytesIO()
        with Image.open(photo) as image:
            image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC).save(target, "JPEG", quality=90)
        data, step = target.getvalue(), width // decode.WORKING_SIDE
        known: Pixels | None = None
        for name, read in readers():
            pixels = read(data, step)
            known = pixels if known is None else known
            difference = np.abs(pixels.astype(int) - known).mean()
            click.echo(
                f"| {name} | {width * height / 1e6:.0f} | {milliseconds(read, data, step):.0f} | {difference:.2f} |"
            )


def readers() -> Iterator[tuple[str, Reader]]:
    """Yield what reads a JPEG at a step-th of its size, by name."""
    cv2: Any = importlib.import_module("cv2")
    yield "Pillow, as facewatch calls it", lambda data, _: decode.decode(io.BytesIO(data)).pixels
    cv2.setNumThreads(1)
    reduced = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}
    yield "OpenCV", lambda data, step: cv2.imdecode(np.frombuffer(data, np.uint8), reduced[step])[:, :, ::-1]
    if simplejpeg := installed("simplejpeg"):
        side = decode.WORKING_SIDE
        least = {"min_width": side, "min_height": side * 3 // 4, "fastdct": False, "fastupsample": False}
        yield "simplejpeg", lambda data, _: simplejpeg.decode_jpeg(data, "RGB", **least)
    if pyvips := installed("pyvips"):
        yield "libvips", lambda data, step: array_of(pyvips.Image.jpegload_buffer(data, shrink=step))


def installed(package: str) -> Any:
    return importlib.import_module(package) if importlib.util.find_spec(package) else None


def array_of(image: Any) -> Pixels:
    return np.frombuffer(image.write_to_memory(), np.uint8).reshape(image.height, image.width, image.bands)


def milliseconds(read: Reader, data: bytes, step: int, n: int = 9) -> float:
    """Return the least processor time that one reading takes."""
    took = []
    for _ in range(n):
        started = time.process_time()
        read(data, step)
        took.append(time.process_time() - started)
    return 1000 * min(took)


if __name__ == "__main__":
    main()
