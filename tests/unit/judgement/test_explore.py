import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fourier_model.spectrum import image_profile
from tasks.explore import ExploreError, ExploreSettings, class_spectra
from tasks.spectra import SpectrumError, read_spectra
from tasks.stage import Mapped
from tasks.tables import frame_paths

SETTINGS = ExploreSettings(bins=16, resamples=100, samples=2)
FIGURES = [
    "frame_samples.png",
    "frame_spectra.png",
    "label_distribution.png",
    "mean_spectra.png",
    "radial_spectra.png",
    "ring_tests.png",
]


def row(video_id, label=1, **values):
    from storage.manifest import VIDEO_SCHEMA

    usable = {
        "path": f"{video_id}.mp4",
        "dataset": "d",
        "status": "ok",
        "group_id": video_id,
        "split": "train",
    }
    return dict.fromkeys(VIDEO_SCHEMA.names) | usable | {"video_id": video_id, "label": label} | values


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3)).astype(np.uint8)


def explore(world, videos, frames, settings=SETTINGS):
    world.artifacts["explore"] = world.explore(world.store_split(videos, frames), settings)
    return world


def test_the_counts_hold_every_video_once_whatever_became_of_it(world):
    counts = world.table("explore", "counts.parquet")
    assert counts["videos"].sum() == len(world.table("split", "videos.parquet"))
    by_status = counts.groupby("status")["videos"].sum().to_dict()
    assert by_status == {"ok": 28, "unlabelled": 1, "unreadable": 1}
    train = counts[(counts["split"] == "train") & (counts["label"] == "fake")]
    assert train["videos"].sum() == 6


def test_the_spectrum_of_a_fake_stands_out_in_the_corner_and_nowhere_else(world):
    spectra = world.table("explore", "spectra.parquet")
    spectra = spectra[spectra["video_id"] != "v13r"]
    means = spectra.pivot_table(index="ring", columns="label", values="power_db")
    difference = means[1] - means[0]
    assert difference.idxmax() == 15
    assert difference.loc[15] > 6
    assert difference.loc[4:10].abs().max() < 2


def test_the_ring_of_the_trace_is_shown_to_be_apart(world):
    tests = world.table("explore", "ring_tests.parquet")
    assert len(tests) == 16
    assert tests["p_corrected"].idxmin() == 15
    assert tests.loc[15, "p_corrected"] < 0.05


