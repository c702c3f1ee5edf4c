"""Files of settings that are made to break their reader, and secrets in what is kept and shown."""

import logging
import traceback

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.config import SettingsError, load_settings
from storage.layouts.base import DataSetSettings
from storage.redaction import holds_secret, redacted
from storage.stream_source import StreamError, stream_source
from tasks.report.again import settings_text

SECRET = "hunter2"
LAUGHS = 'seed: &a ["x", "x"]\n' + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "a few aliases for millions of values": (LAUGHS, r"found the alias \*a: write the value out"),
    "a list that holds itself": ("seed: &a [*a]", r"found the alias \*a"),
    "a mapping that holds itself": ("&a {seed: 1, frames: *a}", r"found the alias \*a"),
    "lists without end": ("seed: " + "[" * 3000, "more than 20 lists and mappings"),
    "a number without end": ("seed: " + "9" * 5000, "is not YAML"),
    "a date that is none": ("seed: 2001-99-99", "is not YAML"),
    "a call": ('seed: !!python/object/apply:os.system ["touch called"]', "is not YAML"),
    "a new object": ("seed: !!python/object/new:os.system [touch called]", "is not YAML"),
    "a name of code": ("seed: !!python/name:os.system", "is not YAML"),
}
WITH_SECRETS = [
    f"https://user:{SECRET}@host/data",
    f"s3://KEY:{SECRET}@bucket/data",
    f"https://host/data?token={SECRET}",
    f"https://host/data?a=b&X-Amz-Signature={SECRET}&c=d",
    f"https://host/data;sig={SECRET}",
    f"ftp://user:a/{SECRET}@host/data",
]
WITHOUT = ["sample", "videos@home/a:b", "kaggle:owner/slug", "s3://bucket/a@2x/key.parquet", "https://host/a?page=2", "C:/token=a"]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_of_settings_is_one_short_message(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(SettingsError, match=message) as refused:
        load_settings(config=tmp_path / "a.yaml")
    assert len(str(refused.value)) < 1000
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize("value", ["&a [*a]", "[" * 3000, "9" * 5000, "!!python/name:os.system"])
def test_a_hostile_value_of_the_call_is_one_short_message(value):
    with pytest.raises(SettingsError, match="is not a YAML value") as refused:
        load_settings(overrides=[f"seed={value}"])
    assert len(str(refused.value)) < 1000


def test_what_a_setting_got_is_not_shown_at_any_length():
    with pytest.raises(SettingsError) as refused:
        load_settings(overrides=[f"seed=[{'9, ' * 10_000}]"])
    assert len(str(refused.value)) < 1000


def test_settings_that_are_written_can_be_read():
    """Equal lists of a file are written out, not as aliases, which are not taken."""
    same = [1, 2]
    assert "*" not in settings_text({"a": same, "b": same, "c": [same, same]})


@pytest.mark.parametrize("address", WITH_SECRETS)
def test_a_secret_in_the_address_of_a_data_set_is_refused_and_not_repeated(tmp_path, address):
    """What is in the settings goes to Prefect, into reports, records and detectors."""
    (tmp_path / "a.yaml").write_text(f'datasets: [{{uri: "{address}"}}]')
    workspace = tmp_path / "workspace"
    for call in (["run", address], ["plan", address], ["inspect", "--config", str(tmp_path / "a.yaml")], ["run", "--set", f"datasets=[{{uri: '{address}'}}]"], ["run", "--set", f"seed={address}"]):  # fmt: skip
        where = [] if call[0] == "inspect" else ["--workspace", str(workspace)]
        done = CliRunner().invoke(app, [*call, *where])
        assert done.exit_code == 2
        assert SECRET not in done.output
    assert not any(
        SECRET in path.read_text(errors="replace") for path in workspace.rglob("*") if path.is_file()
    )


@pytest.mark.parametrize("address", WITHOUT)
def test_an_address_without_a_secret_is_left_as_it_is(address):
    assert redacted(address) == address
    assert not holds_secret(address)
    assert DataSetSettings(uri=address).uri == address


@pytest.mark.parametrize("address", [address.replace("ftp", "rtsp").replace("s3", "rtsp") for address in WITH_SECRETS] + [
    f"rtsp://user:{SECRET}[@host/a", f"http://[::1/{SECRET}", f"rtsp://host:{SECRET}/", f"rtmp://host/live/{SECRET}",
    f"rtsp://host/user=admin_password={SECRET}_channel=1", f"rtsp://host/a;token={SECRET}", f"gopher://user:{SECRET}@host/",
])  # fmt: skip
def test_what_people_see_of_a_stream_holds_no_secret(address):
    try:
        shown = stream_source(address).label
    except StreamError as error:
        shown = "".join(traceback.format_exception(error))
    assert SECRET not in shown


def test_an_address_that_is_no_file_is_named_without_its_secret(caplog):
    from tasks.detect import Detector

    caplog.set_level(logging.DEBUG)
    detector = Detector.__new__(Detector)
    detector.model = type("Model", (), {"digest": "m"})
    for address in WITH_SECRETS:
        judged = detector.judge(address)
        assert judged.status == "failed"
        assert SECRET not in judged.model_dump_json() + caplog.text
