"""The settings of the detector and its training: apart from the code they set, so that reading them loads no TensorFlow."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fakes = Literal["given", "self_blended", "both"]
"""What a detector learns fakes from."""


class BackboneSettings(BaseModel):
    """Which network turns an image into a map of features, and the weights it starts from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["inception_v3", "compact"] = Field(
        "inception_v3",
        description="inception_v3 (21.8 million parameters, pretrained) or compact (small, for training from scratch).",
    )
    weights: str = Field(
        "imagenet",
        min_length=1,
        description=(
            "imagenet (downloaded once), none (random; the only choice for compact), or the path of a weights file "
            "of InceptionV3 without its top."
        ),
    )

    input: Literal["rgb", "rgb_unit", "high_pass", "srm"] | None = Field(
        None,
        description=(
            "What the network reads: pixels from -1 to 1 (rgb) or 0 to 1 (rgb_unit), the image less its 3 x 3 mean (high_pass), or "
            "three noise residuals (srm); by default rgb for inception_v3, high_pass for compact."
        ),
    )

    @property
    def reads(self) -> str:
        """What the network reads, the default filled in."""
        return self.input or ("high_pass" if self.name == "compact" else "rgb")

    @property
    def pretrained(self) -> bool:
        """Whether the backbone starts from trained weights."""
        return self.weights != "none"


class ModelSettings(BaseModel):
    """What stands around the backbone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attention: Literal["none", "se", "fca", "gfnet", "original", "original_axes", "spectral"] = Field(
        "spectral",
        description=(
            "What weighs the backbone's maps: spectral (FourierAttention), or for comparison nothing, squeeze-and-excitation (se), FcaNet "
            "(fca), a global filter (gfnet), the first recipe's formula (original), or that over height and width (original_axes)."
        ),
    )
    places: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description=(
            "Layers of the backbone that the attention follows, mixed0 to mixed10 of inception_v3, stage1 to stage3 of compact; by default "
            "mixed2 and mixed7, or stage2; for the first recipe's formula the last one."
        ),
    )
    attention_phase: bool = Field(
        False, description="Whether FourierAttention also looks at the phases of the maps."
    )
    attention_tiles: bool = Field(
        False, description="Whether FourierAttention also looks at the four quarters of the maps."
    )
    frequency_branch: bool = Field(
        False,
        description="Whether the radial spectrum of the native pixels joins the features of the backbone.",
    )
    features: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description=(
            "Layers of the backbone whose pooled maps are joined and standardised, mixed0 to mixed10 or stage1 to stage3; what lies behind the "
            "last of them is left out. By default the last layer alone, not standardised."
        ),
    )
    cells: int = Field(
        1, ge=1, le=5, description="Cells across and down in which maps are averaged; 1 averages whole maps."
    )
    output: Literal["logit", "softmax"] = Field(
        "logit", description="One logit, or two classes whose logits' difference is the detector's logit."
    )
    dense_units: int = Field(
        128, ge=0, le=8192, description="Width of the dense layer before the logit, units; 0 leaves it out."
    )
    dropout: float = Field(
        0.3, ge=0, lt=1, description="Share of features dropped before each dense layer (0 to 1)."
    )


class AugmentationSettings(BaseModel):
    """How far a training image is moved at random; every image in the same way, whatever its class.

    All but whole-pixel moves (flip, translation) interpolate, which weakens the highest frequencies.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rotation: float = Field(10.0, ge=0, le=180, description="Largest angle either way, degrees.")
    translation: float = Field(
        0.1, ge=0, le=1, description="Largest shift either way, share of the edge; in whole pixels."
    )
    flip: bool = Field(True, description="Whether every second image, at random, is mirrored left to right.")
    shear: float = Field(5.0, ge=0, le=45, description="Largest shear angle either way, degrees.")
    zoom: float = Field(0.1, ge=0, lt=1, description="Largest change of scale either way, share.")
    colour: float = Field(
        0.0, ge=0, le=1, description="Share of images whose colours, brightness and contrast are changed."
    )
    resize: float = Field(
        0.0, ge=0, le=1, description="Share of images reduced by up to 2.5 and brought back to their size."
    )
    blur: float = Field(0.0, ge=0, le=1, description="Share of images blurred by 0.3 to 1.2 pixels.")
    noise: float = Field(0.0, ge=0, le=1, description="Share of images with noise of 1 to 5 grey levels.")
    h264: float = Field(0.0, ge=0, le=1, description="Share of images through H.264 at CRF 18 to 40.")
    jpeg: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of images through JPEG of quality 40 to 99, none of those of H.264.",
    )

    @model_validator(mode="after")
    def _one_codec(self) -> Self:
        if self.h264 + self.jpeg > 1:
            message = f"the shares jpeg and h264 must add up to at most 1, since an image takes one of them: got {self.jpeg} and {self.h264}"
            raise ValueError(message)
        return self

    @property
    def degrades(self) -> bool:
        """Whether any image is changed otherwise than by moving it."""
        return any((self.colour, self.resize, self.blur, self.noise, self.h264, self.jpeg))


