"""How well trivial facts of the files alone tell fake from real: what a detector could learn instead of traces."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fourier_model.metrics import Estimate, EvaluationSettings, auc

FOLDS = 5
LEAST_VIDEOS = 10
MOST_VIDEOS = 5000
MOST_KINDS = 32
WARNING_AUC = 0.6


def cross_validated_auc(
    facts: pd.DataFrame, labels: ArrayLike, groups: ArrayLike, settings: EvaluationSettings, seed: int
) -> Estimate:
    """AUC of a small model that sees nothing but `facts`, judged on groups that it was not fitted on.

    `facts` has a row a video and columns of numbers, truth values or texts, missing ones allowed; `labels` are 0 real,
    1 fake; `groups` name what is on one side of a fold; all of length n. Gradient-boosted trees in five folds by group,
    their held-out scores joined, the interval over resamples of the groups. Of more than 5,000 videos, groups that hold
    about as many are drawn. Not defined, with a reason, where the facts do not differ, or a class has fewer than ten
    videos or five groups. Joined folds lean slightly below 0.5 where facts say nothing.
    """
    labels, groups = np.asarray(labels, dtype=int), np.asarray(groups)
    kept = _some_groups(groups, seed)
    facts, labels, groups = facts[kept], labels[kept], groups[kept]
    if all(facts[name].nunique(dropna=False) < 2 for name in facts):
        return Estimate(None, reason="the same for all videos, or not known")
    for label, name in enumerate(("real", "fake")):
        own = labels == label
        if own.sum() < LEAST_VIDEOS or len(np.unique(groups[own])) < FOLDS:
            return Estimate(None, reason=f"fewer than {LEAST_VIDEOS} {name} videos or {FOLDS} groups of them")
    return auc(labels, _held_out_scores(facts, labels, groups, seed), groups, settings, seed)


def is_confound(estimate: Estimate) -> bool:
    """Whether facts tell the classes apart well enough to warn of: AUC above 0.6, its interval above 0.5."""
    return bool(estimate.value is not None and estimate.value > WARNING_AUC and (estimate.low or 0) > 0.5)


def _some_groups(groups: NDArray[np.generic], seed: int) -> NDArray[np.bool_]:
    """Which videos are in randomly drawn groups of about 5,000 videos; all where there are no more."""
    if len(groups) <= MOST_VIDEOS:
        return np.ones(len(groups), dtype=bool)
    names, members, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    drawn = order[: max(1, int(np.searchsorted(np.cumsum(sizes[order]), MOST_VIDEOS)))]
    return np.isin(members, drawn)


def _held_out_scores(
    facts: pd.DataFrame, labels: NDArray[np.int_], groups: NDArray[np.generic], seed: int
) -> NDArray[np.float64]:
    """The score of each video by a model that did not see its group, shape (n,)."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedGroupKFold
    from threadpoolctl import threadpool_limits

    columns = _as_numbers(facts)
    scores = np.empty(len(labels))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for fitted, judged in folds.split(columns, labels, groups):
        model = HistGradientBoostingClassifier(
            max_iter=50,
            max_leaf_nodes=8,
            min_samples_leaf=int(np.clip(len(fitted) // 20, 3, 20)),
            early_stopping=False,
            random_state=seed,
        )
        # So few rows are split up for longer than they are worked on, and where others use the processors, threads wait for each other.
        with threadpool_limits(1, user_api="openmp"):
            scores[judged] = model.fit(columns[fitted], labels[fitted]).decision_function(columns[judged])
    return scores


def _as_numbers(facts: pd.DataFrame) -> NDArray[np.float64]:
    """The facts as floats, NaN where missing; of a text or truth value, a column of 0 and 1 for each of the frequent ones."""
    columns = []
    for name in facts:
        column = facts[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            columns.append(column.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan))
        else:
            kinds = column.value_counts().index[:MOST_KINDS]
            columns += [np.asarray(column.eq(kind).fillna(False), dtype=np.float64) for kind in kinds]
    return np.stack(columns, axis=1)
