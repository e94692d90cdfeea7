"""SqueezeNet 1.1 for images of 227x227.

Source: Iandola et al., SqueezeNet, 2016, and the authors' version 1.1 of it.
"""

from __future__ import annotations

from edgedeploy.cycles.nets.builder import Blob, NetBuilder, ReferenceNet
from edgedeploy.graph.passes.linear import Activation

_IMAGE = (3, 227, 227)
_CLASSES = 1000
_SEED = 104
_STAGES = (((16, 64), (16, 64)), ((32, 128), (32, 128)), ((48, 192), (48, 192), (64, 256), (64, 256)))
"""Fire modules between poolings: channels of the squeezing layer, and of each of the two that expand."""


def squeezenet() -> ReferenceNet:
    """Build SqueezeNet 1.1: fire modules, and a convolution for a classifier."""
    net = NetBuilder("squeezenet", _IMAGE, seed=_SEED)
    blob = net.convolution(net.input, "stem", 64, 3, stride=2, activation=Activation.RELU)
    number = 1
    for stage, modules in enumerate(_STAGES, 1):
        blob = net.max_pool(blob, f"pool_{stage}", ceil=True)
        for squeezed, expanded in modules:
            number += 1
            blob = _fire(net, blob, f"fire_{number}", squeezed, expanded)
    blob = net.convolution(blob, "classifier", _CLASSES, 1, activation=Activation.RELU)
    return net.finish(net.global_average(blob, "average"))


def _fire(net: NetBuilder, source: Blob, name: str, squeezed: int, expanded: int) -> Blob:
    blob = net.convolution(source, f"{name}_squeeze", squeezed, 1, activation=Activation.RELU)
    narrow = net.convolution(blob, f"{name}_expand_1x1", expanded, 1, activation=Activation.RELU)
    wide = net.convolution(blob, f"{name}_expand_3x3", expanded, 3, pad=1, activation=Activation.RELU)
    return net.concat((narrow, wide), f"{name}_concat")
