"""Small edits of an ONNX graph: find, replace, insert, and leave nothing unused behind."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper


class GraphEdit:
    """A copy of a model under change.

    Attributes:
        constants: every initializer's value by name.
        dequantized: scale of every tensor that comes out of a DequantizeLinear.
        outputs: names of the graph's outputs.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        self.nodes: list[onnx.NodeProto] = list(self._model.graph.node)
        self.constants: dict[str, NDArray[Any]] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in self._model.graph.initializer
        }
        self.dequantized: dict[str, float] = {}
        self.outputs = {output.name for output in self._model.graph.output}

    def consumers(self, tensor: str) -> list[onnx.NodeProto]:
        """The nodes that read a tensor; none for an output of the graph, which others read."""
        if tensor in self.outputs:
            return []
        return [node for node in self.nodes if tensor in node.input]

    def add_constant(self, name: str, value: NDArray[Any] | np.generic) -> str:
        """Add an initializer and give back its name.

        Raises:
            ValueError: the name is taken.
        """
        if name in self.constants:
            raise ValueError(f"the graph has a constant {name!r} already")
        self.constants[name] = np.asarray(value)
        return name

    def replace(self, old: Sequence[onnx.NodeProto], new: Sequence[onnx.NodeProto]) -> None:
        """Put ``new`` where the first of ``old`` stood and take all of ``old`` out."""
        at = self._index(old[0])
        self.nodes[at:at] = new
        gone = {id(node) for node in old}
        self.nodes = [node for node in self.nodes if id(node) not in gone]

    def insert_after(
        self, tensor: str, make: Callable[[str, str], Sequence[onnx.NodeProto]]
    ) -> None:
        """Insert nodes between a tensor and all its readers.

        Args:
            tensor: computed by a node, not an input of the graph.
            make: given the name the tensor is now computed under and the name its readers know,
                returns the nodes from one to the other.
        """
        producer = next(node for node in self.nodes if tensor in node.output)
        source = f"{tensor}.float"
        producer.output[list(producer.output).index(tensor)] = source
        at = self._index(producer) + 1
        self.nodes[at:at] = make(source, tensor)

    def insert_before(self, node: onnx.NodeProto, new: onnx.NodeProto) -> None:
        """Insert a node in front of another."""
        self.nodes.insert(self._index(node), new)

    def insert_after_node(self, node: onnx.NodeProto, new: onnx.NodeProto) -> None:
        """Insert a node behind another."""
        self.nodes.insert(self._index(node) + 1, new)

    def dequantize_constant(
        self,
        node: onnx.NodeProto,
        index: int,
        integers: NDArray[Any],
        scales: NDArray[np.float32],
        axis: int,
    ) -> None:
        """Feed input ``index`` of a node from integers, with one scale for each along ``axis``."""
        name = f"{node.output[0]}.input{index}"
        inputs = [
            self.add_constant(f"{name}.integers", integers),
            self.add_constant(f"{name}.scale", scales),
            self.add_constant(f"{name}.zero_point", np.zeros(len(scales), integers.dtype)),
        ]
        dequantize = helper.make_node("DequantizeLinear", inputs, [name], axis=axis)
        self.insert_before(node, dequantize)
        node.input[index] = name

    def finish(self) -> onnx.ModelProto:
        """The changed model, checked, with unread constants left out.

        Raises:
            onnx.checker.ValidationError: the edits broke the graph.
        """
        graph = self._model.graph
        read = {name for node in self.nodes for name in node.input} | self.outputs
        del graph.node[:]
        graph.node.extend(self.nodes)
        del graph.initializer[:]
        graph.initializer.extend(
            numpy_helper.from_array(value, name)
            for name, value in self.constants.items()
            if name in read
        )
        del graph.value_info[:]
        onnx.checker.check_model(self._model, full_check=True)
        return self._model

    def _index(self, node: onnx.NodeProto) -> int:
        return next(i for i, candidate in enumerate(self.nodes) if candidate is node)
