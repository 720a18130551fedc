"""Which ONNX file is the detector and which the recogniser: their graphs say so, nothing is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from facewatch.errors import EngineError
from facewatch.modules import import_alone

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

Kind = Literal["detector", "blind detector", "recogniser", "other"]
"""A blind detector gives no landmarks, and without them no face can be aligned."""

Shape = Sequence[int | None]
"""The lengths of an array's axes; None is one that varies."""

CROP_SIDE = 112
"""What ArcFace-style networks take, in pixels. Those for landmarks, age and sex take other sizes."""

_N_OUTPUTS: dict[int, Kind] = {9: "detector", 15: "detector", 6: "blind detector", 10: "blind detector"}
"""SCRFD has one output for scores, one for boxes and perhaps one for landmarks, for each of three or five strides."""

_MIN_DIMS = 11
"""A network that gives fewer numbers estimates age or sex, not identity."""


@dataclass(frozen=True, slots=True)
class Graph:
    """What an ONNX file is."""

    path: Path
    kind: Kind
    n_dims: int
    """Of a recogniser's embeddings; 0 for all others."""


def is_model(path: Path) -> bool:
    """Whether a name is that of an ONNX file; macOS leaves "._x.onnx", which are none, in folders and archives."""
    return path.suffix.lower() == ".onnx" and not path.name.startswith(".")


def pick_models(folder: Path, *, called: Path | None = None) -> tuple[Graph, Graph]:
    """Return the detector and the recogniser of a folder; other models in it are passed over.

    Args:
        called: what the folder is called in errors, where users do not know it.

    Raises:
        EngineError: one of the two is missing or there are several, a file is damaged, or there are none.
    """
    try:
        return choose([read_graph(file) for file in _model_files(folder)])
    except EngineError as error:
        raise EngineError(f"{called or folder}: {error}") from error


def _model_files(folder: Path) -> list[Path]:
    try:
        files = sorted(path for path in folder.iterdir() if is_model(path) and path.is_file())
    except OSError as error:
        raise EngineError(f"cannot be read ({error.strerror}); check the folder's rights") from error
    if not files:
        raise EngineError(f"no ONNX files in it; {_where_else(folder)}")
    return files


def _where_else(folder: Path) -> str:
    """Insightface's archives unpack into a folder inside a folder."""
    inner = next((path.parent for path in sorted(folder.glob("*/*")) if is_model(path)), None)
    return f"did you mean {inner}?" if inner else "name the folder that holds a detector and a recogniser"


def choose(graphs: Sequence[Graph]) -> tuple[Graph, Graph]:
    """Return the one detector and the one recogniser among the models of a pack.

    Raises:
        EngineError: one of the two is missing, or there are several.
    """
    detectors = [graph for graph in graphs if graph.kind == "detector"]
    recognisers = [graph for graph in graphs if graph.kind == "recogniser"]
    for several, kind in ((detectors, "detectors"), (recognisers, "recognisers")):
        if len(several) > 1:
            raise EngineError(f"{len(several)} {kind} ({_names(several)}); a pack has one, move the others out")
    if detectors and recognisers:
        return detectors[0], recognisers[0]
    raise EngineError(_missing(graphs, detectors, recognisers))


def _missing(graphs: Sequence[Graph], detectors: Sequence[Graph], recognisers: Sequence[Graph]) -> str:
    blind = [graph for graph in graphs if graph.kind == "blind detector"]
    if blind and not detectors:
        return f"{_names(blind)} finds faces without landmarks; take a detector with them (its name ends in kps)"
    if recognisers:
        return (
            f"a recogniser ({_names(recognisers)}) without a detector; put an SCRFD detector with landmarks beside it"
        )
    if detectors:
        return f"a detector ({_names(detectors)}) without a recogniser; put an ArcFace model beside it"
    return f"neither a detector nor a recogniser ({_names(graphs)}); an SCRFD detector and an ArcFace model make a pack"


def _names(graphs: Sequence[Graph]) -> str:
    return ", ".join(graph.path.name for graph in graphs)


def read_graph(path: Path) -> Graph:
    """Return what an ONNX file is.

    Raises:
        EngineError: it is damaged or cannot be read, or it keeps its weights in another file.
    """
    model = _load(path)
    graph = model.graph
    # Old files list their weights among the inputs.
    weights = {tensor.name for tensor in graph.initializer}
    kind, n_dims = classify(
        [_shape(value) for value in graph.input if value.name not in weights],
        [_shape(value) for value in graph.output],
    )
    if kind != "other" and any(tensor.data_location == tensor.EXTERNAL for tensor in graph.initializer):
        raise EngineError(f"the weights of {path.name} lie in another file; save it with them as one file")
    return Graph(path, kind, n_dims)


def _load(path: Path) -> ModelProto:
    # What reads the format; onnx as a whole takes 0.1 s.
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model: ModelProto = import_alone("onnx.onnx_ml_pb2").ModelProto.FromString(path.read_bytes())
    except DecodeError as error:
        raise EngineError(_damaged(path)) from error
    except OSError as error:
        raise EngineError(f"{path.name} cannot be read ({error.strerror}); check the file's rights") from error
    # An empty file is a valid message that says nothing.
    if not model.graph.output:
        raise EngineError(_damaged(path))
    return model


def _damaged(path: Path) -> str:
    return f"{path.name} is no ONNX model, or a damaged one; get the file again"


def _shape(value: ValueInfoProto) -> Shape:
    return [axis.dim_value or None for axis in value.type.tensor_type.shape.dim]


def classify(inputs: Sequence[Shape], outputs: Sequence[Shape]) -> tuple[Kind, int]:
    """Return what a graph with these inputs and outputs is, and the length of its embeddings (0: it gives none)."""
    if len(inputs) != 1:
        return "other", 0
    if len(outputs) == 1 and _takes_crops(inputs[0]) and len(outputs[0]) == 2:
        n_dims = outputs[0][1] or 0
        return ("recogniser", n_dims) if n_dims >= _MIN_DIMS else ("other", 0)
    return _N_OUTPUTS.get(len(outputs), "other"), 0


def _takes_crops(shape: Shape) -> bool:
    return len(shape) == 4 and shape[1] == 3 and all(side in (CROP_SIDE, None) for side in shape[2:])
