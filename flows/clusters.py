"""Clusters that batches of videos are sent to: Dask and Ray, an existing one or one of processes on this machine."""

import importlib
import os
import sys
from concurrent.futures.process import BrokenProcessPool
from types import ModuleType
from typing import Any

from prefect.settings import get_current_settings
from prefect.task_runners import TaskRunner

HERE = ("127.0.0.1", "localhost", "[::1]")
LOST = {
    "distributed": ("KilledWorker",),
    "ray.exceptions": ("WorkerCrashedError", "NodeDiedError", "OutOfMemoryError"),
}


class ClusterError(ValueError):
    """A cluster cannot be used; the message says what is missing."""


class WorkersLostError(RuntimeError):
    """Workers died again and again; the message says what is kept and what would help."""


def dask_runner(processes: int) -> TaskRunner[Any]:
    """Dask: the scheduler that DASK_SCHEDULER_ADDRESS or Dask's own configuration names, else `processes` processes here.

    Raises ClusterError without the packages, or where the workers could not reach Prefect.
    """
    module, dask = _package("prefect_dask", "dask"), _package("dask", "dask")
    address = dask.config.get("scheduler-address", None)
    if address:
        _require_server(address)
        return module.DaskTaskRunner(address=address)
    here = {"n_workers": processes, "threads_per_worker": 1, "dashboard_address": None}
    return module.DaskTaskRunner(cluster_kwargs=here)


def ray_runner(processes: int) -> TaskRunner[Any]:
    """Ray: the cluster that RAY_ADDRESS names, else `processes` processes here. Raises ClusterError like `dask_runner`."""
    module = _package("prefect_ray", "ray")
    quiet = {"log_to_driver": False, "logging_level": "WARNING"}
    address = os.environ.get("RAY_ADDRESS")
    if address:
        _require_server(address)
        return module.RayTaskRunner(address=address, init_kwargs=quiet)
    return module.RayTaskRunner(init_kwargs=quiet | {"num_cpus": processes, "include_dashboard": False})


def lost_workers() -> tuple[type[BaseException], ...]:
    """What the runners raise where a worker died and its work with it."""
    loaded = [(sys.modules[name], names) for name, names in LOST.items() if name in sys.modules]
    return (BrokenProcessPool, *(getattr(module, name) for module, names in loaded for name in names))


def _package(name: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        message = f"--runner {extra} needs packages that are not installed ({error.name}): pip install 'fourier-deepfake[{extra}]'"
        raise ClusterError(message) from error


def _require_server(address: str) -> None:
    if not get_current_settings().api.url and not any(name in address for name in HERE):
        message = (
            f"the workers of {address} must reach a Prefect server, and there is only a temporary one on this machine: "
            "start one that they can reach, and name it by PREFECT_API_URL"
        )
        raise ClusterError(message)
