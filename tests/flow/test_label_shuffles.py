import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from flows.config import Settings
from flows.prepare import prepare
from storage.images import read_image
from storage.workspace import Workspace

SHUFFLES = 20


@pytest.fixture(scope="module")
def features(tmp_path_factory, prefect_server):
    """Pooled features of every video of the sample data set by the compact backbone, computed once; and their split."""
    import keras

    from fourier_model.detector import POOL, build_detector

    root = tmp_path_factory.mktemp("workspace")
    settings = Settings.model_validate({"preset": "sample", "frames": {"per_video": 2}})
    split = prepare(settings, str(root)).split.folder(Workspace(root))
    videos = pd.read_parquet(split / "videos.parquet").set_index("video_id")
    frames = pd.read_parquet(split / "frames.parquet")
    detector = build_detector(settings.model, settings.backbone, settings.frames.size, seed=0)
    backbone = keras.Model(detector.input, detector.get_layer(POOL).output)
    images = np.stack([read_image(root / path) for path in frames["path"]]).astype(np.float32)
    pooled = (
        pd.DataFrame(backbone.predict(images, batch_size=16, verbose=0)).groupby(frames["video_id"]).mean()
    )
    return pooled, videos.loc[pooled.index]


def auc_on_test(pooled, labels, splits):
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(pooled[splits == "train"], labels[splits == "train"])
    held_out = splits == "test"
    return roc_auc_score(labels[held_out], model.decision_function(pooled[held_out]))


def test_shuffled_labels_are_not_learned_and_the_true_ones_are(features):
    pooled, videos = features
    splits, labels = videos["split"].to_numpy(), videos["label"].to_numpy(int)
    rng = np.random.default_rng(0)
    shuffled = [auc_on_test(pooled, rng.permutation(labels), splits) for _ in range(SHUFFLES)]
    assert abs(np.mean(shuffled) - 0.5) <= 0.15
    assert (
        auc_on_test(pooled, labels, splits) >= 0.75
    )  # the backbone is untrained: enough to see that the test can tell
