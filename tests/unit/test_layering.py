from itertools import combinations

import numpy as np

from fourier_model.layering import place_nodes


def random_graph(seed):
    rng = np.random.default_rng(seed)
    names = [str(number) for number in range(30)]
    return {
        name: sorted(set(rng.choice(names[:index], min(index, 2)))) if index else []
        for index, name in enumerate(names)
    }


def test_edges_lead_down_row_by_row_from_node_to_node():
    for seed in range(10):
        reads = random_graph(seed)
        placed = place_nodes(reads)
        ends = sorted((way[0], way[-1]) for way in placed.ways)
        points = placed.points
        assert ends == sorted(
            (points[maker], points[name]) for name, makers in reads.items() for maker in makers
        )
        for way in placed.ways:
            rows = [row for _, row in way]
            assert rows == list(range(rows[0], rows[-1] + 1))


def test_neither_nodes_nor_passing_edges_stand_on_one_another():
    for seed in range(10):
        placed = place_nodes(random_graph(seed))
        passing = [point for way in placed.ways for point in way[1:-1]]
        for (one, row), (other, same) in combinations([*placed.points.values(), *passing], 2):
            assert row != same or abs(one - other) >= 1 - 1e-9


def test_a_chain_is_a_straight_line():
    chain = {"a": [], "b": ["a"], "c": ["b"]}
    assert place_nodes(chain).points == {"a": (0, 0), "b": (0, 1), "c": (0, 2)}


def test_branches_stand_beside_each_other_and_meet_in_the_middle():
    points = place_nodes({"a": [], "left": ["a"], "right": ["a"], "end": ["left", "right"]}).points
    assert points == {"a": (0, 0), "left": (-0.5, 1), "right": (0.5, 1), "end": (0, 2)}
