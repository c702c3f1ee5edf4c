import json

import numpy as np
import pandas as pd
import pytest

from flows.summary import print_comparison
from fourier_model.metrics import EvaluationSettings
from tasks.compare import ComparisonError, compare

SETTINGS = EvaluationSettings(resamples=100)


def judged(names, seed=0, prefix="set"):
    """How a detector judged the videos of these numbers; even ones are real."""
    rng = np.random.default_rng(seed)
    labels = np.array([name % 2 for name in names])
    logits = rng.normal(2 * labels - 1, 1)
    return pd.DataFrame(
        {
            "video_id": [f"{prefix}/{name}.mp4" for name in names],
            "dataset": prefix,
            "label": labels,
            "group_id": [f"{prefix}/{name // 2}" for name in names],
            "logit": logits,
            "verdict": np.where(logits >= 0, "fake", "real"),
        }
    )


def model_folder(path, test, train=(), prefix="set", seed=0, content="c"):
    """What the stage `bundle` packs, as far as a comparison reads it."""
    path.mkdir()
    (path / "model.json").write_text("{}")
    judged(test, seed, prefix).to_parquet(path / "test_videos.parquet")
    names = [*test, *train]
    pd.DataFrame(
        {
            "video_id": [f"{prefix}/{name}.mp4" for name in names],
            "digest": [f"{content}{name}" for name in names],
            "group_id": [f"{prefix}/{name // 2}" for name in names],
            "split": ["test"] * len(test) + ["train"] * len(train),
        }
    ).to_parquet(path / "training_videos.parquet")
    return path


def evaluation_folder(path, videos):
    path.mkdir()
    (path / "metrics.json").write_text("{}")
    videos.to_parquet(path / "videos.parquet")
    return path


def test_only_videos_that_both_judged_are_compared(tmp_path):
    one = model_folder(tmp_path / "a", range(40), range(60, 80))
    two = model_folder(tmp_path / "b", range(10, 50), range(80, 90), seed=1)
    result = compare(one, two, SETTINGS, 0)
    assert result["counts"] == {"videos": 30, "real": 15, "fake": 15, "groups": 15}
    assert result["matched_by"] == "content"
    own = [judged(range(40)).iloc[10:], judged(range(10, 50), 1).iloc[:30]]
    right = [np.asarray((table["verdict"] == "fake") == table["label"]) for table in own]
    assert result["mcnemar"]["only_first_right"] == int(np.sum(right[0] & ~right[1]))
    assert result["accuracy"]["first"]["value"] == pytest.approx(right[0].mean())


def test_a_video_of_equal_name_and_other_content_is_another_video(tmp_path):
    one = model_folder(tmp_path / "a", range(30))
    two = model_folder(tmp_path / "b", range(30), content="other")
    with pytest.raises(ComparisonError, match="judged no video in common"):
        compare(one, two, SETTINGS, 0)


def test_a_copy_under_another_name_is_the_same_video(tmp_path):
    one = model_folder(tmp_path / "a", range(30))
    two = model_folder(tmp_path / "b", range(30), prefix="renamed", seed=1)
    assert compare(one, two, SETTINGS, 0)["counts"]["videos"] == 30


def test_a_detector_is_not_compared_on_what_it_was_trained_on(tmp_path):
    one = model_folder(tmp_path / "a", range(20), range(20, 40))
    judged(range(40)).to_parquet(one / "test_videos.parquet")
    two = evaluation_folder(tmp_path / "b", judged(range(10, 40), 1))
    with pytest.raises(
        ComparisonError, match=r"trained on 20 of the 30 videos to compare on, first set/20\.mp4"
    ):
        compare(one, two, SETTINGS, 0)


def test_tests_that_the_other_was_trained_on_are_named_where_nothing_is_shared(tmp_path):
    one = model_folder(tmp_path / "a", range(20), range(20, 40))
    two = model_folder(tmp_path / "b", range(20, 40), range(20))
    with pytest.raises(
        ComparisonError, match=r"20 of the 20 videos that .* was judged on are among those that"
    ):
        compare(one, two, SETTINGS, 0)


def test_labels_that_contradict_are_refused(tmp_path):
    one = model_folder(tmp_path / "a", range(20))
    two = model_folder(tmp_path / "b", range(20))
    table = pd.read_parquet(two / "test_videos.parquet")
    table.assign(label=1 - table["label"]).to_parquet(two / "test_videos.parquet")
    with pytest.raises(ComparisonError, match="20 of 20 shared videos are real to one"):
        compare(one, two, SETTINGS, 0)


def test_evaluations_are_matched_by_name_and_that_is_said(tmp_path):
    one = evaluation_folder(tmp_path / "a", judged(range(60)))
    two = evaluation_folder(tmp_path / "b", judged(range(60), 1))
    result = compare(one, two, SETTINGS, 0)
    assert result["matched_by"] == "name"
    assert any("matched by data set and path" in note for note in result["notes"])
    assert any("was not checked" in note for note in result["notes"])


def test_groups_that_either_took_for_related_are_one(tmp_path):
    videos = judged(range(60), 1)
    one = evaluation_folder(tmp_path / "a", judged(range(60)))
    two = evaluation_folder(
        tmp_path / "b", videos.assign(group_id=[f"set/{name // 4}" for name in range(60)])
    )
    assert compare(one, two, SETTINGS, 0)["counts"]["groups"] == 15


def test_what_is_no_judgement_is_refused_and_the_way_out_is_named(tmp_path):
    with pytest.raises(ComparisonError, match="neither a model's folder nor that of an evaluation"):
        compare(tmp_path, tmp_path, SETTINGS, 0)
    old = model_folder(tmp_path / "old", range(4))
    (old / "test_videos.parquet").unlink()
    with pytest.raises(ComparisonError, match=r"test_videos\.parquet is missing"):
        compare(old, old, SETTINGS, 0)


def test_the_table_names_both_numbers_the_test_and_its_warnings(tmp_path, capsys):
    one, two = (model_folder(tmp_path / name, range(30), seed=seed) for seed, name in enumerate("ab"))
    result = compare(one, two, SETTINGS, 0)
    print_comparison(result, as_json=False)
    shown = capsys.readouterr().out
    for words in (
        "30 videos (15 real, 15 fake) of 15 groups",
        "AUC",
        "McNemar",
        "note: the 30 videos are 15 groups",
    ):
        assert words in shown
    print_comparison(result, as_json=True)
    assert json.loads(capsys.readouterr().out) == result