class TrainSettings(BaseModel):
    """How the detector is trained: phase 1 (`head` or `scratch`), then partial fine-tuning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fakes: Fakes = Field(
        "given",
        description=(
            "What is learned as fake: the data's own fakes (given), blends of real faces with themselves, made anew for every "
            "epoch (self_blended), or both."
        ),
    )

    head: Literal["epochs", "solved"] = Field(
        "epochs",
        description=(
            "How the head of a frozen backbone is found: in epochs, or solved, as a logistic regression whose penalty the validation videos choose; the "
            "latter for a head of one layer on standardised features (model.features, model.dense_units=0)."
        ),
    )
    epochs: int = Field(20, ge=1, le=10_000, description="Most epochs of phase 1.")
    batch_size: int = Field(16, ge=1, le=4096, description="Frames in a step.")
    learning_rate: float = Field(
        1e-3, gt=0, le=1, description="Peak learning rate of phase 1; it falls as a cosine."
    )
    weight_decay: float = Field(1e-4, ge=0, le=1, description="Decoupled weight decay of AdamW.")
    patience: int = Field(
        5, ge=1, le=10_000, description="Epochs without a lower validation loss after which a phase ends."
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Arithmetic of training; auto is bfloat16 where the processor has units for it."
    )
    distribute: Literal["none", "mirrored", "multi-worker"] = Field(
        "none",
        description=(
            "Which devices train together: one (none), all of this machine (mirrored), or those of all machines that TF_CONFIG names (multi-worker). "
            "They share each batch."
        ),
    )
    fine_tune_epochs: int = Field(
        5, ge=0, le=10_000, description="Most epochs of fine-tuning; 0 leaves it out."
    )
    fine_tune_learning_rate: float = Field(1e-4, gt=0, le=1, description="Peak learning rate of fine-tuning.")
    fine_tune_from: str | None = Field(
        None,
        description=(
            "Name of the last layer that stays frozen in fine-tuning, attention excepted; by default mixed7 of inception_v3, "
            "stage2 of compact."
        ),
    )
    temporal_epochs: int = Field(
        0,
        ge=0,
        le=10_000,
        description=(
            "Most epochs of the temporal head, which reads how the features change from frame to frame, after all other phases; 0 leaves it out."
        ),
    )
    warmup: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Share of the steps of a phase over which the learning rate rises to its peak.",
    )
    layer_decay: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Factor of the learning rate from each block of the backbone to the one before it; 1 lets all learn alike.",
    )
    clip_norm: float | None = Field(
        None,
        gt=0,
        le=1e6,
        description="Largest norm of the gradient over all weights; larger ones are scaled down to it.",
    )
    pair_loss: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Weight of the loss of ranking each blend above its own real image, beside the cross entropy, in phases that read images; 0 leaves it out.",
    )
    mixup: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Parameter of the beta distribution of MixUp on images; 0 leaves it out.",
    )
    cutmix: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Parameter of the beta distribution of CutMix on images; 0 leaves it out.",
    )
    fine_tune_head: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Factor of the learning rate of the layers behind the backbone in fine-tuning: they are trained already.",
    )
    views: int = Field(
        3,
        ge=1,
        le=100,
        description="Augmented views of each frame whose features a frozen backbone computes once.",
    )
    imbalance: Literal["class_weight", "none"] = Field(
        "class_weight",
        description="class_weight lets both classes weigh the same in the loss; none does not.",
    )
    augmentation: AugmentationSettings = Field(
        default_factory=AugmentationSettings, description="How far training images are moved at random."
    )
    memory: float = Field(
        2.0,
        ge=0,
        le=1024,
        description="Most memory for decoded frames, and for features of a frozen backbone, GiB; beyond it, they are made again each epoch.",
    )

    @model_validator(mode="after")
    def _whole_pairs(self) -> Self:
        if self.pair_loss and (self.mixup or self.cutmix):
            message = (
                "pair_loss needs images that are not mixed with others: set it to 0, or mixup and cutmix"
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _shareable(self) -> Self:
        if self.distribute != "none" and (self.pair_loss or self.clip_norm):
            message = (
                "train.distribute shares out each batch, and train.pair_loss and train.clip_norm need the whole of it: set train.pair_loss=0 and "
                "leave train.clip_norm empty, or set train.distribute=none"
            )
            raise ValueError(message)
        return self

    @property
    def reals_suffice(self) -> bool:
        """Whether real videos alone can be trained on, the fakes being made of them."""
        return self.fakes == "self_blended"


def require_solvable_head(model: ModelSettings, backbone: BackboneSettings, train: TrainSettings) -> None:
    """Raises ValueError where `train.head` is `solved` and the head is not one layer on standardised features of a pretrained backbone."""
    linear = (
        model.features and not model.dense_units and not model.frequency_branch and model.output == "logit"
    )
    if train.head == "solved" and not (linear and backbone.pretrained):
        message = (
            "train.head=solved needs one layer on standardised features of a pretrained backbone: set model.features, model.dense_units=0, "
            "model.frequency_branch=false and model.output=logit, or train.head=epochs"
        )
        raise ValueError(message)


def require_own_attention(model: ModelSettings, train: TrainSettings) -> None:
    """Raises ValueError where `train.distribute` shares out batches whose examples the attention mixes: the share would change what it says."""
    if train.distribute != "none" and model.attention in ("original", "original_axes"):
        message = (
            f"train.distribute shares out each batch, and model.attention={model.attention} mixes the examples of one: choose another, or set "
            "train.distribute=none"
        )
        raise ValueError(message)
