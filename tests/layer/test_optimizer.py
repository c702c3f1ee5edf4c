"""Laws of the optimizer of a phase."""

import gc

import keras
import numpy as np
import pytest
import tensorflow as tf

from fourier_model.detector import build_detector
from fourier_model.optimizer import learning_rates, optimizer
from fourier_model.settings import BackboneSettings, ModelSettings, TrainSettings


def settings(**values):
    return TrainSettings(weight_decay=0, **values)


def moves(gradients, settings, factors=None):
    """How far each weight, one number each, has moved after a step with these gradients."""
    weights = [keras.Variable(0.0, name=f"w{number}") for number in range(len(gradients))]
    factors = factors or [1.0] * len(weights)
    moving = optimizer(
        0.1, 100, settings, {weight.path: factor for weight, factor in zip(weights, factors, strict=True)}
    )
    moving.build(weights)
    moving.apply_gradients(zip([tf.constant(value) for value in gradients], weights, strict=True))
    return moving, [float(weight.numpy()) for weight in weights]


def test_the_first_step_of_each_weight_is_its_rate_times_its_factor():
    _, moved = moves([1.0, 1.0, -1.0], settings(), [1.0, 0.5, 0.25])
    np.testing.assert_allclose(moved, [-0.1, -0.05, 0.025], rtol=1e-3)


def test_the_rate_rises_from_zero_to_its_peak_and_falls_to_zero():
    schedule = moves([1.0], settings(warmup=0.2))[0]._learning_rate
    rates = [float(schedule(step)) for step in (0, 10, 20, 60, 100)]
    np.testing.assert_allclose(rates, [0, 0.05, 0.1, 0.05, 0], atol=1e-6)


def test_without_a_warm_up_the_rate_begins_at_its_peak():
    schedule = moves([1.0], settings())[0]._learning_rate
    np.testing.assert_allclose([float(schedule(step)) for step in (0, 50, 100)], [0.1, 0.05, 0], atol=1e-6)


def test_gradients_are_clipped_by_their_norm_over_all_weights_so_that_their_direction_stays():
    moving, _ = moves([3.0, 4.0], settings(clip_norm=1.0))
    first_moments = [float(moment.numpy()) for moment in moving._momentums]
    np.testing.assert_allclose(first_moments, [0.06, 0.08], rtol=1e-4)


@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_rates_fall_from_block_to_block_towards_the_input_and_the_head_has_its_own(decay):
    backbone = BackboneSettings(name="compact", weights="none")
    detector = build_detector(ModelSettings(frequency_branch=True), backbone, 96, 0)
    rates = learning_rates(detector, decay, 0.1)
    assert set(rates) == {weight.path for weight in detector.weights}
    expected = {
        "stage1_conv1": decay**2,
        "stage2_conv2": decay,
        "stage3_conv1": 1.0,
        "dense": 0.1,
        "logit": 0.1,
    }
    assert {name: rates[detector.get_layer(name).weights[0].path] for name in expected} == pytest.approx(
        expected
    )


def test_no_graph_of_a_step_is_left_in_the_process_once_its_model_is_gone():
    def graphs():
        gc.collect()
        return sum(isinstance(item, tf.Graph) for item in gc.get_objects())

    def train():
        inputs = keras.Input((2,))
        model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
        moving = optimizer(0.1, 1, settings(), {weight.path: 1.0 for weight in model.weights})
        moving.build(model.trainable_variables)
        model.compile(moving, "mse", jit_compile=False)
        model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)

    train()
    before = graphs()
    train()
    assert graphs() == before
