"""Which videos are related: the connected components of what they were made of."""

from array import array
from collections.abc import Iterable, Sequence

import numpy as np

from storage.layouts.base import natural_order


def connected_groups(own: Sequence[str], links: Iterable[Iterable[str]]) -> list[str]:
    """The name of the component that each video belongs to.

    `own` holds the node of each video, `links` the nodes that it joins to it: videos that reach one another over nodes
    are one group. It is called after the first of its videos' own nodes, in natural order, so that a video that joins
    nothing renames nothing.
    """
    numbers: dict[str, int] = {}
    ends = array("q"), array("q")
    for node, others in zip(own, links, strict=True):
        number = numbers.setdefault(node, len(numbers))
        for other in others:
            ends[0].append(number)
            ends[1].append(numbers.setdefault(other, len(numbers)))
    if not ends[0]:
        return list(own)

    # Half a second to import, and most data sets and every cached run do without it.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(ends[0]), bool), ends), shape=(len(numbers), len(numbers)))
    _, components = connected_components(graph, directed=False)
    names: dict[int, str] = {}
    for node in own:
        component = int(components[numbers[node]])
        first = names.setdefault(component, node)
        if node != first and natural_order(node) < natural_order(first):
            names[component] = node
    return [names[int(components[numbers[node]])] for node in own]
