"""Names in an ONNX graph and in the graphs inside its nodes."""

from collections.abc import Callable, Iterator

import onnx


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs that a node holds, such as the branches of an If."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == onnx.AttributeProto.GRAPHS:
            yield from attribute.graphs


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Every node, those of inner graphs included."""
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from all_nodes(inner)


def reads(node: onnx.NodeProto) -> set[str]:
    """The tensors a node may read, those that its inner graphs read included."""
    names = {name for name in node.input if name}
    for inner in subgraphs(node):
        names |= {output.name for output in inner.output}
        for inside in inner.node:
            names |= reads(inside)
    return names


def rename(graph: onnx.GraphProto, new: Callable[[str], str]) -> None:
    """Give every tensor of a graph and of its inner graphs the name ``new`` has for it."""
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for value in values:
        value.name = new(value.name)
    for sparse in graph.sparse_initializer:
        sparse.values.name = new(sparse.values.name)
    for node in graph.node:
        node.input[:] = [name and new(name) for name in node.input]
        node.output[:] = [name and new(name) for name in node.output]
        for inner in subgraphs(node):
            rename(inner, new)


def prune(graph: onnx.GraphProto) -> None:
    """Take out nodes and constants that no output of the graph needs."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed |= reads(node)
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)
