"""A recogniser run by OpenVINO, whose package is an extra, instead of onnxruntime. Nothing of it reports to anybody."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from facewatch.engines.sessions import CPU, one_line
from facewatch.errors import EngineError

if TYPE_CHECKING:
    from facewatch.types import Floats

Precision = Literal["f32", "bf16"]
"""In which numbers a network is computed: of 32 bits, or of 16 with the exponents of 32."""

CROP_SHAPE = (1, 3, 112, 112)
"""One face: several at once take as long, and OpenVINO is slower where it has to be ready for any number."""

NOT_WANTED = ("openvino_telemetry", "openvino.tools.ovc")
"""What `import openvino` takes along where it is installed: a package that reports use to its maker, and a converter of
models that sends such a report as soon as it is imported. Networks are run without both."""

_BF16_FLAGS = {"avx512_bf16", "amx_bf16"}


def import_openvino() -> ModuleType:
    """Return OpenVINO's module, imported without what reports its use.

    Raises:
        EngineError: it is absent, or does not load here.
    """
    try:
        with _barred(NOT_WANTED):
            module = importlib.import_module("openvino")
            _ = module.Core
    except Exception as error:  # a library that does not fit the system, a package of which a part is missing
        raise EngineError(f"openvino does not load ({one_line(error)})") from error
    return module


@contextmanager
def _barred(names: Iterable[str]) -> Iterator[None]:
    """Let modules that are not imported yet be as if they were not installed."""
    barred = {name: None for name in names if name not in sys.modules}
    sys.modules.update(barred)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in barred:
            sys.modules.pop(name, None)


def has_bf16(cpuinfo: Path) -> bool:
    """Whether the processor itself multiplies numbers of 16 bits, as far as Linux says so.

    Args:
        cpuinfo: where that stands.

    OpenVINO takes them on every processor with AVX-512, and where it has to imitate them that is slow.
    """
    try:
        flags = re.search(r"^flags\s*:(.*)$", cpuinfo.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    except OSError:
        return False
    return flags is not None and bool(_BF16_FLAGS & set(flags[1].split()))


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a network, as onnxruntime describes it."""

    name: str
    shape: list[int]


class OpenVinoNetwork:
    """What insightface asks of a recogniser's onnxruntime session, answered by OpenVINO on the CPU."""

    def __init__(self, model: bytes, *, precision: Precision, n_threads: int) -> None:
        """Compile a model (ONNX) of one input for one face; its PReLU stays as it is, which OpenVINO knows in its own
        layout.

        Raises:
            EngineError: OpenVINO is not there or does not load.
            Exception: it cannot read or compile this model, with a class of its own.
        """
        core = import_openvino().Core()
        network = core.read_model(model=model)
        network.reshape(list(CROP_SHAPE))
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": n_threads,
            "NUM_STREAMS": 1,
            # Each worker process would have its threads on the same first cores.
            "ENABLE_CPU_PINNING": False,
        }
        compiled = core.compile_model(network, "CPU", settings)
        self._request = compiled.create_infer_request()
        self._inputs, self._outputs = (
            [_described(port) for port in ports] for ports in (compiled.inputs, compiled.outputs)
        )

    def get_inputs(self) -> list[Port]:
        return self._inputs

    def get_outputs(self) -> list[Port]:
        return self._outputs

    def get_providers(self) -> list[str]:
        """Return on what it runs, in onnxruntime's words."""
        return [CPU]

    def run(self, _names: Iterable[str] | None, inputs: Mapping[str, Floats]) -> list[Floats]:
        """Return the one output of so many faces, shape (n_faces, n_dims)."""
        [faces] = inputs.values()
        vectors = [self._vector(faces[n : n + 1]) for n in range(len(faces))]
        return [np.concatenate(vectors)]

    def _vector(self, face: Floats) -> Floats:
        self._request.infer({0: face}, share_inputs=True)
        return np.array(self._request.get_output_tensor(0).data, np.float32)


def _described(port: Any) -> Port:
    return Port(port.get_any_name(), list(port.shape))
