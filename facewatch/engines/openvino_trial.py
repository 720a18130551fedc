"""OpenVINO tried on a recogniser, in a process that it may crash: how far its vectors are from onnxruntime's.

python -m facewatch.engines.openvino_trial MODEL.onnx bf16
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from facewatch.engines.openvino_network import CROP_SHAPE, OpenVinoNetwork, Precision
from facewatch.engines.sessions import open_session

if TYPE_CHECKING:
    from facewatch.types import Floats

N_CROPS = 8

GRAIN = 7
"""Pixels of a crop that a patch of one colour is wide: about as coarse as the features of a face."""


def made_crops() -> Floats:
    """Return pictures of soft patches as the network takes them, float32, shape (N_CROPS, 3, 112, 112), -1 to 1.

    Faces are no harder: with a MobileFaceNet the cosine of bf16 to 32 bits is .9995 at least, that of 60 faces of LFW
    .9997.
    """
    import cv2

    side = CROP_SHAPE[-1]
    patches = np.random.default_rng(0).uniform(-1, 1, (N_CROPS, side // GRAIN, side // GRAIN, 3)).astype(np.float32)
    large = [cv2.resize(one, (side, side), interpolation=cv2.INTER_CUBIC) for one in patches]
    return np.ascontiguousarray(np.array(large, np.float32).clip(-1, 1).transpose(0, 3, 1, 2))


def least_cosine(model: bytes, precision: Precision) -> float:
    """Return the cosine between both vectors of that crop for which it is least; not a number where one has none."""
    crops, exact = made_crops(), open_session(model)
    tried = OpenVinoNetwork(model, precision=precision, n_threads=1)
    inputs = {exact.get_inputs()[0].name: crops}
    [wanted], [found] = exact.run(None, inputs), tried.run(None, inputs)
    return float((unit(wanted) * unit(found)).sum(axis=1).min())


def unit(vectors: Floats) -> Floats:
    with np.errstate(all="ignore"):
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


if __name__ == "__main__":
    sys.stdout.write(f"{least_cosine(Path(sys.argv[1]).read_bytes(), cast(Precision, sys.argv[2]))}\n")
