"""A small workspace with real frames and a real, tiny detector: 28 videos of 14 groups, fakes with a checkerboard."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.report import FLAGS
from fourier_model.metrics import EvaluationSettings
from fourier_model.pooling import PoolingSettings
from fourier_model.selective import AbstentionSettings
from fourier_model.spectrum import RINGS
from storage.images import write_image
from storage.manifest import FRAME_SCHEMA, VIDEO_SCHEMA, write_rows
from storage.workspace import Workspace
from tasks.audit import AUDIT
from tasks.bundle import BUNDLE, FORMAT_VERSION, sha256
from tasks.calibrate import CALIBRATE
from tasks.clip import ExtractionSettings
from tasks.evaluate import BASELINE_FRAMES, EVALUATE
from tasks.explore import EXPLORE, ExploreSettings
from tasks.report import REPORT
from tasks.spectra import SPECTRUM, SpectrumCalls
from tasks.stage import Artifact, Mapped, Stage

SIZE = 48
FRAMES = 3
SETTINGS = EvaluationSettings(resamples=200)
CALIBRATING = {"size": SIZE, "pooling": PoolingSettings(), "abstention": AbstentionSettings(), "seed": 0}
EXPLORING = ExploreSettings(bins=16, resamples=200, samples=3)
TAKEN = {
    "frames": ExtractionSettings(per_video=6, format="png").model_dump(mode="json") | {"size": SIZE},
    "dataset": {"content": "scenes"},
    "datasets": [{"content": None}],
}
"""What the detector's configuration says of how frames are taken."""
NASTY = "<script>alert('x')</script> & \"so\" on.mp4"


def video_row(**values):
    """A row of the table of videos, usable unless told otherwise."""
    usable = {
        "dataset": "folder",
        "status": "ok",
        "label_source": "folder",
        "frames_expected": FRAMES,
        "frames_extracted": FRAMES,
    }
    return dict.fromkeys(VIDEO_SCHEMA.names) | usable | values


