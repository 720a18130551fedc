#!/bin/sh
# dlib-bin 20.0.1.post1, numpy 2.4.6, November 2026.
#
# Guess: a picture that was turned by np.rot90 and went through np.ascontiguousarray is laid out as dlib wants it.
# numpy calls a strip of one pixel's width contiguous whatever its strides are, so nothing is copied, and dlib, which
# looks at the strides, refuses it. One pixel more and the same lines work; so does .copy().
#
# Seen (strides after ascontiguousarray, and what the detector says):
#   1 pixel high, turned: (3, -120, 1) RuntimeError: The stride of the 2nd dimension (...) must be 3
#   the same, copied: (3, 3, 1) 0 faces
#   2 pixels high, turned: (6, 3, 1) 0 faces
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check dlib-bin==20.0.1.post1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import dlib
import numpy as np

detector = dlib.get_frontal_face_detector()


def look(name, pixels):
    try:
        found = f"{len(detector.run(pixels, 0, 0.0)[0])} faces"
    except RuntimeError as error:
        found = f"RuntimeError: {error}"
    print(f"{name}: {pixels.strides} {found}")
    return found


strip, wider = (np.full((height, 40, 3), 90, np.uint8) for height in (1, 2))
turned = np.ascontiguousarray(np.rot90(strip, 3))
assert turned.flags.c_contiguous
assert "stride of the 2nd dimension" in look("1 pixel high, turned", turned)
assert look("the same, copied", turned.copy()) == "0 faces"
assert look("2 pixels high, turned", np.ascontiguousarray(np.rot90(wider, 3))) == "0 faces"
PY
