"""The tables of a split, the videos of them that are usable, and where their frames are."""

import pandas as pd

from storage.manifest import FRAME_SCHEMA, VIDEO_SCHEMA, Split, Status, read_table
from storage.video import evenly_spread
from storage.workspace import Workspace
from tasks.stage import Artifact

FRAME_COLUMNS = ("video_id", "frame_index", "timestamp_s", "path")


def read_split(workspace: Workspace, split: Artifact) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table of videos of a split artifact, and of its table of frames the `FRAME_COLUMNS`. Raises ManifestError like `read_table`."""
    return read_videos(workspace, split), read_table(
        split.folder(workspace) / "frames.parquet", FRAME_SCHEMA, FRAME_COLUMNS
    )


def read_videos(workspace: Workspace, split: Artifact) -> pd.DataFrame:
    """The table of videos of a split artifact alone. Raises ManifestError like `read_table`."""
    return read_table(split.folder(workspace) / "videos.parquet", VIDEO_SCHEMA)


def usable_videos(videos: pd.DataFrame) -> pd.DataFrame:
    """The rows with status ok and a label, sorted by `video_id`."""
    return videos[(videos["status"] == Status.OK) & videos["label"].notna()].sort_values("video_id")


def judged_videos(workspace: Workspace, split: Artifact) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The usable videos of the test that have frames, and the table of all frames. Raises ManifestError like `read_table`."""
    videos, frames = read_split(workspace, split)
    videos = usable_videos(videos)
    return videos[(videos["split"] == Split.TEST) & videos["video_id"].isin(frames["video_id"])], frames


def frame_paths(frames: pd.DataFrame, count: int) -> dict[str, list[str]]:
    """Paths of at most `count` frames of each video, evenly spread over it and in order, by `video_id`."""
    paths = frames.sort_values(["video_id", "frame_index"]).groupby("video_id")["path"].agg(list)
    return {
        str(name): [own[place] for place in evenly_spread(len(own), count)] for name, own in paths.items()
    }
