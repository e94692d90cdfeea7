"""ResNet-18 for images of 224x224.

Source: He et al., Deep Residual Learning for Image Recognition, 2015, table 1, with 1x1 convolutions for shortcuts that
change the shape.
"""

from __future__ import annotations

from edgedeploy.cycles.nets.builder import Blob, NetBuilder, ReferenceNet, Variance
from edgedeploy.graph.passes.linear import Activation

_IMAGE = (3, 224, 224)
_CLASSES = 1000
_SEED = 103
_STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))
"""Channels, and the stride of the first of two blocks."""


def resnet18() -> ReferenceNet:
    """Build ResNet-18. The ReLU behind each addition is a layer of its own, as the converter leaves it."""
    net = NetBuilder("resnet18", _IMAGE, seed=_SEED)
    blob = net.convolution(net.input, "stem", 64, 7, stride=2, pad=3, activation=Activation.RELU)
    blob = net.max_pool(blob, "pool", pad=1)
    for index, (channels, stride) in enumerate(_STAGES, 1):
        blob = _basic_block(net, blob, f"stage_{index}_1", channels, stride)
        blob = _basic_block(net, blob, f"stage_{index}_2", channels, 1)
    return net.finish(net.inner_product(net.global_average(blob, "average"), "classifier", _CLASSES))


def _basic_block(net: NetBuilder, source: Blob, name: str, channels: int, stride: int) -> Blob:
    shortcut = source
    blob = net.convolution(source, f"{name}_first", channels, 3, stride=stride, pad=1, activation=Activation.RELU)
    blob = net.convolution(blob, f"{name}_second", channels, 3, pad=1, variance=Variance.BRANCH)
    if source.shape[0] != channels:
        shortcut = net.convolution(source, f"{name}_shortcut", channels, 1, stride=stride, variance=Variance.LINEAR)
    return net.relu(net.add(blob, shortcut, f"{name}_add"), f"{name}_relu")
