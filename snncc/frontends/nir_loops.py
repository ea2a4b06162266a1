"""Nested graphs made flat, and the delay that a loop in NIR implies.

NIR draws a recurrent network as a plain loop. In discrete time one edge of each loop brings the value of the step
before. Which one is decided without guessing:

1. an edge is *recurrent* if its target dominates its source: whatever reaches the source has come through the target
   (the back edges of a reducible flow graph). What is left must be free of loops, else the file does not say which edge
   is recurrent, and it is refused;
2. every loop must hold a neuron;
3. the delay is moved up to the edge that leaves the neuron, so that a recurrent layer with a bias adds it from step 0
   on,
   as the frameworks do (``W·0 + b``).

Dominators: Cooper, Harvey and Kennedy, "A simple, fast dominance algorithm", 2001.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from snncc.errors import GraphError
from snncc.frontends.nir_file import RawNode

Pair = tuple[str, str]


@dataclass(frozen=True, eq=False)
class FlatNetwork:
    """Nodes by full name (``subgraph.node``), edges between them, and the names of inner Input and Output nodes."""

    nodes: Mapping[str, RawNode]
    edges: tuple[Pair, ...]
    borders: frozenset[str]

    @property
    def entry(self) -> str:
        """Name of the first outermost Input; "" where there is none."""
        return next((n for n, raw in self.nodes.items() if raw.kind == "Input" and n not in self.borders), "")


def flatten(root: RawNode) -> FlatNetwork:
    """One flat network: an edge into a nested graph goes to its Input, an edge out of it leaves its Output."""
    nodes: dict[str, RawNode] = {}
    edges: list[Pair] = []
    borders: set[str] = set()

    def end(graph: RawNode, prefix: str, name: str, kind: str) -> str:
        """Full name of the node at which an edge to (or from) ``name`` ends."""
        if name not in graph.nodes:
            raise GraphError(f"{prefix or 'network'}: an edge names {name!r}, which is no node")
        node = graph.nodes[name]
        if node.kind != "NIRGraph":
            return prefix + name
        inner = [n for n, child in node.nodes.items() if child.kind == kind]
        if len(inner) != 1:
            raise GraphError(f"{prefix}{name}: a nested graph has {len(inner)} {kind} nodes; exactly one is needed")
        return end(node, f"{prefix}{name}.", inner[0], kind)

    def walk(graph: RawNode, prefix: str) -> None:
        for name, node in graph.nodes.items():
            full = prefix + name
            if node.kind == "NIRGraph":
                walk(node, f"{full}.")
                continue
            if full in nodes:
                raise GraphError(f"{full}: two nodes have this name once nested graphs are flat; rename one of them")
            nodes[full] = node
            if prefix and node.kind in ("Input", "Output"):
                borders.add(full)
        for source, target in graph.edges:
            edges.append((end(graph, prefix, source, "Output"), end(graph, prefix, target, "Input")))

    walk(root, "")
    if not nodes:
        raise GraphError("network: the file holds no nodes")
    return FlatNetwork(nodes, tuple(edges), frozenset(borders))


def delayed_edges(names: Sequence[str], edges: Collection[Pair], neurons: Collection[str]) -> frozenset[Pair]:
    """The edges among ``edges`` that bring the value of the step before. ``neurons`` are the nodes with a state.

    Raises :class:`GraphError` for a loop without a neuron, and for loops whose recurrent edge the file does not settle.
    """
    if not _stuck(names, edges):
        return frozenset()
    bare = [e for e in edges if e[0] not in neurons and e[1] not in neurons]
    if lost := _stuck(names, bare):
        raise GraphError(
            f"{', '.join(lost[:6])}: form a loop without a neuron or a Delay; it has no meaning in discrete time"
        )
    span = _spans(_dominators(names, edges))
    back = {(u, v) for u, v in edges if span[v][0] <= span[u][1] <= span[v][1]}
    rest = [e for e in edges if e not in back]
    if lost := _stuck(names, rest):
        raise GraphError(
            f"{', '.join(lost[:6])}: are in a loop that is entered at several places, and NIR does not say which of "
            f"its "
            "edges is recurrent; put a Delay of one step into the feedback path, or export with snncc"
        )
    return frozenset(_raised(_sorted(names, rest), edges, back, set(neurons)))


def topological(names: Sequence[str], edges: Iterable[Pair]) -> list[str]:
    """``names`` so that every edge points forward; ties keep the given order. Raises :class:`GraphError` on a loop."""
    edges = list(edges)
    if lost := _stuck(names, edges):
        raise GraphError(f"{', '.join(lost[:6])}: form a loop without a delay")
    return _sorted(names, edges)


def loops(names: Sequence[str], edges: Collection[Pair]) -> dict[str, int]:
    """A number for every node; two nodes have the same one exactly if a loop passes through both."""
    preceding: dict[str, list[str]] = {n: [] for n in names}
    following: dict[str, list[str]] = {n: [] for n in names}
    for source, target in edges:
        preceding[target].append(source)
        following[source].append(target)
    order: list[str] = []
    seen: set[str] = set()
    for name in names:
        if name not in seen:
            order += _postorder(following, name, seen)
    found: dict[str, int] = {}
    seen = set()
    for number, name in enumerate(reversed(order)):  # Kosaraju: backwards from what finishes last
        if name not in seen:
            found.update(dict.fromkeys(_postorder(preceding, name, seen), number))
    return found


def _raised(order: list[str], edges: Collection[Pair], back: set[Pair], neurons: set[str]) -> set[Pair]:
    """Move each delay from the edges that leave a stateless node to the edges that enter it, as far as it goes."""
    delayed = set(back)
    leaving: dict[str, list[Pair]] = {n: [] for n in order}
    entering: dict[str, list[Pair]] = {n: [] for n in order}
    for edge in edges:
        leaving[edge[0]].append(edge)
        entering[edge[1]].append(edge)
    for name in reversed(order):
        out, into = leaving[name], entering[name]
        if name in neurons or not out or not into:
            continue
        if all(e in delayed for e in out) and not any(e in delayed for e in into):
            delayed.difference_update(out)
            delayed.update(into)
    return delayed


def _sorted(names: Sequence[str], edges: Collection[Pair]) -> list[str]:
    """Kahn's algorithm with ties by position; leaves out what is stuck in a loop."""
    rank = {n: i for i, n in enumerate(names)}
    waiting = dict.fromkeys(names, 0)
    following: dict[str, list[str]] = {n: [] for n in names}
    for source, target in edges:
        waiting[target] += 1
        following[source].append(target)
    ready = [rank[n] for n in names if waiting[n] == 0]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        name = names[heapq.heappop(ready)]
        order.append(name)
        for target in following[name]:
            waiting[target] -= 1
            if waiting[target] == 0:
                heapq.heappush(ready, rank[target])
    return order


