#!/bin/sh
# pillow 13.0.0, opencv-python-headless 5.0.0.93, scikit-image 0.26.0, tifffile 2026.3.3, numpy 2.4.6, November 2026.
#
# Guess: a reader either knows that a grey TIFF may count from white (PhotometricInterpretation 0) or it does not.
# Pillow turns 8 bits round and leaves 16 bits a negative, without a word. OpenCV gives the very same 16-bit file as a
# positive by default and as a negative with IMREAD_UNCHANGED. scikit-image never turns it round. A scanner's 16-bit
# film scans so become faces of nobody, and negatives look alike to every recogniser.
#
# Seen (what is bright in the picture, and what is dark):
#    8 bits: pillow 225 30, opencv 225 30, opencv unchanged 225 30, skimage 30 225
#   16 bits: pillow 7710 57825, opencv 225 30, opencv unchanged 7710 57825, skimage 7710 57825
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 opencv-python-headless==5.0.0.93 \
    scikit-image==0.26.0 tifffile==2026.3.3 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import cv2
import numpy as np
import skimage.io
import tifffile
from PIL import Image

for bits, kind, turned in ((8, np.uint8, {"skimage"}), (16, np.uint16, {"pillow", "opencv unchanged", "skimage"})):
    most = 2**bits - 1
    meant = np.repeat([[225, 30]], 8, axis=0).repeat(8, axis=1).astype(kind) * (most // 255)
    tifffile.imwrite("a.tif", most - meant, photometric="miniswhite")
    seen = {
        "pillow": np.asarray(Image.open("a.tif")),
        "opencv": cv2.imread("a.tif", cv2.IMREAD_GRAYSCALE),
        "opencv unchanged": cv2.imread("a.tif", cv2.IMREAD_UNCHANGED),
        "skimage": skimage.io.imread("a.tif"),
    }
    print(f"{bits:2} bits:", ", ".join(f"{name} {grey[0, 0]} {grey[0, -1]}" for name, grey in seen.items()))
    assert {name for name, grey in seen.items() if grey[0, 0] < grey[0, -1]} == turned
PY
