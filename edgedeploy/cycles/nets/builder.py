"""Builds float networks layer by layer, as the converter writes them: batch norms folded, activations fused.

Layers take and give :class:`Blob`; Splits are put in at the end, where a blob has several readers. The weights are
He-initialised (He et al., Delving Deep into Rectifiers, 2015, section 2.2), uniform instead of normal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from math import prod, sqrt

from edgedeploy.cycles.nets.uniform import UniformStream
from edgedeploy.graph import Graph, Layer, Param, ParamValue, Storage, make_weight
from edgedeploy.graph.passes.linear import Activation, with_activation

INPUT = "in0"
OUTPUT = "out0"

_BIAS_DEVIATION = 0.1
_RELU6 = (0.0, 6.0)


class Variance(float, Enum):
    """Of a layer's sums, relative to the mean square of what it reads.

    ``RECTIFIED`` keeps the mean square through ReLU, which halves it; ``BRANCH`` is for what is added to a shortcut.
    """

    RECTIFIED = 2.0
    LINEAR = 1.0
    BRANCH = 0.25


@dataclass(frozen=True, kw_only=True)
class Blob:
    """What a layer makes. ``shape`` is channels, height, width; ``(channels,)`` after the image is averaged."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ReferenceNet:
    """A float network with its weights; input ``in0``, output ``out0``.

    Args:
        input_shape: Channels, height, width.
        macs: Multiplications of weights of one inference, each with its addition; biases do not count.
    """

    name: str
    graph: Graph
    input_shape: tuple[int, int, int]
    macs: int


