"""Strongly connected components, and the shortest cycle through a component; no recursion, O(vertices + edges)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence

Graph = Mapping[int, Mapping[int, Collection[str]]]
"""For each vertex its successors, with the kinds of edges that lead to each."""

Allowed = Callable[[Collection[str]], bool]
"""Whether a cycle may go along an edge of these kinds."""


def any_kind(_: Collection[str]) -> bool:
    """Every edge."""
    return True


def components(graph: Graph) -> list[list[int]]:
    """The strongly connected components of more than one vertex, or of one with an edge to itself.

    Source: R. Tarjan, "Depth-first search and linear graph algorithms", SIAM Journal on Computing 1 (1972).
    """
    number: dict[int, int] = {}
    low: dict[int, int] = {}
    waiting: list[int] = []
    is_waiting: set[int] = set()
    found: list[list[int]] = []
    for root in graph:
        if root in number:
            continue
        number[root] = low[root] = len(number)
        waiting.append(root)
        is_waiting.add(root)
        stack = [(root, iter(graph[root]))]
        while stack:
            vertex, successors = stack[-1]
            for successor in successors:
                if successor not in number:
                    number[successor] = low[successor] = len(number)
                    waiting.append(successor)
                    is_waiting.add(successor)
                    stack.append((successor, iter(graph.get(successor, {}))))
                    break
                if successor in is_waiting:
                    low[vertex] = min(low[vertex], number[successor])
            else:
                stack.pop()
                if stack:
                    parent = stack[-1][0]
                    low[parent] = min(low[parent], low[vertex])
                if low[vertex] == number[vertex]:
                    at = _last_index(waiting, vertex)
                    component = waiting[at:]
                    del waiting[at:]
                    is_waiting.difference_update(component)
                    if len(component) > 1 or vertex in graph.get(vertex, {}):
                        found.append(component)
    return found


def _last_index(waiting: list[int], vertex: int) -> int:
    at = len(waiting) - 1
    while waiting[at] != vertex:
        at -= 1
    return at


def shortest_cycle(
    graph: Graph,
    component: Sequence[int],
    *,
    first: Allowed = any_kind,
    others: Allowed = any_kind,
) -> list[int] | None:
    """The shortest cycle within a component whose first edge is of one kind and whose other edges are of another.

    Args:
        graph: the graph.
        component: a strongly connected component.
        first: what the first edge may be.
        others: what every other edge may be.

    Returns:
        The vertices in order, each once; None if there is no such cycle.
    """
    inside = set(component)
    best: list[int] | None = None
    for start in component:
        for second, kinds in graph[start].items():
            if second not in inside or not first(kinds):
                continue
            path = _path(graph, inside, second, start, others, longest=None if best is None else len(best) - 1)
            if path is not None and (best is None or len(path) < len(best)):
                best = [start, *path[:-1]]
                if len(best) == 2:
                    return best
    return best


def _path(
    graph: Graph, inside: set[int], start: int, end: int, allowed: Allowed, *, longest: int | None
) -> list[int] | None:
    """The shortest path between two vertices, both included; None if there is none of fewer vertices than that."""
    if start == end:
        return [end]
    came: dict[int, int] = {start: start}
    depth = {start: 1}
    queue = deque([start])
    while queue:
        vertex = queue.popleft()
        if longest is not None and depth[vertex] >= longest:
            return None
        for successor, kinds in graph[vertex].items():
            if successor in came or successor not in inside or not allowed(kinds):
                continue
            came[successor] = vertex
            if successor == end:
                path = [end]
                while path[-1] != start:
                    path.append(came[path[-1]])
                return path[::-1]
            depth[successor] = depth[vertex] + 1
            queue.append(successor)
    return None
