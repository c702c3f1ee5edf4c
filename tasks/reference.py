"""What a detector carries along of its data: which videos they were, and how their features and spectra are distributed."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import JsonValue

from fourier_model.describing import ClipDescriber
from storage.images import read_image
from storage.manifest import Split
from storage.workspace import Workspace
from tasks.progress import Progress
from tasks.spectral_bands import write_bands
from tasks.stage import Artifact, Stage
from tasks.tables import frame_paths, read_split, usable_videos

logger = logging.getLogger(__name__)

COLUMNS = ["video_id", "dataset", "group_id", "label", "split", "digest"]
FRAMES = 4  # of each video, evenly spread
MOST_VIDEOS = {Split.TRAIN: 400, Split.VALIDATION: 200, Split.TEST: 200}
"""More say little more: a percentile of 200 videos, means of 1,600 frames."""
REPORTED_EVERY = 20  # videos


def reference(
    output: Path, workspace: Workspace, catalogue: Artifact, split: Artifact, training: Artifact
) -> dict[str, JsonValue]:
    """Write what later data can be compared with.

    `training_videos.parquet` holds every usable video of the split with the fingerprint of its content, where it has one, and `spectra.parquet` the bands of their
    spectra (`write_bands`). `reference.npz` holds `means` and
    `whitening` (`fourier_model.familiarity.Reference`) of the features of training frames, and `reference_videos.parquet` the `distance` of
    validation and test videos to them. Where the features do not vary these two are missing, and the summary says why.
    """
    from fourier_model.familiarity import FamiliarityError, fit_reference
    from fourier_model.temporal import open_describer

    videos, frames = read_split(workspace, split)
    videos = usable_videos(videos)
    videos = videos[videos["split"].notna()]
    listed = pd.read_parquet(catalogue.folder(workspace) / "videos.parquet", columns=["video_id", "digest"])
    known = videos.merge(listed, on="video_id", how="left", validate="one_to_one")
    known[COLUMNS].to_parquet(output / "training_videos.parquet", index=False)
    videos = videos[videos["video_id"].isin(frames["video_id"])]
    write_bands(output, workspace, videos, frames)
    describe = open_describer(training.folder(workspace))
    trained = evenly_chosen(videos[videos["split"] == Split.TRAIN], MOST_VIDEOS[Split.TRAIN])
    features = video_features(workspace, trained, frames, describe, "features of training videos")
    labels = np.repeat(trained["label"].to_numpy(dtype=int), [len(own) for own in features])
    try:
        fitted = fit_reference(np.concatenate(features), labels)
    except FamiliarityError as error:
        logger.warning("nothing can be said of unfamiliar videos later: %s", error)
        return {"videos": len(known), "reason": str(error)}
    np.savez(
        output / "reference.npz",
        means=fitted.means.astype(np.float32),
        whitening=fitted.whitening.astype(np.float32),
    )
    held_out = pd.concat(
        evenly_chosen(videos[videos["split"] == part], MOST_VIDEOS[part])
        for part in (Split.VALIDATION, Split.TEST)
    )
    measured = measure_videos(workspace, held_out, frames, describe, output / "reference.npz")
    measured.to_parquet(output / "reference_videos.parquet", index=False)
    return {"videos": len(known), "features": int(fitted.means.shape[1])}


def evenly_chosen(videos: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most `most` videos, evenly spread over them in the order of class and name."""
    ordered = videos.sort_values(["label", "video_id"])
    places = np.unique(np.linspace(0, len(ordered) - 1, min(most, len(ordered))).round().astype(int))
    return ordered.iloc[places]


def measure_videos(
    workspace: Workspace, videos: pd.DataFrame, frames: pd.DataFrame, describe: ClipDescriber, stored: Path
) -> pd.DataFrame:
    """The mean distance of a few frames of each video to the reference stored at `stored`, as column `distance`."""
    from fourier_model.familiarity import distance, load_reference

    fitted = load_reference(stored)
    features = video_features(workspace, videos, frames, describe, "features of videos")
    columns = ["video_id", "dataset", "group_id", "label", "split"]
    return videos[columns].assign(distance=[float(distance(fitted, own).mean()) for own in features])


def video_features(
    workspace: Workspace, videos: pd.DataFrame, frames: pd.DataFrame, describe: ClipDescriber, work: str
) -> list[NDArray[np.float32]]:
    """Features of a few frames of each video, shape (frames, features), in the order of `videos`."""
    paths = frame_paths(frames[frames["video_id"].isin(videos["video_id"])], FRAMES)
    progress = Progress("features", work)
    found = []
    for done, video in enumerate(videos["video_id"], start=1):
        features, _ = describe(read_image(path) for path in workspace.files(paths[video]))
        found.append(features)
        if done % REPORTED_EVERY == 0 or done == len(videos):
            progress.report(done / len(videos), f"{done} of {len(videos)}")
    return found


REFERENCE = Stage("reference", version=3, function=reference)
