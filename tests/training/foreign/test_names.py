"""Names are followed into the graphs inside of nodes."""

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from training.foreign.batch import one_by_one
from training.foreign.names import all_nodes, prune, reads, rename


def branch(name: str, operator: str) -> onnx.GraphProto:
    """A branch of an If that reads ``double`` from outside."""
    value = helper.make_tensor_value_info(f"{name}.out", TensorProto.FLOAT, None)
    node = helper.make_node(operator, ["double"], [f"{name}.out"])
    return helper.make_graph([node], name, [], [value])


def model() -> onnx.ModelProto:
    """``x: float32[1, 2]`` -> ``y``, minus or plus twice x; ``unused`` is twice x, too."""
    condition = helper.make_node(
        "If", ["yes"], ["y"], then_branch=branch("then", "Neg"), else_branch=branch("else", "Abs")
    )
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["double"]),
        helper.make_node("Mul", ["x", "three"], ["unused"]),
        condition,
    ]
    graph = helper.make_graph(
        nodes,
        "branches",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [
            numpy_helper.from_array(np.array(2, np.float32), "two"),
            numpy_helper.from_array(np.array(3, np.float32), "three"),
            numpy_helper.from_array(np.array(True), "yes"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(made: onnx.ModelProto, value: list[list[float]]) -> list[list[float]]:
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    answer: list[list[float]] = session.run(None, {name: np.array(value, np.float32)})[0].tolist()
    return answer


def test_what_a_branch_reads_is_read_by_its_node() -> None:
    made = model()
    assert reads(made.graph.node[2]) == {"yes", "double", "then.out", "else.out"}
    assert [node.op_type for node in all_nodes(made.graph)] == ["Mul", "Mul", "If", "Abs", "Neg"]


def test_prune_keeps_what_a_branch_reads() -> None:
    made = model()
    prune(made.graph)
    assert [node.output[0] for node in made.graph.node] == ["double", "y"]
    assert [tensor.name for tensor in made.graph.initializer] == ["two", "yes"]
    assert run(made, [[1, -3]]) == [[-2, 6]]


def test_rename_reaches_the_branches() -> None:
    made = model()
    rename(made.graph, lambda name: f"my.{name}")
    assert run(made, [[1, -3]]) == [[-2, 6]]
    names = {name for node in all_nodes(made.graph) for name in (*node.input, *node.output)}
    assert all(name.startswith("my.") for name in names)


def test_a_graph_with_branches_runs_item_by_item() -> None:
    assert run(one_by_one(model(), (2,)), [[1, -3], [0.5, 2], [4, 4]]) == [
        [-2, 6],
        [-1, -4],
        [-8, -8],
    ]
