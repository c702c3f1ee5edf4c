import pytest
from prefect.settings import PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from flows.config import Settings


@pytest.fixture(scope="session", autouse=True)
def prefect_server():
    """A real Prefect server with a database of its own, for all tests of this folder."""
    with (
        temporary_settings({PREFECT_SERVER_ANALYTICS_ENABLED: False}),
        prefect_test_harness(server_startup_timeout=240),
    ):
        yield


@pytest.fixture(scope="session")
def tiny_settings() -> Settings:
    """The whole pipeline on a dozen tiny clips: it shows that the stages fit, not that anything is learned."""
    return Settings.model_validate(
        {
            "preset": "sample",
            "sample": {"sources": 6, "frames": 8, "size": 64},
            "frames": {"per_video": 2, "size": 75},
            "explore": {"frames_per_video": 1, "resamples": 100},
            "train": {"epochs": 1, "fine_tune_epochs": 0, "batch_size": 4},
            "evaluate": {"resamples": 100},
            "explain": {"videos": 1, "rings": 2, "heat_map_frames": 2, "heat_map_steps": 2},
        }
    )
