"""The frequencies at which the classes differ, in words and numbers."""

from typing import Any

import numpy as np
import pandas as pd

from storage.workspace import Workspace
from tasks.explore import SIGNIFICANT
from tasks.stage import Artifact


def differing_rings(workspace: Workspace, exploration: Artifact) -> list[dict[str, Any]]:
    """Runs of neighbouring rings in which the test of `explore` finds a difference, lowest frequency first; empty where there is none."""
    folder = exploration.folder(workspace)
    return runs(pd.read_parquet(folder / "ring_tests.parquet"), pd.read_parquet(folder / "spectra.parquet"))


def runs(tests: pd.DataFrame, spectra: pd.DataFrame) -> list[dict[str, Any]]:
    """The runs of rings with a corrected p below the level; tables as `explore` writes them.

    A run has `low` and `high`, its ends in cycles per pixel, `rings`, the largest Kolmogorov-Smirnov `statistic` and its frequency `at`,
    the smallest corrected `p`, and `decibels`: mean power of the fakes less that of the reals, over its rings.
    """
    width = np.sqrt(0.5) / len(tests)
    apart = tests[tests["p_corrected"] < SIGNIFICANT]
    means = spectra.groupby(["label", "ring"])["power_db"].mean()
    found = []
    for _, run in apart.groupby(apart["ring"] - np.arange(len(apart))):
        strongest = run.nlargest(1, "statistic").iloc[0]
        fake, real = (means[label].loc[run["ring"]].mean() for label in (1, 0))
        found.append(
            {
                "low": run["ring"].min() * width,
                "high": (run["ring"].max() + 1) * width,
                "rings": len(run),
                "statistic": strongest["statistic"],
                "at": strongest["frequency_cycles_per_pixel"],
                "p": run["p_corrected"].min(),
                "decibels": fake - real,
            }
        )
    return found
