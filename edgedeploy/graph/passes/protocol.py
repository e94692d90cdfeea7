"""What a pass is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgedeploy.graph.model import Graph


@dataclass(frozen=True)
class Pass:
    """A rewrite that leaves a network's float outputs the same.

    Args:
        name: For records, such as ``fold-batch-norm``.
        apply: Pure; returns the very graph it was given where there is nothing to do.
    """

    name: str
    apply: Callable[[Graph], Graph]


def until_stable(step: Callable[[Graph], Graph | None]) -> Callable[[Graph], Graph]:
    """Return a rewrite that takes single steps until ``step`` finds nothing more and returns None."""

    def apply(graph: Graph) -> Graph:
        while (changed := step(graph)) is not None:
            graph = changed
        return graph

    return apply
