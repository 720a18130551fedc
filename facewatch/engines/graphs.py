"""Networks as ONNX graphs, made of numbers that lie in files of other formats."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass
class GraphBuilder:
    """An ONNX graph in the making; methods return the name of what they added."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def constant(self, array: NDArray[Any]) -> str:
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def model(self, name: str, pixels: Sequence[int | str], outputs: dict[str, Sequence[int | str]]) -> bytes:
        """Return the serialised model: its input `pixels` and its outputs are float32, of these shapes; a word stands
        for any number."""
        from onnx import TensorProto, helper

        values = [helper.make_tensor_value_info(one, TensorProto.FLOAT, shape) for one, shape in outputs.items()]
        inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, pixels)]
        graph = helper.make_graph(self.nodes, name, inputs, values, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        serialised: bytes = model.SerializeToString()
        return serialised
