"""What the accuracy benchmark measures: each network with its data and its score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from edgedeploy.graph import Graph
from edgedeploy.progress import Progress
from edgedeploy.quantize.items import Data
from edgedeploy.quantize.metrics import Metric, Top1
from int8_nets.imagenet import ImageNetNet, calibration_crops, evaluation_parts, imagenet_graph, to_choose_on
from int8_nets.labelled import LabelledSplit, fashion_mnist
from int8_nets.photos import Half
from int8_nets.ppocr import OcrNet, characters, ocr_data, ocr_graph
from int8_nets.scores import BoxOverlap, SameText
from int8_nets.small_graphs import FASHION_PLAN, hard_graph, small_graph
from int8_nets.small_nets import SmallNet
from int8_nets.text_lines import Use


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Data that are used together.

    Args:
        calibration: What ranges and weights are chosen on. Folds that share it share the quantization.
        evaluation: What is reported on; shares nothing with the others.
        held_out: What layers for mixed precision are chosen on; None where no row asks for that.
    """

    calibration: Data
    evaluation: Data
    held_out: Data | None = None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One network.

    Args:
        graph: Converted, float32.
        metric: Points of an item of the evaluation.
        folds: With several the network is quantized once on each, and reported on what all of them are judged on.
    """

    graph: Graph
    metric: Metric
    folds: tuple[Fold, ...]


SubjectMaker = Callable[[Progress], Subject]


def _fashion(which: SmallNet, progress: Progress) -> Subject:
    split = fashion_mnist()
    return _labelled(small_graph(which, split, FASHION_PLAN, progress=progress), split)


def _hard(progress: Progress) -> Subject:
    split = fashion_mnist()
    return _labelled(hard_graph(split, FASHION_PLAN, progress=progress), split)


def _labelled(graph: Graph, split: LabelledSplit) -> Subject:
    fold = Fold(calibration=split.train, evaluation=split.test, held_out=split.held_out)
    return Subject(graph=graph, metric=Top1(), folds=(fold,))


def _imagenet(which: ImageNetNet, progress: Progress) -> Subject:
    folds: list[Fold] = []
    for judge in Half:
        calibration = calibration_crops(which, judge, progress=progress)
        first, second = evaluation_parts(which, judge, progress=progress)
        folds += [
            Fold(calibration=calibration, held_out=to_choose_on(others), evaluation=judged)
            for judged, others in ((first, second), (second, first))
        ]
    return Subject(graph=imagenet_graph(which, progress=progress), metric=Top1(), folds=tuple(folds))


def _ocr(which: OcrNet, progress: Progress) -> Subject:
    metrics: dict[OcrNet, Callable[[], Metric]] = {
        OcrNet.CLASSIFIER: Top1,
        OcrNet.DETECTOR: BoxOverlap,
        OcrNet.RECOGNISER: lambda: SameText(characters(progress=progress)),
    }
    fold = Fold(
        calibration=ocr_data(which, Use.CALIBRATION, progress=progress),
        evaluation=ocr_data(which, Use.EVALUATION, progress=progress),
    )
    return Subject(graph=ocr_graph(which, progress=progress), metric=metrics[which](), folds=(fold,))


SUBJECTS: dict[str, SubjectMaker] = {
    "fashion-mobilenetv2": partial(_fashion, SmallNet.MOBILENETV2),
    "fashion-mobilenetv3": partial(_fashion, SmallNet.MOBILENETV3),
    "imagenet-mobilenetv2": partial(_imagenet, ImageNetNet.MOBILENETV2),
    "imagenet-efficientnet-lite0": partial(_imagenet, ImageNetNet.EFFICIENTNET_LITE0),
    "ppocr-cls": partial(_ocr, OcrNet.CLASSIFIER),
    "ppocr-det": partial(_ocr, OcrNet.DETECTOR),
    "ppocr-rec": partial(_ocr, OcrNet.RECOGNISER),
    "hard": _hard,
}
