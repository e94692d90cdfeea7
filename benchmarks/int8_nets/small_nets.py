"""Small networks for 28x28 grey images, built as MobileNetV2 and MobileNetV3 are: depthwise, bottlenecks, gates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import torch
from torch import nn

CLASSES = 10
IMAGE_SHAPE = (1, 1, 28, 28)

Activation = Callable[[], nn.Module]


class SmallNet(str, Enum):
    """Which one. ``MOBILENETV2_RELU`` has ReLU for ReLU6, so that its channels can be rescaled."""

    MOBILENETV2 = "mobilenetv2"
    MOBILENETV2_RELU = "mobilenetv2-relu"
    MOBILENETV3 = "mobilenetv3"


@dataclass(frozen=True, kw_only=True)
class Block:
    """One bottleneck: ``inputs`` channels are expanded ``expansion`` times, filtered, and projected to ``outputs``."""

    inputs: int
    outputs: int
    expansion: int
    stride: int = 1
    kernel: int = 3
    gate: bool = False


_V2_BLOCKS = (
    Block(inputs=12, outputs=16, expansion=3),
    Block(inputs=16, outputs=16, expansion=3),
    Block(inputs=16, outputs=24, expansion=4, stride=2),
    Block(inputs=24, outputs=24, expansion=4),
    Block(inputs=24, outputs=24, expansion=4),
    Block(inputs=24, outputs=40, expansion=4),
    Block(inputs=40, outputs=40, expansion=4),
)
_V3_BLOCKS = (
    Block(inputs=12, outputs=16, expansion=3),
    Block(inputs=16, outputs=16, expansion=3),
    Block(inputs=16, outputs=24, expansion=4, stride=2, kernel=5, gate=True),
    Block(inputs=24, outputs=24, expansion=4, kernel=5, gate=True),
    Block(inputs=24, outputs=24, expansion=4, gate=True),
    Block(inputs=24, outputs=40, expansion=4, gate=True),
)


class Bottleneck(nn.Module):
    """Expand, filter each channel, gate the channels on demand, project; the input is added where shapes allow."""

    def __init__(self, block: Block, activation: Activation) -> None:
        super().__init__()
        wide = block.inputs * block.expansion
        self.expand = nn.Sequential(nn.Conv2d(block.inputs, wide, 1, bias=False), nn.BatchNorm2d(wide), activation())
        padding = block.kernel // 2
        self.filter = nn.Sequential(
            nn.Conv2d(wide, wide, block.kernel, block.stride, padding, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            activation(),
        )
        self.gate = _gate(wide) if block.gate else None
        self.project = nn.Sequential(nn.Conv2d(wide, block.outputs, 1, bias=False), nn.BatchNorm2d(block.outputs))
        self.adds = block.inputs == block.outputs and block.stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.filter(self.expand(x))
        if self.gate is not None:
            y = y * self.gate(y)
        y = self.project(y)
        return x + y if self.adds else y


def build_small_net(which: SmallNet) -> nn.Module:
    """Return a network with torch's random initial weights; seed torch first."""
    activation: Activation = {
        SmallNet.MOBILENETV2: nn.ReLU6,
        SmallNet.MOBILENETV2_RELU: nn.ReLU,
        SmallNet.MOBILENETV3: nn.Hardswish,
    }[which]
    blocks = _V3_BLOCKS if which is SmallNet.MOBILENETV3 else _V2_BLOCKS
    first, last = blocks[0].inputs, blocks[-1].outputs
    head = 4 * last
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, first, 3, 2, 1, bias=False), nn.BatchNorm2d(first), activation()),
        *(Bottleneck(block, activation) for block in blocks),
        nn.Sequential(nn.Conv2d(last, head, 1, bias=False), nn.BatchNorm2d(head), activation()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(head, CLASSES),
    )


def _gate(channels: int) -> nn.Module:
    """Return MobileNetV3's squeeze and excitation: one factor a channel, from the channels' means."""
    squeezed = max(8, channels // 4)
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(channels, squeezed, 1),
        nn.ReLU(),
        nn.Conv2d(squeezed, channels, 1),
        nn.Hardsigmoid(),
    )
