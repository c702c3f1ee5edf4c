"""The detector's graph, its backbones and their weights."""

import hashlib
import os
import random
import threading
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from fourier_model import backbones
from fourier_model.attention import FourierAttention
from fourier_model.backbones import BackboneWeightsError, backbone_weights
from fourier_model.detector import (
    DetectorError,
    build_detector,
    flops,
    load_detector,
    parameters,
    resizing,
    save_detector,
)
from fourier_model.placement import is_attention
from fourier_model.settings import BackboneSettings, ModelSettings
from fourier_model.spectrum import spectral_vector

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)

COMPACT = BackboneSettings(name="compact", weights="none")
INCEPTION = BackboneSettings(name="inception_v3", weights="none")


def images(count, height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3)).astype("float32")


@pytest.fixture(scope="module")
def compact():
    return build_detector(ModelSettings(), COMPACT, 64, 0)


@pytest.fixture(scope="module")
def inception():
    return build_detector(ModelSettings(), INCEPTION, 75, 0)


@pytest.mark.parametrize("name", ["compact", "inception"])
def test_a_detector_is_one_flat_graph_with_one_float32_logit(name, request):
    model = request.getfixturevalue(name)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert model.layers[-1].name == "logit"
    assert model.output.shape == (None, 1)
    assert model.output.dtype == "float32"
    assert model.input.shape == (None, None, None, 3)


@pytest.mark.parametrize(("name", "places"), [("compact", ["stage2"]), ("inception", ["mixed2", "mixed7"])])
def test_convolutions_stand_behind_the_attention(name, places, request):
    model = request.getfixturevalue(name)
    names = [layer.name for layer in model.layers]
    found = [layer.name for layer in model.layers if isinstance(layer, FourierAttention)]
    assert found == [f"attention_{place}" for place in places]
    for place in places:
        assert model.get_layer(f"attention_{place}").input is model.get_layer(place).output
        assert any("conv" in layer for layer in names[names.index(f"attention_{place}") + 1 :])


def test_without_attention_there_is_none():
    model = build_detector(ModelSettings(attention="none"), COMPACT, 64, 0)
    assert not any(is_attention(layer) for layer in model.layers)


@pytest.mark.parametrize("attention", ["se", "fca", "gfnet", "spectral"])
def test_every_attention_but_the_first_recipes_leaves_a_new_detector_as_it_is_without(attention):
    x = images(2, 64, 64)
    plain, attending = (
        build_detector(ModelSettings(attention=name), COMPACT, 64, 0) for name in ("none", attention)
    )
    kept = {layer.name: layer.get_weights() for layer in plain.layers}
    for layer in attending.layers:
        if not is_attention(layer):
            layer.set_weights(kept[layer.name])
    np.testing.assert_allclose(attending(x), plain(x), atol=1e-4)


@pytest.mark.filterwarnings("ignore::fourier_model.attention.OriginalAttentionWarning")
def test_the_first_recipes_attention_stands_behind_the_whole_backbone():
    model = build_detector(ModelSettings(attention="original"), COMPACT, 64, 0)
    assert model.get_layer("attention_stage3").input is model.get_layer("stage3").output


