"""Which nodes of a graph compute feature maps, as against coordinates.

Few bits do little harm to feature maps. They spoil the corners of boxes, whose whole pixels already
take the digits of 16 bits.
"""

from collections.abc import Iterable, Iterator

import onnx

WEIGHTED = ("Conv", "Gemm")
"""Convolutions and matrix products: where feature maps come from."""
_PASSED_ON = ("Relu", "Clip", "Add", "MaxPool", "AveragePool", "Resize", "Concat")


def feature_nodes(
    nodes: Iterable[onnx.NodeProto], constants: Iterable[str]
) -> Iterator[onnx.NodeProto]:
    """The weighted nodes, and those that hand on or add up what these give.

    Args:
        nodes: of a graph, in order.
        constants: names of its initializers.
    """
    constant = set(constants)
    maps: set[str] = set()
    for node in nodes:
        read = [name for name in node.input if name and name not in constant]
        if node.op_type in WEIGHTED or (
            node.op_type in _PASSED_ON and read and maps.issuperset(read)
        ):
            maps.update(node.output)
            yield node
