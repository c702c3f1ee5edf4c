"""The stages that make self-blended fakes of held-out real videos."""

import numpy as np
import pandas as pd
import pytest

from fourier_model.blending import TEMPLATE
from fourier_model.faces import Box, Face
from storage.images import read_image
from storage.manifest import FRAME_SCHEMA, VIDEO_SCHEMA, Split, read_table
from tasks.blend import BLEND, BLENDED_SPLIT, BlendingError
from tasks.train import select_frames
from tests.unit.judgement.conftest import FRAMES, SIZE, picture, video_row

POINTS = (TEMPLATE - TEMPLATE.mean(axis=0)) * 0.3 + SIZE / 2


@pytest.fixture
def faces(monkeypatch):
    """A face in every frame but dark ones."""

    def found(image):
        box = Box(8, 8, 30, 30)
        return [Face(box, 0.99, tuple(map(tuple, POINTS.tolist())))] if image.mean() > 20 else []

    monkeypatch.setattr("tasks.blend.detect_faces", found)


def reals(world, parts=("train", "validation", "test"), dark=(), fakes=False):
    """A real video a part, two frames in which no face is seen, and with `fakes` a fake a part."""
    rng = np.random.default_rng(0)
    videos, frames = [], []
    for part in parts:
        for label in (0, 1) if fakes else (0,):
            video_id = f"{part}{label}"
            method = "swap" if label else None
            videos.append(
                video_row(
                    video_id=video_id,
                    path=f"{video_id}.mp4",
                    label=label,
                    method=method,
                    group_id=part,
                    split=part,
                )
            )
            pictures = [picture(rng, 0) for _ in range(FRAMES)]
            if part in dark:
                pictures = [np.zeros_like(image) for image in pictures]
            frames += world.write_frames(video_id, pictures)
    return world.store_split(videos, frames)


def made(world, split, fakes="self_blended", seed=0):
    blends = world.run(BLEND, split=split, seed=seed)
    joined = world.run(BLENDED_SPLIT, split=split, blends=blends, fakes=fakes)
    folder = joined.folder(world.workspace)
    return (
        read_table(folder / "videos.parquet", VIDEO_SCHEMA),
        read_table(folder / "frames.parquet", FRAME_SCHEMA),
        pd.read_parquet(folder / "landmarks.parquet"),
    )


def test_every_held_out_real_has_its_blend_beside_it_in_its_group_and_split(new_world, faces):
    videos, frames, landmarks = made(new_world, reals(new_world))
    blended = videos[videos["method"] == "self_blended"]
    assert set(blended["video_id"]) == {"self_blended/validation0", "self_blended/test0"}
    assert (blended["label"] == 1).all()
    assert (blended["split"] == blended["group_id"]).all()
    assert (frames.groupby("video_id").size() == FRAMES).all()
    assert len(landmarks) == 3 * FRAMES


def test_a_stored_blend_differs_from_its_frame_in_the_face_alone(new_world, faces):
    _, frames, _ = made(new_world, reals(new_world))
    of = frames.set_index(["video_id", "frame_index"])["path"]
    differences = []
    for index in range(FRAMES):
        real, fake = (
            read_image(new_world.workspace.root / of[(name, index)])
            for name in ("test0", "self_blended/test0")
        )
        differences.append((real != fake).any(axis=-1))
        assert not differences[-1][:, -3:].any()
    assert np.any(differences)


def test_blends_are_the_same_whatever_other_videos_stand_in_the_split_and_follow_the_seed(new_world, faces):
    def blend_of_test(split, seed=0):
        _, frames, _ = made(new_world, split, seed=seed)
        path = frames.loc[frames["video_id"] == "self_blended/test0", "path"].iloc[0]
        return read_image(new_world.workspace.root / path)

    split = reals(new_world)
    once = blend_of_test(split)
    videos = read_table(split.folder(new_world.workspace) / "videos.parquet", VIDEO_SCHEMA)
    frames = read_table(split.folder(new_world.workspace) / "frames.parquet", FRAME_SCHEMA)
    extra = new_world.write_frames("a", [picture(np.random.default_rng(9), 0)])
    row = video_row(video_id="a", path="a.mp4", label=0, group_id="a", split="test")
    more = new_world.store_split(
        [
            row,
            *(
                video_row(**one)
                for one in videos.astype(object).where(videos.notna(), None).to_dict("records")
            ),
        ],
        extra + frames.astype(object).where(frames.notna(), None).to_dict("records"),
    )
    np.testing.assert_array_equal(once, blend_of_test(more))
    assert (once != blend_of_test(split, seed=1)).any()


def test_given_fakes_are_neither_trained_on_nor_chosen_by_and_still_judged(new_world, faces):
    split = reals(new_world, fakes=True)
    videos, frames, _ = made(new_world, split)
    given = videos[videos["method"] == "swap"].set_index("video_id")["split"]
    assert given.isna().to_dict() == {"train1": True, "validation1": True, "test1": False}
    assert set(select_frames(videos, frames, Split.TRAIN, reals_suffice=True)["label"]) == {0}


def test_the_counts_of_the_split_are_still_said_of_it_with_its_blends(new_world, faces):
    split = reals(new_world).model_copy(update={"summary": {"videos": 3, "skipped": 0}})
    blends = new_world.run(BLEND, split=split, seed=0)
    joined = new_world.run(BLENDED_SPLIT, split=split, blends=blends, fakes="self_blended")
    assert joined.summary == {"videos": 3, "skipped": 0, "blended_videos": 2, "blended_frames": 2 * FRAMES}


def test_with_both_the_given_fakes_stay_where_they_were(new_world, faces):
    videos, _, _ = made(new_world, reals(new_world, fakes=True), fakes="both")
    given = videos[videos["method"] == "swap"]
    assert (given["split"] == given["group_id"]).all()


def test_a_part_without_a_face_is_named_and_says_what_would_help(new_world, faces):
    split = reals(new_world, dark=("validation",))
    with pytest.raises(
        BlendingError, match=r"with a face in the validation split, got 1 real videos .* train\.fakes=given"
    ):
        new_world.run(BLEND, split=split, seed=0)