@pytest.mark.filterwarnings("ignore:Skipping nested container:UserWarning")
@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ('"version": 1', '"version": 2', "attention_stage2 was saved with version 2"),
        ('"bands": 8', '"bands": 9', "attention_stage2"),
        ("FourierAttention", "Unheard", "could not be deserialized"),
    ],
)
def test_a_detector_of_another_release_is_named_with_the_way_out(compact, tmp_path, before, after, reason):
    save_detector(compact, tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = members["config.json"].decode().replace(before, after).encode()
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(DetectorError, match=rf"model\.keras cannot be read .*{reason}.*or train again"):
        load_detector(tmp_path / "model.keras")


def test_places_are_chosen_and_a_wrong_one_is_named_beside_what_there_is():
    model = build_detector(ModelSettings(places=("stage1", "stage3")), COMPACT, 64, 0)
    assert [layer.name for layer in model.layers if is_attention(layer)] == [
        "attention_stage1",
        "attention_stage3",
    ]
    with pytest.raises(ValueError, match=r"model\.places .* got stag2: did you mean stage2\? known: stage1"):
        build_detector(ModelSettings(places=("stag2",)), COMPACT, 64, 0)
    with pytest.raises(ValueError, match="each layer once"):
        build_detector(ModelSettings(places=("stage1", "stage1")), COMPACT, 64, 0)


def test_the_logit_of_two_classes_is_the_difference_of_theirs():
    model = build_detector(ModelSettings(output="softmax"), COMPACT, 64, 0)
    classes = keras.Model(model.input, model.get_layer("classes").output)(images(3, 64, 64)).numpy()
    logit = model(images(3, 64, 64)).numpy()
    assert logit.shape == (3, 1)
    softmax = np.exp(classes) / np.exp(classes).sum(1, keepdims=True)
    np.testing.assert_allclose(1 / (1 + np.exp(-logit[:, 0])), softmax[:, 1], rtol=1e-5)


def test_the_frequency_branch_reads_native_pixels_not_resized_ones():
    model = build_detector(ModelSettings(frequency_branch=True), COMPACT, 64, 0)
    spectrum = keras.Model(model.input, model.get_layer("frequency_spectrum").output)
    image = images(1, 200, 180)
    np.testing.assert_allclose(spectrum(image)[0], spectral_vector(image[0]), atol=2e-3)
    assert model(image).shape == (1, 1)


def test_a_call_without_a_word_on_training_is_inference():
    model = build_detector(ModelSettings(), COMPACT, 64, 0)
    x = images(2, 64, 64)
    np.testing.assert_array_equal(model(x), model(x, training=False))
    assert not np.allclose(model(x), model(x, training=True))


def test_images_of_any_size_are_resized_inside(compact):
    for height, width in [(64, 64), (31, 90), (1, 1)]:
        x = images(2, height, width)
        np.testing.assert_allclose(compact(resizing(64)(x)), compact(x), atol=1e-5)


def test_an_image_of_the_right_size_is_not_touched():
    x = images(2, 64, 64)
    np.testing.assert_array_equal(resizing(64)(x), x)


def test_shrinking_averages_instead_of_skipping_pixels():
    x = np.zeros((1, 64, 64, 3), np.float32)
    x[:, ::2] = 255
    np.testing.assert_allclose(resizing(16)(x)[0, 2:-2, 2:-2], 127.5, atol=4)


def test_equal_seeds_give_equal_weights_and_others_do_not(compact):
    same, other = (build_detector(ModelSettings(), COMPACT, 64, seed) for seed in (0, 1))
    assert all(map(np.array_equal, compact.get_weights(), same.get_weights()))
    assert not all(map(np.array_equal, compact.get_weights(), other.get_weights()))


@pytest.mark.parametrize(("settings", "size"), [(COMPACT, 64), (INCEPTION, 75)])
def test_other_threads_that_draw_random_numbers_do_not_change_the_weights(settings, size):
    expected = build_detector(ModelSettings(), settings, size, 0).get_weights()
    done = threading.Event()

    def draw():
        while not done.wait(1e-4):  # without a pause it would hold up the building itself
            random.random()

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        built = build_detector(ModelSettings(), settings, size, 0).get_weights()
    finally:
        done.set()
        thread.join()
    assert all(map(np.array_equal, expected, built))


def test_names_do_not_depend_on_what_was_built_before(inception):
    again = build_detector(ModelSettings(), INCEPTION, 75, 0)
    assert [layer.name for layer in again.layers] == [layer.name for layer in inception.layers]
    assert {"conv2d", "conv2d_93", "mixed7", "mixed9_1", "mixed10"} <= {layer.name for layer in again.layers}


def test_bfloat16_works_between_the_pixels_and_the_logit(compact):
    model = build_detector(ModelSettings(), COMPACT, 64, 0, "bfloat16")
    assert keras.config.dtype_policy().name == "float32"
    assert model.get_layer("stage1_conv2").compute_dtype == "bfloat16"
    assert model.get_layer("resize").compute_dtype == "float32"
    logit = model(images(2, 64, 64))
    assert logit.dtype == tf.float32
    np.testing.assert_allclose(logit, compact(images(2, 64, 64)), atol=0.1)


@pytest.mark.parametrize("name", ["compact", "inception"])
def test_a_saved_detector_scores_the_same(name, request, tmp_path):
    model = request.getfixturevalue(name)
    save_detector(model, tmp_path / "model.keras")
    x = images(1, 80, 70)
    np.testing.assert_allclose(load_detector(tmp_path / "model.keras")(x), model(x), atol=1e-6)


def test_equal_detectors_are_equal_files(compact, tmp_path):
    save_detector(compact, tmp_path / "a.keras")
    save_detector(build_detector(ModelSettings(), COMPACT, 64, 0), tmp_path / "b.keras")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()


def test_a_missing_detector_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model\.keras is missing"):
        load_detector(tmp_path / "model.keras")


def test_a_flat_image_has_no_residual(compact):
    residual = keras.Model(compact.input, compact.get_layer("residual").output)
    np.testing.assert_allclose(residual(np.full((1, 64, 64, 3), 200, np.float32)), 0, atol=1e-4)


def test_parameters_and_flops_are_counted(compact, inception):
    assert parameters(compact) == sum(weight.size for weight in compact.get_weights())
    # 2 x multiply-adds, by hand: 3 x 3 convolutions at 32, 32, 16, 16, 8 and 8 pixels, two dense layers
    edges, channels = (32, 32, 16, 16, 8, 8), (3, 24, 24, 48, 48, 96, 96)
    convolutions = sum(
        2 * 9 * edge**2 * a * b for edge, a, b in zip(edges, channels, channels[1:], strict=False)
    )
    assert flops(compact) == convolutions + 2 * (96 * 128 + 128)
    assert 21.8e6 < parameters(inception) < 22.4e6


@pytest.mark.parametrize(("backbone", "size"), [(COMPACT, 15), (INCEPTION, 74)])
def test_an_input_too_small_for_the_backbone_is_refused(backbone, size):
    with pytest.raises(ValueError, match=f"frames.size must be >= {size + 1} .* got {size}"):
        build_detector(ModelSettings(), backbone, size, 0)


def test_weights_that_cannot_be_had_are_an_error_that_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(backbones, "IMAGENET_URL", (tmp_path / "nothing.h5").as_uri())
    with pytest.raises(BackboneWeightsError, match=r"backbone\.weights=PATH.*backbone\.weights=none"):
        build_detector(ModelSettings(), BackboneSettings(weights="imagenet"), 75, 0)
    assert not list((tmp_path / "models").iterdir())


def test_downloaded_weights_are_checked_and_kept(tmp_path, monkeypatch):
    served = tmp_path / "weights.h5"
    served.write_bytes(b"weights")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(backbones, "IMAGENET_URL", served.as_uri())
    with pytest.raises(BackboneWeightsError, match="MD5"):
        backbone_weights(BackboneSettings(weights="imagenet"))
    monkeypatch.setattr(backbones, "IMAGENET_MD5", hashlib.md5(b"weights", usedforsecurity=False).hexdigest())
    path = backbone_weights(BackboneSettings(weights="imagenet"))
    served.unlink()
    assert backbone_weights(BackboneSettings(weights="imagenet")) == path
    assert path.read_bytes() == b"weights"


def test_weights_of_another_network_are_refused(compact, tmp_path):
    compact.save_weights(tmp_path / "compact.weights.h5")
    (tmp_path / "text.h5").write_text("no weights")
    for name, sentence in [
        ("compact.weights.h5", "does not hold the weights of InceptionV3"),
        ("text.h5", "does not hold the weights of InceptionV3"),
        ("missing.h5", "no such file"),
    ]:
        with pytest.raises(BackboneWeightsError, match=f"{name}.*{sentence}"):
            build_detector(ModelSettings(), BackboneSettings(weights=str(tmp_path / name)), 75, 0)


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "weights.txt"
    path.touch()
    with pytest.raises(BackboneWeightsError, match=r"must be a file of weights .* got .*weights\.txt"):
        backbone_weights(BackboneSettings(weights=str(path)))


def test_the_compact_backbone_has_no_weights_to_load():
    with pytest.raises(BackboneWeightsError, match=r"set backbone\.weights=none"):
        build_detector(ModelSettings(), BackboneSettings(name="compact", weights="imagenet"), 64, 0)


def test_weights_are_loaded_to_where_they_belong(tmp_path):
    source = keras.applications.InceptionV3(include_top=False, weights=None, input_shape=(75, 75, 3))
    source.save_weights(tmp_path / "source.weights.h5")
    settings = BackboneSettings(weights=str(tmp_path / "source.weights.h5"))
    model = build_detector(ModelSettings(), settings, 75, 0)
    pooled = keras.Model(model.input, model.get_layer("pool").output)
    x = images(2, 75, 75)
    np.testing.assert_allclose(pooled(x), np.mean(source(x / 127.5 - 1), (1, 2)), atol=1e-5)


@pytest.mark.reference
def test_the_reference_weights_of_inception_fit_and_give_its_features():
    folder = os.environ.get("FOURIER_DEEPFAKE_REFERENCE")
    path = Path(folder or "", "weights", "inception_v3_nsfwjs_notop.weights.h5")
    if not folder or not path.is_file():
        pytest.skip(
            "FOURIER_DEEPFAKE_REFERENCE names no folder with weights/inception_v3_nsfwjs_notop.weights.h5"
        )
    model = build_detector(ModelSettings(), BackboneSettings(weights=str(path)), 96, 0)
    source = keras.applications.InceptionV3(include_top=False, weights=str(path), input_shape=(96, 96, 3))
    pooled = keras.Model(model.input, model.get_layer("pool").output)
    x = images(2, 96, 96)
    np.testing.assert_allclose(pooled(x), np.mean(source(x / 127.5 - 1), (1, 2)), atol=1e-5)
