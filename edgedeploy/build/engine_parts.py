"""Which parts of the engine one model needs on one board, read from the engine's own source.

An engine with those alone is compiled in a fraction of the time and makes a smaller runner, which serves that model and
others of the same layers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgedeploy.errors import BuildFailedError

# The engine's CMake option -> the feature, as in /proc/cpuinfo, whose cores run the code that it adds.
_VARIANTS: Mapping[str, Mapping[str, str]] = {
    "aarch64": {
        "NCNN_ARM82": "asimdhp",
        "NCNN_ARM82DOT": "asimddp",
        "NCNN_ARM82FP16FML": "asimdfhm",
        "NCNN_ARM84BF16": "bf16",
        "NCNN_ARM84I8MM": "i8mm",
        "NCNN_ARM86SVE": "sve",
        "NCNN_ARM86SVE2": "sve2",
        "NCNN_ARM86SVEBF16": "svebf16",
        "NCNN_ARM86SVEI8MM": "svei8mm",
        "NCNN_ARM86SVEF32MM": "svef32mm",
    },
    "arm": {"NCNN_VFPV4": "vfpv4"},
}

# The runner makes no images and calls no C.
_NEVER_USED: Mapping[str, str] = {
    "NCNN_C_API": "OFF",
    "NCNN_PIXEL": "OFF",
    "NCNN_PIXEL_AFFINE": "OFF",
    "NCNN_PIXEL_DRAWING": "OFF",
    "NCNN_PIXEL_ROTATE": "OFF",
}

_ADDED_LAYER = re.compile(r"^ncnn_add_layer\((\w+)", re.MULTILINE)
_CREATED_LAYER = re.compile(r"create_layer\w*\(\s*(?:ncnn::)?LayerType::(\w+)")
_INCLUDED = re.compile(r'^#include "(?:layer/)?(\w+)\.h"', re.MULTILINE)
# Where the engine itself makes layers, whatever the model: padding, packing, changes of the element type.
_ENGINES_OWN = "mat.cpp"


@dataclass(frozen=True, kw_only=True)
class EngineParts:
    """What a runner has to serve.

    Args:
        layers: Types of the model's layers, ``Convolution``.
        features: Of the board's cores, as /proc/cpuinfo names them.
    """

    layers: frozenset[str]
    features: frozenset[str]

    def options(self, source: Path, *, triple: str) -> dict[str, str]:
        """Return the engine's CMake options that leave the rest out.

        Args:
            source: The engine's unpacked source.

        Raises:
            BuildFailedError: The source is not laid out as this module knows it.

        Example:
            >>> parts.options(source, triple="aarch64-linux-gnu")
            {'NCNN_ARM82': 'OFF', ..., 'WITH_LAYER_absval': 'OFF', ...}
        """
        known = known_layers(source)
        needed = needed_layers(source, self.layers)
        layers = {f"WITH_LAYER_{name}": "OFF" for name in sorted(known) if known[name] not in needed}
        variants = _VARIANTS[triple.partition("-")[0]]
        absent = {option: "OFF" for option, feature in variants.items() if feature not in self.features}
        return {**_NEVER_USED, **absent, **layers}


def known_layers(source: Path) -> dict[str, str]:
    """Return the engine's layer types by the names of their source files: ``{"relu": "ReLU"}``.

    Raises:
        BuildFailedError: The list is not where it was.
    """
    names = {name.lower(): name for name in _ADDED_LAYER.findall(_text(source / "src" / "CMakeLists.txt"))}
    if not names:
        raise BuildFailedError(
            f"{source} lists no layers in src/CMakeLists.txt",
            hint='the engine changed; [build] engine = "whole" does without the list',
        )
    return names


def needed_layers(source: Path, types: Iterable[str]) -> frozenset[str]:
    """Return the given types and those that they, or the engine for its own needs, make or are derived from.

    Types that the engine does not know are left out: the runner's answer names them.

    Raises:
        BuildFailedError: The source cannot be read.
    """
    known = known_layers(source)
    waiting = [*types, *_CREATED_LAYER.findall(_text(source / "src" / _ENGINES_OWN))]
    seen: set[str] = set()
    while waiting:
        # A layer's, or that of a header which layers share: fused activations are made there.
        name = waiting.pop().lower()
        if name not in seen:
            seen.add(name)
            waiting.extend(_mentions(source, name))
    return frozenset(known[name] for name in seen & known.keys())


def _mentions(source: Path, name: str) -> Iterator[str]:
    directory = source / "src" / "layer"
    own = (*directory.glob(f"{name}.[ch]*"), *(directory / "arm").glob(f"{name}.h"))
    for file in (*own, *(directory / "arm").glob(f"{name}_arm*")):
        text = _text(file)
        yield from _CREATED_LAYER.findall(text)
        yield from _INCLUDED.findall(text)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BuildFailedError(f"{file} cannot be read: {error.strerror}", hint="empty the cache's sources/") from error
