#!/bin/sh
# pyvips 3.2.0 with pyvips-binary 8.18.7, pillow 13.0.0, numpy 2.4.6, November 2026.
#
# Guess: a TIFF in a compression that a build does not know raises an error. pyvips-binary has no Zstandard and no LZMA
# in its libtiff; Pillow's wheel writes both. pyvips opens such a file and gives an all-black picture of the right size,
# also from thumbnail(); the only sign is a line on stderr. fail_on="error" makes it raise. A photo program built
# on thumbnails shows black and a face finder says "no face" of a whole photo.
#
# Seen:
#   tiff_lzw   pixels from 51 to 204, thumbnail from 52 to 203, fail_on=error: no error
#   zstd       pixels from 0 to 0, thumbnail from 0 to 0, fail_on=error: Error
#   lzma       pixels from 0 to 0, thumbnail from 0 to 0, fail_on=error: Error
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyvips==3.2.0 pyvips-binary==8.18.7 pillow==13.0.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import numpy as np
import pyvips
from PIL import Image

y, x = np.mgrid[0:64, 0:64] / 63
meant = (np.stack([0.2 + 0.6 * x, 0.3 + 0.4 * y, 0.7 - 0.5 * x * y], -1) * 255).round().astype(np.uint8)
for compression in ("tiff_lzw", "zstd", "lzma"):
    name = f"{compression}.tif"
    Image.fromarray(meant).save(name, compression=compression)
    assert np.array_equal(np.asarray(Image.open(name)), meant)
    pixels, small = pyvips.Image.new_from_file(name).numpy(), pyvips.Image.thumbnail(name, 32).numpy()
    try:
        pyvips.Image.new_from_file(name, fail_on="error").numpy()
        strict = "no error"
    except pyvips.Error:
        strict = "Error"
    print(
        f"{compression:10} pixels from {pixels.min()} to {pixels.max()}, "
        f"thumbnail from {small.min()} to {small.max()}, fail_on=error: {strict}"
    )
    assert pixels.shape == meant.shape
    is_black = compression != "tiff_lzw"
    assert (pixels.max() == 0) == is_black and (small.max() == 0) == is_black and (strict == "Error") == is_black
PY
