"""The networks that come with the product, float and int8, for counting cycles: made once and kept in the cache.

The reference networks have random weights, so their int8 form is the plain one: absmax ranges, weights rounded to
nearest, activations where they were. PP-OCR's networks get what ``quantize`` does by default.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgedeploy.cli import builtin_store
from edgedeploy.cli.builtin_ocr import CALIBRATION_ITEMS, OCR_NETS, PAGE, OcrNet, ocr_graph, page_windows
from edgedeploy.cli.quantizing import versions
from edgedeploy.convert.pnnx_tool import converter_version
from edgedeploy.cycles.nets import REFERENCE_NAMES, ReferenceNet, patterned_image, reference_net
from edgedeploy.errors import QuantizationError, UsageError, close_matches
from edgedeploy.graph import Graph, format_param, weights_bytes
from edgedeploy.graph.engine import Engine
from edgedeploy.graph.passes.linear import LINEAR_TYPES, activation_of, activation_params_of, with_activation
from edgedeploy.progress import Progress
from edgedeploy.quantize.evaluator import INT8_TASK_OPTIONS
from edgedeploy.quantize.items import Data, Item
from edgedeploy.quantize.pipeline import quantize
from edgedeploy.quantize.settings import NAIVE, Settings, Target

BUILTIN_NAMES = (*REFERENCE_NAMES, *OCR_NETS)

TARGET = Target(name="any board", dotprod=True)
"""One network for all boards: no layer loses bits or has F(4,3) switched off, as in the engine's own benchmark."""

_REFERENCE_ITEMS = 4
_INPUT = "in0"


@dataclass(frozen=True, kw_only=True)
class BuiltinNet:
    """A network in the cache.

    Args:
        inputs: Input blob -> channels, height, width.
        outputs: Output blob -> its shape, without batch.
    """

    name: str
    param: Path
    weights: Path
    inputs: dict[str, tuple[int, int, int]]
    outputs: dict[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    """How a network is made. ``document`` is all that the result depends on."""

    document: dict[str, Any]
    shape: tuple[int, int, int]
    make: Callable[[], Graph]


@dataclass(frozen=True)
class _PatternedImages:
    """Calibration data of the reference networks."""

    shape: tuple[int, int, int]

    def __len__(self) -> int:
        return _REFERENCE_ITEMS

    def item(self, index: int) -> Item:
        return Item(name=f"pattern-{index}", tensors={_INPUT: patterned_image(self.shape, index)})


def build_builtin(name: str, *, int8: bool, progress: Progress) -> BuiltinNet:
    """Build a network, or take it from the cache.

    Args:
        name: One of ``BUILTIN_NAMES``.
        int8: Quantized; else float32.

    Raises:
        UsageError: There is none of that name.
        AssetError: PP-OCR's model or the page it is calibrated on cannot be had.
        QuantizationError: The cache cannot be written.
    """
    recipe = _recipe(name, int8, progress)
    key = builtin_store.entry_key({"name": name, "int8": int8, "versions": versions(), **recipe.document})
    entry = builtin_store.find_entry(key)
    if entry is None:
        graph = recipe.make()
        inputs = {_INPUT: recipe.shape}
        try:
            entry = builtin_store.add_entry(key, graph, inputs=inputs, outputs=_output_shapes(graph, recipe.shape))
        except OSError as error:
            raise QuantizationError(
                f"the cache of built-in networks cannot be written: {error}",
                hint="check the free disk space, or set EDGEDEPLOY_CACHE to a directory of yours",
            ) from error
    return BuiltinNet(name=name, param=entry.param, weights=entry.weights, inputs=entry.inputs, outputs=entry.outputs)


def _recipe(name: str, int8: bool, progress: Progress) -> _Recipe:
    if name in REFERENCE_NAMES:
        return _reference_recipe(reference_net(name), int8, progress)
    if name in OCR_NETS:
        return _ocr_recipe(OCR_NETS[name], int8, progress)
    raise UsageError(f"there is no built-in network {name!r}", hint=close_matches(name, BUILTIN_NAMES))


def _reference_recipe(net: ReferenceNet, int8: bool, progress: Progress) -> _Recipe:
    document: dict[str, Any] = {"float": _digest(net.graph)}
    if not int8:
        return _Recipe(document=document, shape=net.input_shape, make=lambda: net.graph)
    settings = replace(NAIVE, images=_REFERENCE_ITEMS)
    return _Recipe(
        document={**document, "settings": settings.to_json(), "target": asdict(TARGET)},
        shape=net.input_shape,
        make=partial(_reference_int8, net, settings, progress),
    )


def _reference_int8(net: ReferenceNet, settings: Settings, progress: Progress) -> Graph:
    return with_activations_of(net.graph, _quantized(net.graph, _PatternedImages(net.input_shape), settings, progress))


def with_activations_of(graph: Graph, int8: Graph) -> Graph:
    """Return an int8 network with the activations that its float one has.

    ``quantize`` leaves out of a clip what the limits of the codes do by themselves. With symmetric ranges the
    codes are the same either way, but for sums that the engine rounds from another order of products; and what it makes
    of a clip is among the things to count.

    Args:
        graph: The float network, with layers of the same names.
        int8: With symmetric ranges.
    """
    layers = []
    for layer in int8.layers:
        changed = layer
        if layer.type in LINEAR_TYPES:
            wanted = graph.layer(layer.name)
            if activation_of(wanted) is not activation_of(layer):
                changed = with_activation(layer, activation_of(wanted), activation_params_of(wanted))
        layers.append(changed)
    return replace(int8, layers=tuple(layers))


def _digest(graph: Graph) -> str:
    return hashlib.sha256(format_param(graph).encode() + weights_bytes(graph)).hexdigest()


def _ocr_recipe(net: OcrNet, int8: bool, progress: Progress) -> _Recipe:
    document: dict[str, Any] = {
        "source": net.file.sha256,
        "shape": list(net.shape),
        "converter": converter_version(),
    }
    if int8:
        document |= {
            "page": PAGE.sha256,
            "windows": [CALIBRATION_ITEMS, list(net.heights)],
            "settings": Settings().to_json(),
            "target": asdict(TARGET),
        }
    return _Recipe(document=document, shape=net.shape, make=partial(_ocr, net, int8, progress))


def _ocr(net: OcrNet, int8: bool, progress: Progress) -> Graph:
    data = page_windows(net, progress=progress)
    graph = ocr_graph(net, data, progress=progress)
    return _quantized(graph, data, Settings(), progress) if int8 else graph


def _quantized(graph: Graph, data: Data, settings: Settings, progress: Progress) -> Graph:
    _, made = quantize(graph, data, target=TARGET, settings=settings, progress=progress)
    return made.graph


def _output_shapes(graph: Graph, shape: tuple[int, int, int]) -> dict[str, tuple[int, ...]]:
    """Run once on zeros: that says that the engine takes the network as well."""
    zeros = {_INPUT: np.zeros((1, *shape), np.float32)}
    found = Engine.from_graph(graph, options=INT8_TASK_OPTIONS).run(graph.outputs, zeros)
    return {name: values.shape for name, values in found.items()}
