"""MobileNetV1 and MobileNetV2, both of width 1.0 for images of 224x224.

Source: Howard et al., MobileNets, 2017, table 1; Sandler et al., MobileNetV2, 2018, table 2.
"""

from __future__ import annotations

from edgedeploy.cycles.nets.builder import Blob, NetBuilder, ReferenceNet, Variance
from edgedeploy.graph.passes.linear import Activation

_IMAGE = (3, 224, 224)
_CLASSES = 1000
_V1_SEED = 101
_V2_SEED = 102

_V1_BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)
"""Channels, and the stride of the depthwise convolution."""

_V2_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, blocks, and the stride of the first of them."""


def mobilenet_v1() -> ReferenceNet:
    """Build MobileNetV1 with ReLU."""
    net = NetBuilder("mobilenet_v1", _IMAGE, seed=_V1_SEED)
    blob = net.convolution(net.input, "stem", 32, 3, stride=2, pad=1, activation=Activation.RELU)
    for index, (channels, stride) in enumerate(_V1_BLOCKS, 1):
        blob = net.depthwise(blob, f"depthwise_{index}", stride=stride, activation=Activation.RELU)
        blob = net.convolution(blob, f"pointwise_{index}", channels, 1, activation=Activation.RELU)
    return net.finish(net.inner_product(net.global_average(blob, "average"), "classifier", _CLASSES))


def mobilenet_v2() -> ReferenceNet:
    """Build MobileNetV2 with ReLU6, fused as a clip from 0 to 6."""
    net = NetBuilder("mobilenet_v2", _IMAGE, seed=_V2_SEED)
    blob = net.convolution(net.input, "stem", 32, 3, stride=2, pad=1, activation=Activation.CLIP)
    blocks = [
        (expansion, channels, stride if index == 0 else 1)
        for expansion, channels, count, stride in _V2_STAGES
        for index in range(count)
    ]
    for index, (expansion, channels, stride) in enumerate(blocks, 1):
        blob = _inverted_residual(net, blob, f"block_{index}", expansion=expansion, channels=channels, stride=stride)
    blob = net.convolution(blob, "head", 1280, 1, activation=Activation.CLIP)
    return net.finish(net.inner_product(net.global_average(blob, "average"), "classifier", _CLASSES))


def _inverted_residual(net: NetBuilder, source: Blob, name: str, *, expansion: int, channels: int, stride: int) -> Blob:
    has_shortcut = stride == 1 and source.shape[0] == channels
    blob = source
    if expansion > 1:
        blob = net.convolution(blob, f"{name}_expand", expansion * source.shape[0], 1, activation=Activation.CLIP)
    blob = net.depthwise(blob, f"{name}_depthwise", stride=stride, activation=Activation.CLIP)
    variance = Variance.BRANCH if has_shortcut else Variance.LINEAR
    blob = net.convolution(blob, f"{name}_project", channels, 1, variance=variance)
    return net.add(source, blob, f"{name}_add") if has_shortcut else blob
