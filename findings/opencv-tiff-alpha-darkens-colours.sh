#!/bin/sh
# opencv-python-headless 5.0.0.93 (numpy 2.4.6, pillow 13.0.0), November 2026.
#
# Guess: cv2.imread with IMREAD_UNCHANGED gives the colours that are in the file, and IMREAD_COLOR drops the alpha channel.
# So it is for PNG and WebP. Of the same picture as a TIFF, whose tag says that its alpha is NOT multiplied in
# (ExtraSamples 2, as Pillow writes it), both flags give colours multiplied by alpha: half transparent is half as dark.
# Faces under a soft mask or vignette saved as TIFF come out darkened, and only there.
#
# Seen:
#   png   unchanged [197  85 169 128] colour [197  85 169]
#   webp  unchanged [197  85 169 128] colour [197  85 169]
#   tif   unchanged [ 99  43  85 128] colour [ 99  43  85]
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.4.6 pillow==13.0.0
cd "$folder"
venv/bin/python - <<'PY'
import cv2
import numpy as np
from PIL import Image, TiffImagePlugin

stored = np.full((8, 8, 4), (197, 85, 169, 128), np.uint8)
Image.fromarray(stored).save("a.png")
Image.fromarray(stored).save("a.webp", lossless=True)
Image.fromarray(stored).save("a.tif")
assert Image.open("a.tif").tag_v2[TiffImagePlugin.EXTRASAMPLES] == (2,)

for ending, expected in (("png", [197, 85, 169]), ("webp", [197, 85, 169]), ("tif", [99, 43, 85])):
    unchanged = cv2.imread(f"a.{ending}", cv2.IMREAD_UNCHANGED)[0, 0]
    colour = cv2.imread(f"a.{ending}", cv2.IMREAD_COLOR)[0, 0]
    print(f"{ending:5} unchanged {unchanged[[2, 1, 0, 3]]} colour {colour[::-1]}")
    assert unchanged[[2, 1, 0]].tolist() == expected and unchanged[3] == 128
    assert colour[::-1].tolist() == expected
PY
