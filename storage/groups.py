"""Which videos are related: the connected components of what they were made of."""

from collections.abc import Iterable, Sequence

from storage.layouts.base import natural_order


def connected_groups(own: Sequence[str], links: Sequence[Iterable[str]]) -> list[str]:
    """The name of the component that each video belongs to.

    `own` holds the node of each video, `links` the nodes that it joins to it: videos that reach one another over nodes
    are one group. It is called after the first of its videos' own nodes, in natural order, so that a video that joins
    nothing renames nothing.
    """
    from scipy.cluster.hierarchy import (
        DisjointSet,  # a fifth of a second to import, and a cached run does without it
    )

    nodes = DisjointSet(own)
    for node, others in zip(own, links, strict=True):
        for other in others:
            nodes.add(other)
            nodes.merge(node, other)
    names: dict[str, str] = {}
    for node in own:
        root = nodes[node]
        names[root] = min(names.get(root, node), node, key=natural_order)
    return [names[nodes[node]] for node in own]
