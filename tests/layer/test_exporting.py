"""Exported networks, run by what they were exported for, beside Keras."""

import sys

import keras
import numpy as np
import pytest

from fourier_model.detector import build_detector, save_detector
from fourier_model.exporting import FormatError, MatrixResizing, export_networks
from fourier_model.onnx_engine import OnnxError, open_network, open_onnx
from fourier_model.settings import BackboneSettings, ModelSettings
from fourier_model.temporal import FILE, on_features, open_describer, temporal_head

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::fourier_model.attention.OriginalAttentionWarning"),
]

SIZE = 32
SIZES = [(32, 32), (61, 70), (20, 300), (7, 5)]
EVERYTHING = {
    "attention": "spectral",
    "attention_phase": True,
    "attention_tiles": True,
    "frequency_branch": True,
    "features": ("stage1", "stage3"),
    "cells": 3,
    "output": "softmax",
}


def moved(network, seed=0):
    """The network with weights of which none is nought, as in a new attention."""
    rng = np.random.default_rng(seed)
    network.set_weights([own + np.abs(rng.normal(0, 0.05, own.shape)) for own in network.get_weights()])
    return network


def store(folder, settings, *, temporal=False, backbone="compact", size=SIZE):
    folder.mkdir()
    model = ModelSettings.model_validate(settings)
    detector = moved(build_detector(model, BackboneSettings(name=backbone, weights="none"), size, 0))
    # A logit of a usual size, or every probability would be 0 or 1.
    logit = detector.layers[-1] if settings.get("output") != "softmax" else detector.get_layer("classes")
    scale = 3 / abs(detector(np.stack(images([(size, size)])), training=False).numpy().item())
    logit.set_weights([own * scale for own in logit.get_weights()])
    save_detector(detector, folder / "model.keras")
    if temporal:
        features = open_describer(folder)(images([(size, size)]))[0]
        kernel = np.random.default_rng(1).normal(0, 1 / np.abs(features).max(), (features.shape[1], 4))
        save_detector(on_features(moved(temporal_head(4, 0.0, 1)), kernel.astype(np.float32)), folder / FILE)
    return folder


def images(sizes):
    rng = np.random.default_rng(1)
    return [rng.uniform(0, 255, (*size, 3)).astype(np.float32) for size in sizes]


@pytest.mark.parametrize(
    "settings",
    [
        EVERYTHING,
        *({"attention": name} for name in ("se", "fca", "gfnet", "original", "original_axes")),
    ],
    ids=lambda settings: "everything" if settings is EVERYTHING else settings["attention"],
)
def test_every_spectral_layer_says_in_onnx_what_it_says_in_keras(settings, tmp_path):
    folder = store(tmp_path / "keras", settings, temporal=settings is EVERYTHING)
    found = export_networks(folder, tmp_path, ["onnx"])
    assert found["onnx"]["probability"] < 1e-5
    features, logits = open_onnx(tmp_path)(images(SIZES))
    expected_features, expected = open_describer(folder)(images(SIZES))
    np.testing.assert_allclose(logits, expected, atol=2e-5, rtol=1e-5)
    np.testing.assert_allclose(features, expected_features, atol=1e-3, rtol=1e-4)
    assert np.ptp(expected) > 0.01


@pytest.mark.parametrize(
    "settings",
    [{"frequency_branch": True}, pytest.param(EVERYTHING, marks=pytest.mark.slow)],
    ids=["plain", "everything"],
)
@pytest.mark.parametrize(
    "name",
    ["saved_model", *(pytest.param(name, marks=pytest.mark.slow) for name in ("litert", "openvino"))],
)
def test_every_other_format_agrees_with_keras_on_several_sizes(name, settings, tmp_path):
    folder = store(tmp_path / "keras", settings, temporal=settings is EVERYTHING)
    difference = export_networks(folder, tmp_path, [name])[name]
    assert difference["probability"] < 1e-5
    assert difference["logit"] < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"frequency_branch": True}, {"attention": "original"}])
def test_inception_v3_agrees_in_every_format(settings, tmp_path):
    folder = store(tmp_path / "keras", settings, backbone="inception_v3", size=96)
    for difference in export_networks(
        folder, tmp_path, ["onnx", "saved_model", "litert", "openvino"]
    ).values():
        assert difference["probability"] < 1e-4


@pytest.mark.slow
def test_openvino_is_asked_by_our_names_where_it_gives_an_output_several(tmp_path):
    detector = build_detector(ModelSettings(), BackboneSettings(name="compact", weights="none"), SIZE, 0)
    (tmp_path / "keras").mkdir()
    save_detector(
        detector, tmp_path / "keras" / "model.keras"
    )  # a bias of nought is left out, and its name goes on to the product
    assert export_networks(tmp_path / "keras", tmp_path, ["openvino"])["openvino"]["probability"] < 1e-5


@pytest.mark.parametrize("size", [(32, 32), (31, 57), (300, 33), (1, 1), (5, 1000)])
def test_the_resize_as_products_is_that_of_the_detector(size):
    image = images([size])[0][None]
    expected = keras.layers.Resizing(32, 32, interpolation="bilinear", antialias=True)(image)
    np.testing.assert_allclose(MatrixResizing(32)(image), expected, atol=5e-3)


def test_a_temporal_head_speaks_from_the_second_image_on(tmp_path):
    folder = store(tmp_path / "keras", {"attention": "none"}, temporal=True)
    export_networks(folder, tmp_path, ["onnx"])
    describe = open_onnx(tmp_path)
    clip = images([(40, 40)] * 3)
    alone = np.concatenate([describe([image])[1] for image in clip])
    together = describe(clip)[1]
    assert together[0] == alone[0]
    assert (np.abs(together - alone)[1:] > 1e-3).all()
    assert describe([])[1].shape == (0,)


def test_an_unknown_format_names_the_known_ones(tmp_path):
    with pytest.raises(FormatError, match="onnx, saved_model, litert, openvino, got coreml"):
        export_networks(tmp_path, tmp_path, ["coreml"])


def test_a_file_that_is_no_network_or_a_missing_runtime_is_one_clear_message(tmp_path, monkeypatch):
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(OnnxError, match=r"model\.onnx cannot be read as a network"):
        open_onnx(tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(OnnxError, match="ONNX Runtime is not installed"):
        open_network(tmp_path / "model.onnx")
