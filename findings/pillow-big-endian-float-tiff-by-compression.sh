#!/bin/sh
# pillow 13.0.0, tifffile 2026.3.3, imagecodecs 2026.3.6, numpy 2.4.6, November 2026.
#
# Guess: whether the numbers of a float TIFF are right does not depend on how they are compressed. Pillow reads a
# big-endian float TIFF (ImageJ, telescopes, 3-D scanners) rightly when it is not compressed, and swaps the bytes once
# too often when it is (Deflate, LZW, PackBits): 0.8 becomes -428443616, without an error or a warning.
# Little-endian files are right in every compression.
#
# Seen (0.8 was written; tifffile reads 0.8 of each):
#   little-endian: none 0.8, zlib 0.8, lzw 0.8, packbits 0.8
#   big-endian: none 0.8, zlib -428443616, lzw -428443616, packbits -428443616
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 tifffile==2026.3.3 \
    imagecodecs==2026.3.6 numpy==2.4.6
cd "$folder"
venv/bin/python -W error - <<'PY'
import numpy as np
import tifffile
from PIL import Image

for order, name in (("<", "little-endian"), (">", "big-endian")):
    told = []
    for compression in (None, "zlib", "lzw", "packbits"):
        written = np.full((32, 32), 0.8, f"{order}f4")
        tifffile.imwrite("a.tif", written, byteorder=order, photometric="minisblack", compression=compression)
        assert np.array_equal(tifffile.imread("a.tif"), written)
        image = Image.open("a.tif")
        assert image.mode == "F"
        value = np.asarray(image)[0, 0]
        is_right = bool(value == np.float32(0.8))
        told.append(f"{compression or 'none'} {value:.1f}" if is_right else f"{compression} {value:.0f}")
        assert is_right == (order == "<" or compression is None)
    print(f"{name}: {', '.join(told)}")
PY
