"""MobileNetV2 and EfficientNet-Lite0 as torch modules whose names fit the published ImageNet weights.

Sources: M. Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (CVPR 2018), table 2; M. Tan and
Q. Le, "EfficientNet" (ICML 2019), table 1, with EfficientNet-Lite's changes: ReLU6, no gates, stem and head not scaled.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

CLASSES = 1000

_V2_STAGES = (
    # expansion, outputs, blocks, first stride
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_LITE0_STAGES = (
    # expansion, outputs, blocks, first stride, kernel
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
_STEM = 32
_HEAD = 1280
_LITE_NORM_EPS = 1e-3


def _conv_norm_relu6(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


class _V2Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        expand = [] if expansion == 1 else [_conv_norm_relu6(inputs, wide, 1)]
        self.conv = nn.Sequential(
            *expand,
            _conv_norm_relu6(wide, wide, 3, stride, groups=wide),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(nn.Module):
    """Width 1.0, 224x224, as torchvision publishes it: takes RGB less ImageNet's mean, over its deviation."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv_norm_relu6(3, _STEM, 3, 2)]
        channels = _STEM
        for expansion, outputs, blocks, first_stride in _V2_STAGES:
            for index in range(blocks):
                layers.append(_V2Block(channels, outputs, first_stride if index == 0 else 1, expansion))
                channels = outputs
        layers.append(_conv_norm_relu6(channels, _HEAD, 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(_HEAD, CLASSES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(nn.functional.adaptive_avg_pool2d(self.features(x), 1), 1))


class _SameConv(nn.Conv2d):
    """Pads as the original does ("SAME"): strided convolutions get the odd row and column at the bottom and right."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)
        whole = kernel - stride
        first = whole // 2
        self.sides = (first, whole - first, first, whole - first)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(nn.functional.pad(x, self.sides))


def _lite_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_LITE_NORM_EPS)


class _LiteBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, kernel: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = nn.Conv2d(inputs, wide, 1, bias=False)
            self._bn0 = _lite_norm(wide)
        self._depthwise_conv = _SameConv(wide, wide, kernel, stride, groups=wide)
        self._bn1 = _lite_norm(wide)
        self._project_conv = nn.Conv2d(wide, outputs, 1, bias=False)
        self._bn2 = _lite_norm(outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = nn.functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = self._bn2(self._project_conv(nn.functional.relu6(self._bn1(self._depthwise_conv(y)))))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """224x224 (strided layers meet even sides): takes RGB bytes less 127, over 128."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _SameConv(3, _STEM, 3, 2)
        self._bn0 = _lite_norm(_STEM)
        blocks: list[nn.Module] = []
        channels = _STEM
        for expansion, outputs, count, first_stride, kernel in _LITE0_STAGES:
            for index in range(count):
                blocks.append(_LiteBlock(channels, outputs, first_stride if index == 0 else 1, expansion, kernel))
                channels = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(channels, _HEAD, 1, bias=False)
        self._bn1 = _lite_norm(_HEAD)
        self._fc = nn.Linear(_HEAD, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = nn.functional.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            y = block(y)
        y = nn.functional.relu6(self._bn1(self._conv_head(y)))
        return self._fc(torch.flatten(nn.functional.adaptive_avg_pool2d(y, 1), 1))


def load_weights(net: nn.Module, path: Path) -> nn.Module:
    """Put a published state dict into a network; every name has to fit. Returns it in evaluation mode."""
    state: Mapping[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    net.load_state_dict(state, strict=True)
    return net.eval()
