"""Which attention a detector has, and where in its backbone."""

import difflib
from collections.abc import Callable
from typing import Any

from fourier_model.alternatives import FcaAttention, GlobalFilter, SqueezeExcitation
from fourier_model.attention import FORMULAS, FourierAttention
from fourier_model.backbones import PLACES
from fourier_model.settings import ModelSettings

DEFAULT_PLACES = {"inception_v3": ("mixed2", "mixed7"), "compact": ("stage2",)}
"""Convolutions stand behind them, and their maps hold enough frequencies: 25 x 25 and 12 x 12 of 224 pixels."""
PREFIX = "attention_"


def attention_places(model: ModelSettings, backbone: str) -> tuple[str, ...]:
    """The layers that attention follows, as set or by default; those of the first recipe stand behind the last layer that is used.

    Raises ValueError for a layer that the backbone does not have, one that is named twice, or one behind all of `model.features`.
    """
    known = PLACES[backbone]
    if model.features:
        require_layers("model.features", model.features, backbone)
        known = known[: max(map(known.index, model.features)) + 1]
    if model.attention == "none":
        return ()
    if model.places is None:
        default = known[-1:] if model.attention in FORMULAS else DEFAULT_PLACES[backbone]
        return tuple(place for place in default if place in known)
    require_layers("model.places", model.places, backbone)
    unused = [place for place in model.places if place not in known]
    if unused:
        message = f"model.places names {unused[0]}, which lies behind all of model.features, {', '.join(model.features or ())}, and is left out"
        raise ValueError(message)
    return model.places


def require_layers(setting: str, names: tuple[str, ...], backbone: str) -> None:
    """Raise ValueError for a layer that the backbone does not have, or one that is named twice."""
    known = PLACES[backbone]
    unknown = [name for name in names if name not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        message = f"{setting} must name layers of backbone.name={backbone}, got {unknown[0]}: {hint}known: {', '.join(known)}"
        raise ValueError(message)
    if len(set(names)) < len(names):
        message = f"{setting} must name each layer once, got {', '.join(names)}"
        raise ValueError(message)


def attention_layer(model: ModelSettings, place: str, draw_seed: Callable[[], int]) -> Any:
    """A new layer of the attention that is set, called after its place."""
    name = PREFIX + place
    if model.attention == "gfnet":
        return GlobalFilter(name=name)
    if model.attention in ("se", "fca"):
        kind = SqueezeExcitation if model.attention == "se" else FcaAttention
        return kind(seed=draw_seed(), name=name)
    return FourierAttention(
        mode=model.attention,
        phase=model.attention_phase,
        tiles=model.attention_tiles,
        seed=draw_seed(),
        name=name,
    )


def is_attention(layer: Any) -> bool:
    """Whether a layer of a detector is its attention."""
    return str(layer.name).startswith(PREFIX)
