"""A workspace with detectors and records of runs, as far as they are read to put them side by side."""

import hashlib
import json
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flows.config import Settings
from storage.fingerprint import folder_fingerprints
from storage.manifest import VIDEO_SCHEMA, write_rows
from storage.workspace import Workspace
from tasks.bundle import FORMAT_VERSION
from tasks.records import leave_record
from tasks.stage import Artifact

START = datetime(2026, 1, 1, tzinfo=UTC)
ESTIMATE = {"value": 0.75, "low": 0.5, "high": 1.0, "reason": None}
METRICS = {
    "video": {"counts": {"samples": 3, "real": 1, "fake": 2, "groups": 3}}
    | dict.fromkeys(("auc", "equal_error_rate", "accuracy", "brier"), ESTIMATE)
}


def judged(numbers, quality, seed, prefix):
    """How a detector whose classes lie `quality` deviations apart judged the videos of these numbers; even ones are real."""
    labels = np.array([number % 2 for number in numbers])
    logits = np.random.default_rng(seed).normal(quality * (labels - 0.5), 1)
    return pd.DataFrame(
        {
            "video_id": [f"{prefix}/{number}.mp4" for number in numbers],
            "label": labels,
            "group_id": [f"{prefix}/{number}" for number in numbers],
            "logit": logits,
            "verdict": np.where(logits >= 0, "fake", "real"),
        }
    )


class World:
    """A workspace; every call of `model`, `run` and `evaluation` leaves what the pipeline would."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace(root)
        self.clock = START

    def model(self, key: str, quality: float, test=range(120), train=range(200, 240), prefix="set") -> Path:
        folder = self.workspace.root / "models" / key
        folder.mkdir(parents=True)
        with zipfile.ZipFile(folder / "model.keras", "w") as archive:
            archive.writestr("config.json", key)
        digest = hashlib.sha256((folder / "model.keras").read_bytes()).hexdigest()
        record = {
            "format_version": FORMAT_VERSION,
            "digests": {"model.keras": f"sha256:{digest}"},
            "configuration": Settings().model_dump(mode="json"),
            "data": {"datasets": {prefix: len(test) + len(train)}},
            "metrics": METRICS,
        }
        (folder / "model.json").write_text(json.dumps(record))
        judged(test, quality, len(key) + ord(key[0]), prefix).to_parquet(folder / "test_videos.parquet")
        pd.DataFrame(
            {
                "video_id": [f"{prefix}/{number}.mp4" for number in (*test, *train)],
                "digest": [f"{prefix}{number}" for number in (*test, *train)],
                "split": ["test"] * len(test) + ["train"] * len(train),
            }
        ).to_parquet(folder / "training_videos.parquet")
        return folder

    def run(self, key: str, *, split="a", report="r", **settings) -> Path:
        """A run that ended in this detector; another `split` has one video more, another label and another place."""
        artifacts = {
            "split": self._split(split, seen=None),
            "evaluate": self._evaluation(key, None),
            "report": self._artifact("reports", report, {"report.html": report}),
        }
        return self._record("run", key, artifacts, settings)

    def evaluation(self, key: str, quality: float, *, data="elsewhere", copies=0) -> Path:
        """An evaluation of this detector on 120 videos of another data set."""
        artifacts = {
            "split": self._split(f"{data}{key}", seen={"copies": copies}),
            "evaluate": self._evaluation(key, judged(range(120), quality, ord(key[0]), data)),
        }
        return self._record("evaluate", key, artifacts, {"datasets": [{"uri": data}]})

    def _record(self, kind, key, artifacts, settings) -> Path:
        self.clock += timedelta(minutes=1)
        return leave_record(
            self.workspace,
            kind,
            finished=self.clock,
            seconds=1.0,
            flow_run=None,
            configuration=Settings.model_validate(settings).model_dump(mode="json"),
            model=self.workspace.root / "models" / key,
            artifacts=artifacts,
            stages={"train": "ran"},
        )

    def _split(self, name, seen) -> Artifact:
        folder = self._folder("split", name)
        videos = [
            {"video_id": "v1", "label": 0, "split": "train"},
            {"video_id": "v2", "label": 0 if name == "a" else 1, "split": "test"},
            {"video_id": "v3", "label": 1, "split": "test" if name == "a" else "train"},
            *([] if name == "a" else [{"video_id": "v4", "label": 1, "split": "test"}]),
        ]
        common = {"path": "p", "dataset": "d", "group_id": "g", "status": "ok"}
        rows = [dict.fromkeys(VIDEO_SCHEMA.names) | common | video for video in videos]
        write_rows(folder / "videos.parquet", rows, VIDEO_SCHEMA)
        (folder / "split.json").write_text(json.dumps({"seen": seen}))
        return self._seal("split", folder, {"videos": len(rows), "skipped": 0})

    def _evaluation(self, key, videos) -> Artifact:
        folder = self._folder("evaluate", key if videos is None else f"elsewhere_{key}")
        (folder / "metrics.json").write_text(json.dumps(METRICS | {"model": key}))
        if videos is not None:
            videos.to_parquet(folder / "videos.parquet")
        return self._seal("evaluate", folder)

    def _artifact(self, stage, name, files) -> Artifact:
        folder = self._folder(stage, name)
        for file, content in files.items():
            (folder / file).write_text(content)
        return self._seal(stage, folder)

    def _folder(self, stage, name) -> Path:
        folder = self.workspace.root / stage / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _seal(self, stage, folder, summary=None) -> Artifact:
        path = folder.relative_to(self.workspace.root).as_posix()
        return Artifact(
            stage=stage, path=path, files=folder_fingerprints(folder), inputs={}, summary=summary or {}
        )


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path / "workspace")
