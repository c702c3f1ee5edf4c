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
from tasks.split import SplitSettings, assign_splits

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


def mean_auc(pooled, labels, folds):
    """AUC on the test videos of each fold, on average: a single test of a dozen videos says little."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return np.mean(
        [
            roc_auc_score(
                labels[test], model.fit(pooled[~test], labels[~test]).decision_function(pooled[test])
            )
            for test in folds
        ]
    )


@pytest.mark.slow
def test_shuffled_labels_are_not_learned_and_the_true_ones_are(features):
    pooled, videos = features
    labels = videos["label"].to_numpy(int)
    settings = [SplitSettings(protocol="k-fold", fold=fold) for fold in range(1, 6)]
    folds = [(assign_splits(videos.reset_index(), chosen, 0) == "test").to_numpy() for chosen in settings]
    rng = np.random.default_rng(0)
    shuffled = [mean_auc(pooled, rng.permutation(labels), folds) for _ in range(SHUFFLES)]
    assert abs(np.mean(shuffled) - 0.5) <= 0.15
    # The backbone is untrained: enough to see that the test can tell.
    assert mean_auc(pooled, labels, folds) >= 0.75
