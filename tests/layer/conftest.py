"""What Keras and TensorFlow do that is no fault of the code under test."""

import pytest


def pytest_collection_modifyitems(items):
    # Keras 3.15 calls np.array on TensorFlow variables, whose __array__ knows no `copy`.
    ignore = pytest.mark.filterwarnings(
        "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
    )
    for item in items:
        item.add_marker(ignore)
