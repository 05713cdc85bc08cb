"""The outlines of a class in a mask, as polygons along the edges of its pixels."""

from itertools import chain

import numpy as np
from numpy.typing import NDArray

from service.runs import Runs

Ints = NDArray[np.int64]


def polygons(runs: Runs) -> list[list[int]]:
    """Polygons that cover the pixels of one class exactly, in COCO's flat form.

    One for every part whose pixels touch at their sides, ``[x1, y1, x2, y2, ...]`` in corners of
    pixels, clockwise, from the top. A hole is joined to the outline above it by a cut of no width,
    which the polygon goes along twice: filled by whichever rule it stays a hole, and the area by
    the shoelace formula is the number of pixels.

    Only corners are looked at. Neighbouring runs that begin or end in the same row make a
    horizontal edge, and every end of an edge is joined to the next one in its column.

    Args:
        runs: of the class, at least one.
    """
    tops, top_of_run, _ = _edges(runs.tops, runs.columns)
    bottoms, _, first_run = _edges(runs.bottoms, runs.columns)
    count = tops.shape[1]
    y, left, right = np.concatenate([tops, bottoms], 1)
    # An edge has the class on its right. Its nodes are 2e, where it begins, and 2e + 1.
    is_top = np.arange(len(y)) < count
    x = np.stack([np.where(is_top, left, right), np.where(is_top, right, left)], 1).ravel()
    y = y.repeat(2)
    following = np.arange(1, len(y) + 1)
    # Where two pixels of the class meet at a corner only, the upper one is closed first.
    pairs = np.lexsort([is_top.repeat(2), y, x]).reshape(-1, 2)
    ends, begins = np.where(pairs[:, :1] % 2, pairs, pairs[:, ::-1]).T
    following[ends] = begins

    outer: list[int] = []
    holes: list[int] = []
    for first in _rings(following, np.lexsort([left, y[::2]])):
        (outer if first < 2 * count else holes).append(first)
    if holes:
        edges = np.array(holes) // 2
        following, x, y = _cut(edges, top_of_run[first_run[edges - count]], following, x, y)
    return _walk(outer, following, x, y)


def _edges(rows: NDArray[np.int32], columns: NDArray[np.int32]) -> tuple[Ints, Ints, Ints]:
    """Join the sides of single pixels, above ``rows`` at ``columns``, to edges.

    Returns:
        Row, left and right of each edge ``[3,E]``; the edge of each side; the leftmost side of
        each edge.
    """
    order = np.lexsort([columns, rows])
    y, x = rows[order].astype(np.int64), columns[order].astype(np.int64)
    new = np.append(True, (y[1:] != y[:-1]) | (x[1:] != x[:-1] + 1))
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(order)) - 1
    edge_of_side = np.empty(len(order), np.int64)
    edge_of_side[order] = np.cumsum(new) - 1
    return np.stack([y[first], x[first], x[last] + 1]), edge_of_side, order[first]


def _rings(following: Ints, order: Ints) -> list[int]:
    """The first node of every ring, from its topmost edge, the leftmost of those."""
    successors, seen, firsts = following.tolist(), bytearray(len(following)), []
    for first in (2 * order).tolist():
        if not seen[first]:
            firsts.append(first)
            node = first
            while not seen[node]:
                seen[node] = 1
                node = successors[node]
    return firsts


def _cut(holes: Ints, above: Ints, following: Ints, x: Ints, y: Ints) -> tuple[Ints, Ints, Ints]:
    """Join each hole, by the left end of its topmost edge, to the edge right above that.

    An edge above belongs to another ring that begins higher up, so in the end to an outline.

    Args:
        holes: edges ``[K]``, which go to the left.
        above: edges ``[K]``, which go to the right.
        following: the node after each.
        x: of each node.
        y: of each node.

    Returns:
        The last three with three more nodes a hole.
    """
    corners = 2 * holes + 1
    order = np.lexsort([x[corners], above])
    holes, above, corners = holes[order], above[order], corners[order]
    down, up, back = len(x) + np.arange(3 * len(holes)).reshape(3, -1)  # back at the corner
    x = np.concatenate([x, x[corners], x[corners], x[corners]])
    y = np.concatenate([y, y[2 * above], y[2 * above], y[corners]])
    new = np.append(True, above[1:] != above[:-1])
    following = np.append(following, np.empty(3 * len(holes), np.int64))
    following[2 * above[new]] = down[new]
    following[down], following[2 * holes], following[back] = corners, back, up
    following[up] = np.where(np.append(new[1:], True), 2 * above + 1, np.roll(down, -1))
    return following, x, y


def _walk(firsts: list[int], following: Ints, x: Ints, y: Ints) -> list[list[int]]:
    """The coordinates of each ring, without a node that stands where the one before it does."""
    successors, rings = following.tolist(), []
    for first in firsts:
        ring, node = [first], successors[first]
        while node != first:
            ring.append(node)
            node = successors[node]
        rings.append(ring)
    nodes = np.fromiter(chain.from_iterable(rings), np.int64)
    points = np.stack([x[nodes], y[nodes]], 1)
    moved = np.append(True, (points[1:] != points[:-1]).any(1))
    ends = np.cumsum(moved)[np.cumsum([len(ring) for ring in rings]) - 1]
    return [part.ravel().tolist() for part in np.split(points[moved], ends[:-1])]
