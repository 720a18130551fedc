#!/bin/sh
# pillow 13.0.0, opencv-python-headless 5.0.0.93, numpy 2.4.6, November 2026.
#
# Guess: what a tEXt chunk of a PNG is called is the writer's business. Pillow keeps texts in the same dictionary as what
# its decoder is told: a text called "interlace" makes a valid picture "truncated", one called "bbox" makes it
# invalid, one called "transparency" makes convert() raise, and one called "icc_profile", "exif" or "xmp" is handed out
# in their place. OpenCV reads all of these files.
#
# Seen:
#   Comment       pillow right
#   interlace     pillow OSError: image file is truncated (0 bytes not processed)
#   bbox          pillow ValueError: invalid extents
#   transparency  pillow TypeError: argument 2 must be sequence of length 3, not 5
#   icc_profile   pillow right, info['icc_profile'] is 'hello'
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 opencv-python-headless==5.0.0.93 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import io

import cv2
import numpy as np
from PIL import Image, PngImagePlugin

EXPECTED = {
    "Comment": "right",
    "interlace": "OSError: image file is truncated (0 bytes not processed)",
    "bbox": "ValueError: invalid extents",
    "transparency": "TypeError: argument 2 must be sequence of length 3, not 5",
    "icc_profile": "right, info['icc_profile'] is 'hello'",
}
written = np.full((8, 8), 200, np.uint8)
for keyword, expected in EXPECTED.items():
    texts = PngImagePlugin.PngInfo()
    texts.add_text(keyword, "hello")
    file = io.BytesIO()
    Image.fromarray(written).save(file, "PNG", pnginfo=texts)
    assert np.array_equal(cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_UNCHANGED), written)
    try:
        image = Image.open(io.BytesIO(file.getvalue()))
        assert np.array_equal(np.asarray(image.convert("RGBA"))[..., 0], written)
        seen = "right" if keyword == "Comment" else f"right, info[{keyword!r}] is {image.info[keyword]!r}"
    except (OSError, ValueError, TypeError) as error:
        seen = f"{type(error).__name__}: {error}"
    print(f"{keyword:13} pillow {seen}")
    assert seen == expected, seen
PY
