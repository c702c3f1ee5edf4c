import pytest

from flows.config import Settings, SettingsError, load_settings, merge


@pytest.mark.parametrize("preset", ["sample", "standard", "gpu", "original"])
def test_each_preset_is_valid_and_survives_a_round_trip(preset):
    settings = load_settings(preset)
    assert settings.preset == preset
    assert Settings.model_validate(settings.model_dump(mode="json")) == settings


def test_a_file_overrules_the_preset_and_a_single_value_the_file(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("train: {epochs: 3, batch_size: 5}")
    settings = load_settings("sample", path, ["train.epochs=4"])
    assert (settings.train.epochs, settings.train.batch_size) == (4, 5)
    assert settings.backbone.name == "compact"


def test_data_sets_of_the_call_replace_those_of_the_preset():
    settings = load_settings("sample", datasets=["a", "kaggle:o/s"])
    assert [dataset.uri for dataset in settings.datasets] == ["a", "kaggle:o/s"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epoch=3", "unknown setting train.epoch: did you mean train.epochs"),
        ("train.epochs=0", "setting train.epochs: .*greater than or equal to 1, got 0"),
        ("frames.format=gif", "setting frames.format"),
        ("nonsense", "expected section.key=value"),
        ("preset=other", "setting preset"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(override, message):
    with pytest.raises(SettingsError, match=message):
        load_settings(overrides=[override])


@pytest.mark.parametrize("text", ["- 1", "a: [", "\x00"])
def test_a_file_that_holds_no_settings_is_named(tmp_path, text):
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"settings\.yaml"):
        load_settings(config=path)


def test_ready_made_faces_are_not_cropped_again():
    frames = load_settings("standard").frames
    assert frames.extraction_of("scenes").crop == "face"
    assert frames.extraction_of("faces").crop == "none"


def test_merging_keeps_what_is_not_named():
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}) == {"a": {"b": 3, "c": 2}}


def test_each_setting_of_judgement_belongs_to_one_stage_so_that_others_stay_cached():
    settings = load_settings(overrides=["evaluate.pooling=top_k", "evaluate.resamples=200"]).evaluate
    parts = [settings.intervals, settings.pooled, settings.abstention]
    names = [name for part in parts for name in type(part).model_fields]
    assert sorted(names) == sorted(type(settings).model_fields)
    assert {name: getattr(part, name) for part in parts for name in type(part).model_fields} == dict(settings)
