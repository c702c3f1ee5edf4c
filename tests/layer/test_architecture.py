"""What is drawn of a detector: few blocks for people, and every layer."""

from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from fourier_model.architecture import draw_architecture, draw_graph, words_of_training
from fourier_model.blocks import draw_blocks
from fourier_model.detector import build_detector, parameters
from fourier_model.settings import BackboneSettings, ModelSettings

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def compact():
    settings = ModelSettings(frequency_branch=True)
    return build_detector(settings, BackboneSettings(name="compact", weights="none"), 64, 0)


@pytest.fixture(scope="module")
def inception():
    """Read out by cells behind mixed1 and mixed3, with attention behind mixed2."""
    settings = ModelSettings(features=("mixed1", "mixed3"), cells=3, dense_units=0)
    return build_detector(settings, BackboneSettings(weights="none"), 96, 0)


def readers(drawing):
    """For each block, by name, the blocks that read it."""
    names = [block.name for block in drawing.blocks]
    return {
        name: [names[reader] for maker, reader in drawing.edges if names[maker] == name] for name in names
    }


@pytest.mark.parametrize("name", ["compact", "inception"])
def test_every_layer_and_parameter_is_in_one_of_few_blocks(name, request):
    model = request.getfixturevalue(name)
    drawn = draw_blocks(model, []).blocks
    assert sorted(layer for block in drawn for layer in block.layers) == sorted(
        layer.name for layer in model.layers
    )
    assert sum(block.parameters for block in drawn) == parameters(model)
    assert len({block.name for block in drawn}) == len(drawn) < 20


def test_the_blocks_of_the_compact_detector_are_its_stages_and_the_branch_goes_round_them(compact):
    assert readers(draw_blocks(compact, [])) == {
        "image": ["resize", "frequency branch"],
        "resize": ["preprocessing"],
        "preprocessing": ["stage1"],
        "stage1": ["stage2"],
        "stage2": ["attention_stage2"],
        "attention_stage2": ["stage3"],
        "stage3": ["pool"],
        "frequency branch": ["join"],
        "pool": ["join"],
        "join": ["dense"],
        "dense": ["logit"],
        "logit": [],
    }


def test_layers_that_are_read_out_lead_to_their_cells_and_not_to_the_stem(inception):
    drawing = draw_blocks(inception, [])
    assert readers(drawing) == {
        "image": ["resize"],
        "resize": ["preprocessing"],
        "preprocessing": ["stem"],
        "stem": ["mixed0"],
        "mixed0": ["mixed1"],
        "mixed1": ["mixed2", "cells of mixed1"],
        "mixed2": ["attention_mixed2"],
        "attention_mixed2": ["mixed3"],
        "mixed3": ["cells of mixed3"],
        "cells of mixed1": ["pool"],
        "cells of mixed3": ["pool"],
        "pool": ["logit"],
        "logit": [],
    }
    shapes = {block.name: block.shape for block in drawing.blocks}
    assert (shapes["mixed3"], shapes["cells of mixed3"]) == ("4 x 4 x 768", "6912")


def test_a_block_says_how_much_of_it_was_trained(compact):
    trained = ["attention_stage2", "stage3_conv1", "stage3_conv2", "dense", "logit"]
    words = {block.name: words_of_training(block) for block in draw_blocks(compact, trained).blocks}
    assert words["stage2"].endswith(", frozen")
    assert words["attention_stage2"].endswith(", trained")
    assert words["stage3"] == "125,184, 99% trained"  # its normalisation was not
    assert words["preprocessing"] == ""


@pytest.mark.parametrize("name", ["compact", "inception"])
def test_the_page_shows_each_block_once_and_none_over_another(name, request):
    model = request.getfixturevalue(name)
    drawn = draw_blocks(model, []).blocks
    axes = draw_architecture(model, []).axes[0]
    texts = [text.get_text() for text in axes.texts]
    for block in drawn:
        assert texts.count(block.name) == 1
    boxes = [patch.get_extents().frozen() for patch in axes.patches[: len(drawn)]]
    assert len(boxes) == len(drawn)
    for index, box in enumerate(boxes):
        assert axes.figure.bbox.containsx(box.x0)
        assert axes.figure.bbox.containsx(box.x1)
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])


def test_frozen_blocks_are_dashed(compact):
    patches = draw_architecture(compact, ["logit"]).axes[0].patches
    dashed = [patch.get_linestyle() for patch in patches]
    drawn = draw_blocks(compact, ["logit"]).blocks
    for block, style in zip(drawn, dashed, strict=False):
        assert (style not in ("-", "solid")) == (block.parameters > 0 and block.name != "logit")


def test_the_graph_shows_every_layer_and_every_edge_from_above(inception):
    root = ET.fromstring(draw_graph(inception, []))
    names = [text.text for text in root.iter(f"{SVG}text")][::2]
    assert sorted(names) == sorted(layer.name for layer in inception.layers)
    reads = sum(len(layer.input) if isinstance(layer.input, list) else 1 for layer in inception.layers[1:])
    paths = [path.get("d") for path in root.iter(f"{SVG}path")]
    assert len(paths) == reads
    for path in paths:
        ends = [float(part.rpartition(" ")[2]) for part in path.split("C")]
        assert all(upper < lower for upper, lower in pairwise(ends))
