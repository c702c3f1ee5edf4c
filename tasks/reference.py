"""What a detector carries along of its training data: which videos they were, so that later ones can be known again."""

from pathlib import Path

import pandas as pd
from pydantic import JsonValue

from storage.workspace import Workspace
from tasks.explore import read_split, usable_videos
from tasks.stage import Artifact, Stage

COLUMNS = ["video_id", "dataset", "group_id", "label", "split", "digest"]


def reference(
    output: Path, workspace: Workspace, catalogue: Artifact, split: Artifact
) -> dict[str, JsonValue]:
    """Write `training_videos.parquet`: every usable video of the split with the fingerprint of its content."""
    videos, _ = read_split(workspace, split)
    videos = usable_videos(videos)
    listed = pd.read_parquet(catalogue.folder(workspace) / "videos.parquet", columns=["video_id", "digest"])
    table = videos[videos["split"].notna()].merge(listed, on="video_id", validate="one_to_one")
    table[COLUMNS].to_parquet(output / "training_videos.parquet", index=False)
    return {"videos": len(table)}


REFERENCE = Stage("reference", version=1, function=reference)