def _stuck(names: Sequence[str], edges: Collection[Pair]) -> list[str]:
    """The nodes between loops, the loops included: those that no order can place from either end."""
    placed = set(_sorted(names, edges))
    if len(placed) < len(names):
        placed.update(_sorted(names, [(target, source) for source, target in edges]))
    return [n for n in names if n not in placed]


def _dominators(names: Sequence[str], edges: Collection[Pair]) -> dict[str, str]:
    """Immediate dominator of every node; the root '' stands before all nodes without inputs."""
    following: dict[str, list[str]] = {"": [], **{n: [] for n in names}}
    preceding: dict[str, list[str]] = {n: [] for n in names}

    def add(source: str, target: str) -> None:
        following[source].append(target)
        preceding[target].append(source)

    for source, target in edges:
        add(source, target)
    for name in [n for n in names if not preceding[n]]:
        add("", name)
    order = _postorder(following, "")
    reached = set(order)
    if lost := [n for n in names if n not in reached]:
        raise GraphError(f"{', '.join(lost[:6])}: form a loop that no input reaches")
    number = {n: i for i, n in enumerate(order)}
    parent: dict[str, str] = {"": ""}

    def meet(a: str, b: str) -> str:
        while a != b:
            while number[a] < number[b]:
                a = parent[a]
            while number[b] < number[a]:
                b = parent[b]
        return a

    changed = True
    while changed:
        changed = False
        for name in reversed(order[:-1]):
            known = [p for p in preceding[name] if p in parent]
            best = known[0]
            for other in known[1:]:
                best = meet(best, other)
            if parent.get(name) != best:
                parent[name] = best
                changed = True
    return parent


def _postorder(following: Mapping[str, list[str]], root: str, seen: set[str] | None = None) -> list[str]:
    """Nodes that ``root`` reaches, in the order in which a depth-first search leaves them; those in ``seen`` are
    left out."""
    order: list[str] = []
    seen = set() if seen is None else seen
    seen.add(root)
    stack = [(root, iter(following[root]))]
    while stack:
        name, rest = stack[-1]
        for target in rest:
            if target not in seen:
                seen.add(target)
                stack.append((target, iter(following[target])))
                break
        else:
            order.append(name)
            stack.pop()
    return order


def _spans(parent: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """(first, own) number of every node in a postorder of its tree: ``v`` is above ``u`` if v's span holds u's
    number."""
    children: dict[str, list[str]] = {n: [] for n in parent}
    for name, above in parent.items():
        if name:
            children[above].append(name)
    spans: dict[str, tuple[int, int]] = {}
    for number, name in enumerate(_postorder(children, "")):
        first = min((spans[c][0] for c in children[name]), default=number)
        spans[name] = (first, number)
    return spans