class NetBuilder:
    """Collects the layers of one network.

    Args:
        name: The network's.
        input_shape: Channels, height, width.
        seed: Of the weights.
    """

    def __init__(self, name: str, input_shape: tuple[int, int, int], *, seed: int) -> None:
        self._name = name
        self._input_shape = input_shape
        self._stream = UniformStream(seed)
        self._macs = 0
        self._layers = [Layer(type="Input", name=INPUT, outputs=(INPUT,))]
        self.input = Blob(name=INPUT, shape=input_shape)

    def convolution(
        self,
        source: Blob,
        name: str,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        pad: int = 0,
        activation: Activation = Activation.NONE,
        variance: Variance = Variance.RECTIFIED,
    ) -> Blob:
        """Add a square convolution with a bias."""
        shape = (channels, source.shape[0], kernel, kernel)
        params = _window(kernel, stride, pad) | {0: channels, 5: 1, 6: prod(shape)}
        return self._filter(self._filled("Convolution", params, shape, variance), name, source, activation)

    def depthwise(self, source: Blob, name: str, *, stride: int, activation: Activation) -> Blob:
        """Add a 3x3 depthwise convolution with a bias, padded by one."""
        channels = source.shape[0]
        shape = (channels, 1, 3, 3)
        params = _window(3, stride, 1) | {0: channels, 5: 1, 6: prod(shape), 7: channels}
        layer = self._filled("ConvolutionDepthWise", params, shape, Variance.RECTIFIED)
        return self._filter(layer, name, source, activation)

    def inner_product(self, source: Blob, name: str, outputs: int) -> Blob:
        """Add a classifier with a bias and no activation."""
        inputs = prod(source.shape)
        params: dict[int, ParamValue] = {0: outputs, 1: 1, 2: outputs * inputs}
        self._macs += outputs * inputs
        layer = self._filled("InnerProduct", params, (outputs, inputs), Variance.LINEAR)
        return self._add(layer, name, (source,), (outputs,))

    def max_pool(self, source: Blob, name: str, *, pad: int = 0, ceil: bool = False) -> Blob:
        """Add a 3x3 maximum with stride 2; ``ceil`` counts windows that go beyond the image."""
        params = {0: 0, 1: 3, 11: 3, 2: 2, 12: 2, 3: pad, 13: pad, 5: 0 if ceil else 1}
        channels, height, width = source.shape
        sizes = (_windows_in(height, 3, 2, pad, ceil=ceil), _windows_in(width, 3, 2, pad, ceil=ceil))
        return self._add(_plain("Pooling", params), name, (source,), (channels, *sizes))

    def global_average(self, source: Blob, name: str) -> Blob:
        """Add the mean over the image."""
        return self._add(_plain("Pooling", {0: 1, 4: 1}), name, (source,), source.shape[:1])

    def add(self, first: Blob, second: Blob, name: str) -> Blob:
        """Add the sum of two blobs of one shape."""
        return self._add(_plain("BinaryOp", {0: 0}), name, (first, second), first.shape)

    def relu(self, source: Blob, name: str) -> Blob:
        """Add a ReLU of its own, for what no layer can fuse."""
        return self._add(_plain("ReLU", {}), name, (source,), source.shape)

    def concat(self, sources: Sequence[Blob], name: str) -> Blob:
        """Add the channels of all sources after each other."""
        channels = sum(source.shape[0] for source in sources)
        return self._add(_plain("Concat", {0: 0}), name, sources, (channels, *sources[0].shape[1:]))

    def finish(self, output: Blob) -> ReferenceNet:
        """Return the network with ``output`` as its only output."""
        layers = [
            replace(layer, outputs=tuple(OUTPUT if name == output.name else name for name in layer.outputs))
            for layer in self._layers
        ]
        return ReferenceNet(
            name=self._name,
            graph=Graph(layers=tuple(_with_splits(layers))),
            input_shape=self._input_shape,
            macs=self._macs,
        )

    def _filter(self, layer: Layer, name: str, source: Blob, activation: Activation) -> Blob:
        kernel, stride, pad = (layer.integer(key, 0) for key in (1, 3, 4))
        _, height, width = source.shape
        sizes = (_windows_in(height, kernel, stride, pad), _windows_in(width, kernel, stride, pad))
        self._macs += layer.weight("weight").elements * prod(sizes)
        if activation is not Activation.NONE:
            layer = with_activation(layer, activation, _RELU6 if activation is Activation.CLIP else ())
        return self._add(layer, name, (source,), (layer.integer(0, 0), *sizes))

    def _filled(self, kind: str, params: Mapping[int, ParamValue], shape: tuple[int, ...], variance: Variance) -> Layer:
        deviation = sqrt(float(variance) / prod(shape[1:]))
        weights = (
            make_weight("weight", self._stream.draw(shape, deviation), Storage.FP32),
            make_weight("bias", self._stream.draw(shape[:1], _BIAS_DEVIATION), Storage.UNTAGGED),
        )
        return replace(_plain(kind, params), weights=weights)

    def _add(self, layer: Layer, name: str, sources: Sequence[Blob], shape: tuple[int, ...]) -> Blob:
        inputs = tuple(source.name for source in sources)
        self._layers.append(replace(layer, name=name, inputs=inputs, outputs=(name,)))
        return Blob(name=name, shape=shape)


def _plain(kind: str, params: Mapping[int, ParamValue]) -> Layer:
    return Layer(type=kind, name="", params=tuple(Param(key=key, value=params[key]) for key in sorted(params)))


def _window(kernel: int, stride: int, pad: int) -> dict[int, ParamValue]:
    """The keys of a convolution's window, each side by itself as the converter writes them."""
    return {1: kernel, 11: kernel, 2: 1, 12: 1, 3: stride, 13: stride, 4: pad, 14: pad}


def _windows_in(size: int, kernel: int, stride: int, pad: int, *, ceil: bool = False) -> int:
    rest = size + 2 * pad - kernel
    return (-(-rest // stride) if ceil else rest // stride) + 1


def _with_splits(layers: Sequence[Layer]) -> list[Layer]:
    """Give every reader a blob of its own, by a Split behind the layer that makes it."""
    readers = Counter(blob for layer in layers for blob in layer.inputs)
    copies = {blob: [f"{blob}_split_{index}" for index in range(count)] for blob, count in readers.items() if count > 1}
    made: list[Layer] = []
    left = {blob: list(names) for blob, names in copies.items()}
    for layer in layers:
        inputs = tuple(left[blob].pop(0) if blob in left else blob for blob in layer.inputs)
        made.append(replace(layer, inputs=inputs))
        made += [
            Layer(type="Split", name=f"{blob}_split", inputs=(blob,), outputs=tuple(copies[blob]))
            for blob in layer.outputs
            if blob in copies
        ]
    return made
