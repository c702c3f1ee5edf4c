"""Self-blended fakes: points of the faces to blend in training, and finished blends of the held-out real videos."""

import logging
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import JsonValue

from fourier_model.blending import self_blend
from fourier_model.faces import detect_faces
from fourier_model.settings import Fakes
from storage.images import read_image, write_image
from storage.manifest import FAKE, FRAME_SCHEMA, REAL, VIDEO_SCHEMA, Split, Status, read_table, write_frame
from storage.shards import StoredFile
from storage.workspace import Workspace
from tasks.progress import Progress
from tasks.stage import Artifact, Stage

logger = logging.getLogger(__name__)

METHOD = "self_blended"
POINTS = [f"{axis}{number}" for number in range(5) for axis in "xy"]
REPORTED_EVERY = 200  # frames


class BlendingError(ValueError):
    """Self-blended fakes cannot be made; the message says why, and what would help."""


def blend(output: Path, workspace: Workspace, split: Artifact, seed: int) -> dict[str, JsonValue]:
    """Look for the face in each frame of the usable real videos, and blend those of validation and test.

    Writes `landmarks.parquet`, a row a frame with a face: `video_id`, `frame_index` and five points x0, y0 to x4, y4 in its pixels; and the
    blends, lossless, as `<number of the video>/<frame index>.png`, listed in `blends.parquet`: `video_id` of the real, `frame_index`, `path`.
    The blends of a video share the seed of their changes, which is made of its name, and their targets are the frames as they are.
    Raises BlendingError where a part of the split has no real video with a face.
    """
    folder = split.folder(workspace)
    videos = read_table(folder / "videos.parquet", VIDEO_SCHEMA)
    frames = read_table(folder / "frames.parquet", FRAME_SCHEMA)
    usable = videos[(videos["status"] == Status.OK) & (videos["label"] == REAL) & videos["split"].notna()]
    chosen = frames.merge(usable[["video_id", "split"]], on="video_id")
    chosen = chosen.sort_values(["video_id", "frame_index"])
    found = _landmarks(workspace.files(chosen["path"]))
    looked_at = len(chosen)
    seen = np.flatnonzero(np.isfinite(found).all(axis=1))
    chosen, found = chosen.iloc[seen].reset_index(drop=True), found[seen]
    _require_faces(usable, chosen)
    landmarks = pd.DataFrame(found, columns=POINTS)
    landmarks.insert(0, "video_id", chosen["video_id"])
    landmarks.insert(1, "frame_index", chosen["frame_index"])
    landmarks.to_parquet(output / "landmarks.parquet", index=False)
    held_out = np.flatnonzero(chosen["split"] != Split.TRAIN)
    numbers = {video: number for number, video in enumerate(dict.fromkeys(chosen["video_id"].iloc[held_out]))}
    rows = []
    for place in held_out:
        frame = chosen.iloc[place]
        rng = np.random.default_rng((seed, zlib.crc32(frame["video_id"].encode())))
        image = read_image(workspace.file(frame["path"]))
        _, blended = self_blend(image, found[place].reshape(5, 2), rng, change_target=False)
        name = f"{numbers[frame['video_id']]:06d}/{frame['frame_index']:06d}.png"
        (output / name).parent.mkdir(exist_ok=True)
        write_image(output / name, blended)
        rows.append({"video_id": frame["video_id"], "frame_index": frame["frame_index"], "path": name})
    pd.DataFrame(rows).to_parquet(output / "blends.parquet", index=False)
    logger.info("faces in %d of %d real frames, %d held-out blends", len(chosen), looked_at, len(rows))
    return {"frames": looked_at, "frames_with_a_face": len(chosen), "blends": len(rows)}


def _landmarks(paths: Sequence[StoredFile]) -> NDArray[np.float64]:
    """The five points of the largest face of each frame, shape (frames, 10), NaN where there is none."""
    points = np.full((len(paths), len(POINTS)), np.nan)
    bar = Progress("blend", "faces to blend")
    with ThreadPoolExecutor() as pool:
        faces = pool.map(lambda path: detect_faces(read_image(path)), paths)
        for number, own in enumerate(faces, start=1):
            if own:
                points[number - 1] = np.ravel(own[0].landmarks)
            if number % REPORTED_EVERY == 0 or number == len(paths):
                bar.report(number / len(paths), f"{number} of {len(paths)} frames")
    return points


def _require_faces(usable: pd.DataFrame, seen: pd.DataFrame) -> None:
    for part in Split:
        if not (seen["split"] == part).any():
            count = int((usable["split"] == part).sum())
            message = (
                f"self-blended fakes need real videos with a face in the {part} split, got {count} real videos and no face in them: "
                "add real videos of faces, or set train.fakes=given"
            )
            raise BlendingError(message)


def blended_split(
    output: Path, workspace: Workspace, split: Artifact, blends: Artifact, fakes: Fakes
) -> dict[str, JsonValue]:
    """The split with the blends in it: `videos.parquet`, `frames.parquet` and `landmarks.parquet`.

    For each held-out real video with a blend a fake stands beside it, in its split and group, of method `self_blended`. With `fakes` =
    `self_blended` the given fakes leave training and validation, and are judged in the test alone.
    """
    folder = split.folder(workspace)
    videos = read_table(folder / "videos.parquet", VIDEO_SCHEMA)
    frames = read_table(folder / "frames.parquet", FRAME_SCHEMA)
    made = pd.read_parquet(blends.folder(workspace) / "blends.parquet")
    if fakes == "self_blended":
        unused = (videos["label"] == FAKE) & videos["split"].isin([Split.TRAIN, Split.VALIDATION])
        videos.loc[unused, "split"] = None
    own = frames.merge(made, on=["video_id", "frame_index"], suffixes=("_of_real", ""), validate="one_to_one")
    own["path"] = blends.path + "/" + own["path"]
    counts = own.groupby("video_id").size()
    copies = videos[videos["video_id"].isin(counts.index)].copy()
    copies["frames_extracted"] = copies["video_id"].map(counts)
    copies["label"], copies["label_source"], copies["method"] = FAKE, METHOD, METHOD
    for table in (own, copies):
        table["video_id"] = METHOD + "/" + table["video_id"]
    write_frame(output / "videos.parquet", pd.concat([videos, copies], ignore_index=True), VIDEO_SCHEMA)
    write_frame(
        output / "frames.parquet", pd.concat([frames, own[frames.columns]], ignore_index=True), FRAME_SCHEMA
    )
    landmarks = pd.read_parquet(blends.folder(workspace) / "landmarks.parquet")
    landmarks.to_parquet(output / "landmarks.parquet", index=False)
    return split.summary | {"blended_videos": len(copies), "blended_frames": len(own)}


BLEND = Stage("blend", version=1, function=blend)
BLENDED_SPLIT = Stage("blended-split", version=2, function=blended_split)
