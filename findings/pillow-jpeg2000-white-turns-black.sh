#!/bin/sh
# pillow 13.0.0, imagecodecs 2026.3.6, numpy 2.4.6, November 2026.
#
# Guess: a colour JPEG 2000 of more than 8 bits a channel (cinema, scanners, satellites) comes out of Pillow as 8 bits,
# rounded. It does but for the lights: the brightest values round up to 256 and become 0. White paper, skies and the
# white of eyes are black holes, without an error or a warning. Grey ones keep their 16 bits and are right.
#
# Seen (grey value written, of 65535: what Pillow gives, of 255):
#   RGB  0.500: 128  0.990: 253  0.995: 255  0.999: 0  1.000: 0
#   grey 0.500: 128  0.990: 252  0.995: 254  0.999: 255  1.000: 255
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 imagecodecs==2026.3.6 numpy==2.4.6
"$folder/venv/bin/python" -W error - <<'PY'
import io

import imagecodecs
import numpy as np
from PIL import Image

SHARES = (0.5, 0.99, 0.995, 0.999, 1.0)


def seen(share, shape):
    written = np.full(shape, round(share * 65535), np.uint16)
    file = imagecodecs.jpeg2k_encode(written, level=0, codecformat="jp2", reversible=True, mct=False)
    assert np.array_equal(imagecodecs.jpeg2k_decode(file), written)
    image = Image.open(io.BytesIO(file))
    assert image.mode == ("RGB" if len(shape) == 3 else "I;16")
    value = int(np.asarray(image)[0, 0].max())
    return value if image.mode == "RGB" else round(value / 257)


colour = [seen(share, (16, 16, 3)) for share in SHARES]
grey = [seen(share, (16, 16)) for share in SHARES]
print("RGB ", "  ".join(f"{share:.3f}: {value}" for share, value in zip(SHARES, colour, strict=True)))
print("grey", "  ".join(f"{share:.3f}: {value}" for share, value in zip(SHARES, grey, strict=True)))
assert colour == [128, 253, 255, 0, 0]
assert grey == [128, 252, 254, 255, 255]
PY
