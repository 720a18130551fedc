#!/bin/sh
# pillow 13.0.0, tifffile 2026.3.3, opencv-python-headless 5.0.0.93, numpy 2.4.6, November 2026.
#
# Guess: what Pillow cannot read of TIFF it refuses. An RGB TIFF of 16 bits whose channels lie one after the other
# (PlanarConfiguration 2, not compressed) opens as mode "RGB" and loads without an error or a warning, but both bytes of
# a sample are taken for a pixel each: the upper half of the photo, torn into stripes. The same pixels with the channels interleaved are right, and so is planar with 8 bits. OpenCV reads
# the planar file rightly by default and wrongly, without an error, with IMREAD_UNCHANGED.
#
# Seen (mean distance of the pixels from what was written, of 255):
#   pillow planar 16: wrong by more than 10 | interleaved 16: 0.0 | planar 8: 0.0
#   opencv planar 16: 0.0 | unchanged: wrong by more than 10
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 tifffile==2026.3.3 \
    opencv-python-headless==5.0.0.93 numpy==2.4.6
cd "$folder"
venv/bin/python -W error - <<'PY'
import cv2
import numpy as np
import tifffile
from PIL import Image

y, x = np.mgrid[0:64, 0:64] / 63
meant = (np.stack([0.2 + 0.6 * x, 0.3 + 0.4 * y, 0.7 - 0.5 * x * y], -1) * 255).round().astype(np.uint8)
meant16 = meant.astype(np.uint16) * 257
tifffile.imwrite("planar16.tif", np.moveaxis(meant16, -1, 0), photometric="rgb", planarconfig="separate")
tifffile.imwrite("planar8.tif", np.moveaxis(meant, -1, 0), photometric="rgb", planarconfig="separate")
tifffile.imwrite("contig16.tif", meant16, photometric="rgb")


def wrong_by(pixels):
    return float(np.abs(pixels.astype(int) - meant).mean())


def pillow(name):
    image = Image.open(name)
    assert image.mode == "RGB"
    return wrong_by(np.asarray(image))


def told(distance):
    return "wrong by more than 10" if distance > 10 else f"{distance:.1f}"


seen = [pillow("planar16.tif"), pillow("contig16.tif"), pillow("planar8.tif")]
print("pillow planar 16: {} | interleaved 16: {} | planar 8: {}".format(*map(told, seen)))
assert seen[0] > 10 and max(seen[1:]) == 0
colour = wrong_by(cv2.imread("planar16.tif")[..., ::-1])
unchanged = wrong_by(cv2.imread("planar16.tif", cv2.IMREAD_UNCHANGED)[..., ::-1] // 257)
print(f"opencv planar 16: {told(colour)} | unchanged: {told(unchanged)}")
assert colour == 0 and unchanged > 10
PY