def test_videos_of_one_group_and_class_count_once_in_the_tests_of_the_rings(new_world):
    videos, frames = [], []
    for index in range(12):
        videos.append(row(f"v{index}", label=index % 2, group_id=f"g{index // 6}"))
        frames += new_world.write_frames(f"v{index}", [noise(40, 40, seed=index) // (1 + index % 2)])
    tests = explore(new_world, videos, frames).table("explore", "ring_tests.parquet")
    assert tests["p"].dropna().min() >= 0.3  # of two groups a class nothing can be shown


def test_every_figure_is_there_whole_and_has_a_caption(world):
    folder = world.folder("explore")
    assert sorted(path.name for path in folder.glob("*.png")) == FIGURES
    assert sorted(world.json("explore", "figures.json")) == FIGURES
    for name in FIGURES:
        with Image.open(folder / name) as image:
            image.load()


def test_one_class_alone_is_explored(new_world):
    frames = new_world.write_frames("a", [noise(40, 40)]) + new_world.write_frames(
        "b", [noise(40, 40, seed=1)]
    )
    explored = explore(new_world, [row("a"), row("b")], frames)
    assert explored.artifacts["explore"].summary == {"real": 0, "fake": 2}
    assert (explored.folder("explore") / "mean_spectra.png").is_file()


def test_frames_of_every_size_share_one_axis_of_frequency(new_world):
    sizes = {"tiny": (3, 5), "small": (17, 40), "odd": (201, 133), "large": (300, 700)}
    videos = [row(name, label=index % 2) for index, name in enumerate(sizes)]
    frames = [frame for name, size in sizes.items() for frame in new_world.write_frames(name, [noise(*size)])]
    spectra = explore(new_world, videos, frames).table("explore", "spectra.parquet")
    table = spectra.pivot_table(index="video_id", columns="ring", values="power_db", dropna=False)
    assert table.loc["tiny"].isna().any()
    assert table.loc["large"].notna().all()
    # White noise of bytes: variance (256^2 - 1) / 12, reduced by the weights of luma, at every frequency.
    expected = 10 * np.log10((256**2 - 1) / 12 * (0.299**2 + 0.587**2 + 0.114**2))
    assert table.loc["large"].iloc[3:].mean() == pytest.approx(expected, abs=0.3)
    assert table.loc["odd"].iloc[3:].mean() == pytest.approx(expected, abs=0.3)


def test_a_black_clip_and_a_video_without_frames_do_no_harm(new_world):
    frames = new_world.write_frames("black", [np.zeros((32, 32, 3), np.uint8)])
    spectra = explore(new_world, [row("black"), row("without")], frames).table("explore", "spectra.parquet")
    assert set(spectra["video_id"]) == {"black"}
    assert spectra["power_db"].dropna().unique().tolist() == [-30.0]


def test_nothing_usable_is_an_error_that_says_what_came(new_world):
    videos = [row("a", status="unreadable", reason="damaged"), row("b", status="no_face")]
    with pytest.raises(ExploreError, match=r"1 unreadable, 1 no_face.*videos\.parquet"):
        explore(new_world, videos, [])


def test_equal_inputs_give_equal_files(world):
    first, second = (world.explore(world.artifacts["split"], SETTINGS, seed=3) for _ in range(2))
    assert first.files == second.files


@pytest.mark.parametrize(("count", "expected"), [(1, [5]), (2, [2, 7]), (99, list(range(10)))])
def test_the_frames_behind_a_spectrum_are_evenly_spread_and_in_order(count, expected):
    frames = pd.DataFrame({"video_id": ["x"] * 10 + ["y"], "frame_index": [*range(9, -1, -1), 0]})
    paths = frame_paths(frames.assign(path=frames["frame_index"].astype(str)), count)
    assert paths == {"x": [str(index) for index in expected], "y": ["0"]}


def test_the_spectrum_of_a_video_is_the_mean_over_its_frames_not_that_of_one(new_world):
    images = [noise(40, 40), noise(40, 40, seed=1) // 4]
    split = new_world.store_split([row("a")], new_world.write_frames("a", images))
    both, first = (read_spectra(new_world.workspace, new_world.spectra(split, 16, n), ["a"]) for n in (2, 1))
    one, two = (image_profile(image, 16) for image in images)
    np.testing.assert_allclose(both[0], (one + two) / 2)
    np.testing.assert_allclose(first[0], two)


def test_a_spectrum_that_could_not_be_kept_is_an_error_that_names_its_video_instead_of_a_video_less(
    new_world,
):
    split = new_world.store_split([row("a"), row("b")], new_world.write_frames("a", [noise(40, 40)]))
    made = new_world.spectra(split)
    lost = Mapped(artifacts=made.artifacts, failures={"b": "no space left"})
    with pytest.raises(SpectrumError, match="spectrum of b could not be kept: no space left"):
        read_spectra(new_world.workspace, lost, ["a", "b"])


def test_of_more_videos_than_are_shown_in_two_dimensions_an_even_choice_is_taken(new_world, monkeypatch):
    monkeypatch.setattr("tasks.explore.MOST_PLANES", 2)
    videos = [row(f"v{index}", label=index % 2) for index in range(10)]
    rows = [frame for v in videos for frame in new_world.write_frames(v["video_id"], [noise(40, 40)])]
    _, behind, _ = class_spectra(new_world.workspace, pd.DataFrame(videos), pd.DataFrame(rows), 1)
    assert behind == {"real": 2, "fake": 2}
