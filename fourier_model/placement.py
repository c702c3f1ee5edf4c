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
    """The layers that attention follows, as set or by default; those of the first recipe stand behind the whole backbone.

    Raises ValueError for a layer that the backbone does not have, or one that is named twice.
    """
    known = PLACES[backbone]
    if model.attention == "none":
        return ()
    if model.places is None:
        return known[-1:] if model.attention in FORMULAS else DEFAULT_PLACES[backbone]
    unknown = [name for name in model.places if name not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        message = f"model.places must name layers of backbone.name={backbone}, got {unknown[0]}: {hint}known: {', '.join(known)}"
        raise ValueError(message)
    if len(set(model.places)) < len(model.places):
        message = f"model.places must name each layer once, got {', '.join(model.places)}"
        raise ValueError(message)
    return model.places


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