def picture(rng, checkerboard, size=(SIZE, SIZE + 8)):
    """A smooth noisy image, RGB uint8, with a checkerboard of this amplitude in grey levels."""
    smooth = np.kron(rng.normal(120, 30, (size[0] // 8, size[1] // 8)), np.ones((8, 8)))
    board = np.indices(smooth.shape).sum(axis=0) % 2 * 2 - 1
    grey = smooth + rng.normal(0, 3, smooth.shape) + checkerboard * board
    return np.repeat(grey.clip(0, 255).round().astype(np.uint8)[..., None], 3, axis=2)


@dataclass
class World:
    """The workspace and the artifacts in it."""

    workspace: Workspace
    artifacts: dict[str, Artifact] = field(default_factory=dict)

    def folder(self, stage: str) -> Path:
        return self.artifacts[stage].folder(self.workspace)

    def json(self, stage: str, name: str):
        return json.loads((self.folder(stage) / name).read_text("utf-8"))

    def table(self, stage: str, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.folder(stage) / name)

    def run(self, stage: Stage, **inputs) -> Artifact:
        return stage.execute(self.workspace, inputs)

    def spectra(self, split: Artifact, bins=RINGS, per_video=BASELINE_FRAMES) -> Mapped:
        """The spectra of the usable videos of a split, as the baseline wants them unless told otherwise."""
        return SPECTRUM.keep_all(
            self.workspace, dict(SpectrumCalls(self.workspace, split, bins, per_video).items())
        )

    def explore(self, split: Artifact, settings: ExploreSettings, seed=0) -> Artifact:
        """What `explore` leaves of a split."""
        spectra = self.spectra(split, settings.bins, settings.frames_per_video)
        return self.run(EXPLORE, split=split, spectra=spectra, settings=settings, seed=seed)

    def store_split(self, videos, frames, name="split") -> Artifact:
        """The tables as an artifact like that of the stage `split`."""

        def store(output, workspace, content):
            write_rows(output / "videos.parquet", videos, VIDEO_SCHEMA)
            write_rows(output / "frames.parquet", frames, FRAME_SCHEMA)
            (output / "split.json").write_text(json.dumps({"warnings": ["few groups"]}))

        return self.run(Stage(name, 1, store), content=len(videos) * 1000 + len(frames))

    def store_catalogue(self, videos) -> Artifact:
        """What the audit reads of the catalogue: the first two videos are copies."""

        def store(output, workspace):
            table = pd.DataFrame({"video_id": [video["video_id"] for video in videos], "missing": False})
            table["digest"] = [str(max(row, 1)) for row in range(len(videos))]
            table.to_parquet(output / "videos.parquet")
            data_sets = [{"name": "folder", "layout": "class folders: <i>", "notes": ["a <b>note</b>"]}]
            (output / "data_sets.json").write_text(json.dumps(data_sets))

        return self.run(Stage("catalogue", 1, store))

    def write_frames(self, video_id, images, suffix=".png"):
        """Store images as frames of a video; returns their rows."""
        rows = []
        for index, image in enumerate(images):
            path = f"extract/{video_id}/{index:06d}{suffix}"
            (self.workspace.root / path).parent.mkdir(parents=True, exist_ok=True)
            write_image(self.workspace.root / path, image)
            rows.append(
                dict.fromkeys(FRAME_SCHEMA.names) | {"video_id": video_id, "frame_index": index, "path": path}
            )
        return rows


def make_videos(world):
    """14 groups of a real and a fake; one real video that looks fake; one unreadable, one unlabelled."""
    rng = np.random.default_rng(0)
    videos, frames = [], []
    for group in range(14):
        part = "train" if group < 6 else "validation" if group < 9 else "test"
        for label in (0, 1):
            video_id = f"v{group:02d}{'rf'[label]}"
            method = ("deconvolution", "other")[group % 2] if label else None
            amplitude = 4 if label or video_id == "v13r" else 0
            name = NASTY if video_id == "v13r" else f"{('real', 'fake')[label]}/{video_id}.mp4"
            videos.append(
                video_row(
                    video_id=video_id,
                    path=name,
                    label=label,
                    method=method,
                    compression=("c23", "c40", None)[group % 3],
                    group_id=f"g{group}",
                    split=part,
                )
            )
            frames += world.write_frames(video_id, [picture(rng, amplitude) for _ in range(FRAMES)])
    broken = {"video_id": "broken", "path": "real/<i>broken</i>.mp4", "group_id": "b", "label": 0}
    videos.append(
        video_row(**broken) | {"status": "unreadable", "reason": "is <b>no</b> video", "frames_extracted": 0}
    )
    videos.append(video_row(video_id="u", path="u.mp4", group_id="u", status="unlabelled", reason="no label"))
    return videos, frames


def make_detector():
    """Power of the checkerboard as a logit: the contract of a detector in one fixed convolution."""
    import keras

    image = keras.Input((None, None, 3), name="image")
    board = keras.layers.Conv2D(1, 2, use_bias=False, name="board")
    x = board(image)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Multiply()([x, x]))
    logit = keras.layers.Dense(1, name="logit")
    model = keras.Model(image, logit(x))
    board.set_weights([np.array([[1.0, -1.0], [-1.0, 1.0]]).reshape(2, 2, 1, 1).repeat(3, axis=2) / 12])
    logit.set_weights([np.array([[0.5]]), np.array([-4.0])])
    return model


def pack_detector(folder):
    """As much of a detector's folder as judging reads, made in a moment; returns the folder."""
    from fourier_model.detector import save_detector

    folder.mkdir(parents=True)
    save_detector(make_detector(), folder / "model.keras")
    record = {
        "format_version": FORMAT_VERSION,
        "input_size": SIZE,
        "pooling": PoolingSettings().model_dump(mode="json"),
        "calibration": {"temperature": 1.0, "bias": 0.0, "abstention": {"margin": None}},
        "threshold": 0.5,
        "configuration": TAKEN,
        "digests": {"model.keras": sha256(folder / "model.keras")},
    }
    (folder / "model.json").write_text(json.dumps(record), "utf-8")
    return folder


def store_training(world):
    from matplotlib.figure import Figure

    from fourier_model.detector import save_detector

    def store(output, workspace):
        save_detector(make_detector(), output / "model.keras")
        history = {
            "epoch": [1, 2],
            "phase": ["head", "fine_tune"],
            "loss": [0.7, 0.4],
            "val_loss": [0.6, 0.5],
            "val_auc": [0.7, 0.9],
        }
        pd.DataFrame(history | {"learning_rate": [0.1, 0.01]}).to_parquet(
            output / "history.parquet", index=False
        )
        facts = {"parameters": 14, "flops": 100, "precision": "float32", "best_epoch": 2}
        facts |= {f"{part}_{what}": 6 for part in ("train", "validation") for what in ("videos", "frames")}
        (output / "training.json").write_text(json.dumps(facts))
        Figure(figsize=(1, 1)).savefig(output / "model_architecture.png")
        (output / "model_graph.svg").write_text("<svg/>")

    return world.run(Stage("train", 1, store))


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> World:
    """The workspace after the whole walk: split, explore, train, calibrate, evaluate, bundle, report."""
    world = World(Workspace(tmp_path_factory.mktemp("world")).prepare())
    made = world.artifacts
    videos, frames = make_videos(world)
    made["split"] = world.store_split(videos, frames)
    made["audit"] = world.run(AUDIT, catalogue=world.store_catalogue(videos), split=made["split"], seed=0)
    made["train"] = store_training(world)
    made["explore"] = world.explore(made["split"], EXPLORING)
    scored = {"split": made["split"], "training": made["train"]}
    made["calibrate"] = world.run(CALIBRATE, **scored, **CALIBRATING)
    made["evaluate"] = world.run(
        EVALUATE,
        **scored,
        calibration=made["calibrate"],
        spectra=world.spectra(made["split"]),
        settings=SETTINGS,
        seed=0,
    )
    judged = scored | {"calibration": made["calibrate"], "evaluation": made["evaluate"]}
    configuration = {"backbone": {"name": "compact"}, "seed": 0, "note": "<b>"} | TAKEN
    made["bundle"] = world.run(BUNDLE, **judged, configuration=configuration, code_version="0.1.0")
    made["report"] = world.run(
        REPORT,
        **judged,
        audit=made["audit"],
        exploration=made["explore"],
        bundle=made["bundle"],
        configuration=configuration,
    )
    return world


@pytest.fixture
def new_world(tmp_path) -> World:
    """An empty workspace."""
    return World(Workspace(tmp_path / "workspace").prepare())


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Chromium to open the page in: apt-get install chromium")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright, of the dev dependencies"
    )
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=chromium, args=FLAGS, timeout=180_000)
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser):
    """Makes an empty page that keeps what it asks for and what it says, in `page.requests` and `page.complaints`; options are those of a context."""
    contexts = []

    def make(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.requests, page.complaints = [], []
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (page.complaints.append("a dialog"), dialog.dismiss()))
        return page

    yield make
    for context in contexts:
        context.close()


def violations(page, impacts=("minor", "moderate", "serious", "critical")):
    """What a page does against the rules of axe, of these impacts."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    return [
        (rule["id"], node["target"], node["failureSummary"])
        for rule in axe.run(page).response["violations"]
        if rule["impact"] in impacts
        for node in rule["nodes"]
    ]
