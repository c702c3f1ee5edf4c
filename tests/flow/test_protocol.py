import pytest

from flows.protocol import protocol
from flows.summary import print_protocol, protocol_summary


@pytest.mark.slow
def test_an_unchanged_second_loop_trains_nothing_again(tmp_path, tiny_settings, capsys):
    settings = tiny_settings.model_copy(
        update={"split": tiny_settings.split.model_copy(update={"folds": 2, "validation_fraction": 0.25})}
    )
    first = protocol_summary(tmp_path, protocol(settings, "k-fold", str(tmp_path)))
    assert [row["round"] for row in first["rows"]] == ["fold 1", "fold 2"]
    assert len(set(first["models"].values())) == 2
    assert first["pooled"]["counts"]["samples"] == 12
    assert first["stages"]["train"] == first["stages"]["protocol"] == "ran"
    again = protocol_summary(tmp_path, protocol(settings, "k-fold", str(tmp_path)))
    assert set(again["stages"].values()) == {"cached"}
    print_protocol(again, as_json=False)
    shown = capsys.readouterr().out
    assert "fold 2" in shown
    assert "AUC within folds, mean: " in shown
