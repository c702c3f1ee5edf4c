"""In which arithmetic a machine trains best."""

from pathlib import Path

import tensorflow as tf

BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})


def training_precision(setting: str) -> str:
    """`setting`, with auto as bfloat16 on a GPU or a processor with units for it, else float32."""
    if setting != "auto":
        return setting
    return (
        "bfloat16" if tf.config.list_physical_devices("GPU") or _processor_flags() & BF16_FLAGS else "float32"
    )


def _processor_flags() -> set[str]:
    """The features that Linux lists for the first processor; empty elsewhere."""
    description = Path("/proc/cpuinfo")
    if not description.is_file():
        return set()
    lines = description.read_text("utf-8").splitlines()
    return set(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), []))
