"""The detector as few blocks: what a person draws of it, from its graph of hundreds of layers."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from fourier_model.backbones import PLACES
from fourier_model.detector import BRANCH, POOL, RESIZE, TAP
from fourier_model.placement import is_attention
from fourier_model.preprocessing import NAME as PREPROCESSING

STEM = "stem"
CELLS = "cells of "
FREQUENCY = "frequency branch"
STAGES = frozenset(place for places in PLACES.values() for place in places)
ATTACHED = frozenset({"BatchNormalization", "Activation", "MaxPooling2D", "Dropout"})
"""Kinds of layers that go with the one before."""
NAMED_LAYERS = 4
"""A block of more layers says how many there are, not of which kinds."""


@dataclass(frozen=True)
class Block:
    """Layers that are drawn as one."""

    name: str
    kinds: str
    """What its layers are, such as `Conv2D, BatchNormalization`, or `30 layers`."""
    shape: str
    """Of its output without the batch, such as `12 x 12 x 768`."""
    parameters: int
    trained: int
    """How many of these were trained, and are not as they started."""
    part: str
    """input, backbone, attention, cells, frequency or head."""
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Drawing:
    """The blocks of a model, in the order of its layers, and between which of them data pass, by index."""

    blocks: tuple[Block, ...]
    edges: tuple[tuple[int, int], ...]


def draw_blocks(model: Any, trained: Collection[str]) -> Drawing:
    """The blocks of a detector, of which the layers named in `trained` were trained.

    One block is: the image; the resize; all of the preprocessing; the stem, what lies in front of the backbone's first
    stage; each stage; each attention; the cells of a layer whose maps are read out; the frequency branch; in the head, the pooling and each
    dense layer with the normalisation, activation and dropout that follow. Every layer is in one block.
    """
    names = _block_of_each_layer(model)
    members: dict[str, list[Any]] = {}
    for layer in model.layers:
        members.setdefault(names[layer.name], []).append(layer)
    order = {name: index for index, name in enumerate(members)}
    edges = {
        (order[names[maker]], order[names[layer]])
        for layer, makers in readings(model).items()
        for maker in makers
        if names[maker] != names[layer]
    }
    described = _described(members, set(trained))
    return Drawing(tuple(described), tuple(sorted(edges)))


def readings(model: Any) -> dict[str, list[str]]:
    """For each layer of a flat graph, in its order, the layers whose outputs it reads."""
    makers = {id(layer.output): layer.name for layer in model.layers}
    found = {}
    for layer in model.layers:
        tensors = layer.input if isinstance(layer.input, list) else [layer.input]
        found[layer.name] = [makers[id(tensor)] for tensor in tensors if makers[id(tensor)] != layer.name]
    return found


def words_of_shape(layer: Any) -> str:
    """The shape of a layer's output without the batch, such as `12 x 12 x 768`."""
    return " x ".join("any" if edge is None else str(edge) for edge in layer.output.shape[1:])


def _block_of_each_layer(model: Any) -> dict[str, str]:
    """For each layer the name of its block."""
    reads = readings(model)
    names = {layer.name: FREQUENCY for layer in model.layers if layer.name.startswith(BRANCH)}
    line = [layer for layer in model.layers if not layer.name.startswith((BRANCH, TAP))]
    stages = [layer.name for layer in line if layer.name in STAGES]
    part, block = "input", ""
    for group in _between_bottlenecks(line, reads):
        inside = [layer.name for layer in group]
        if POOL in inside:
            part = "head"
        if part == "head":
            attached = len(group) == 1 and _kind(group[0]) in ATTACHED and block
            block = block if attached else _own_name(group)
        elif part == "input":
            block = inside[0] if inside[0] in (model.layers[0].name, RESIZE) else PREPROCESSING
            part = "backbone" if PREPROCESSING in inside else part
        elif is_attention(group[0]):
            block = inside[0]
        else:
            following = next((name for name in stages if name not in names), "")
            block = following if any(name.startswith(following) for name in inside) else STEM
        names |= dict.fromkeys(inside, block)
    for layer in model.layers:
        if layer.name.startswith(TAP):
            maker = reads[layer.name][0]
            names[layer.name] = names[maker] if maker.startswith(TAP) else f"{CELLS}{names[maker]}"
    return names


def _between_bottlenecks(layers: list[Any], reads: Mapping[str, list[str]]) -> list[list[Any]]:
    """The layers, cut behind each one whose output is all that later layers read."""
    place = {layer.name: index for index, layer in enumerate(layers)}
    last_reader = list(range(len(layers)))
    for layer in layers:
        for maker in reads[layer.name]:
            if maker in place:
                last_reader[place[maker]] = max(last_reader[place[maker]], place[layer.name])
    groups: list[list[Any]] = [[]]
    needed_until = 0
    for index, layer in enumerate(layers):
        groups[-1].append(layer)
        if needed_until <= index and index + 1 < len(layers):
            groups.append([])
        needed_until = max(needed_until, last_reader[index])
    return groups


def _described(members: Mapping[str, list[Any]], trained: Collection[str]) -> list[Block]:
    described, pooled = [], False
    for name, layers in members.items():
        pooled = pooled or any(layer.name == POOL for layer in layers)
        described.append(
            Block(
                name=name,
                kinds=_kinds(layers),
                shape=words_of_shape(layers[-1]),
                parameters=sum(layer.count_params() for layer in layers),
                trained=sum(layer.count_params() for layer in layers if layer.name in trained),
                part=_part(name, layers, pooled=pooled),
                layers=tuple(layer.name for layer in layers),
            )
        )
    return described


def _part(name: str, layers: list[Any], *, pooled: bool) -> str:
    if name == FREQUENCY:
        return "frequency"
    if name.startswith(CELLS):
        return "cells"
    if pooled:
        return "head"
    if is_attention(layers[0]):
        return "attention"
    return "backbone" if name == STEM or name in STAGES else "input"


def _kind(layer: Any) -> str:
    return type(layer).__name__


def _own_name(group: list[Any]) -> str:
    telling = [layer for layer in group if _kind(layer) not in ATTACHED]
    return str((telling or group)[-1].name)


def _kinds(layers: list[Any]) -> str:
    kinds = list(dict.fromkeys(_kind(layer) for layer in layers))
    return ", ".join(kinds) if len(layers) <= NAMED_LAYERS else f"{len(layers)} layers"
