"""PP-OCRv4's detection and recognition as built-in networks: where they come from, and what they are calibrated on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from edgedeploy.artifacts import ColorOrder, ComparisonLimits, FloatArray, InputSpec, Preprocessing, Resize, Sample
from edgedeploy.assets import PackagedFile, fetch_packaged_file
from edgedeploy.convert.pipeline import convert_model
from edgedeploy.graph import Graph, read_graph
from edgedeploy.preprocessing import Image, preprocess, read_image
from edgedeploy.progress import Progress
from edgedeploy.quantize.items import Item

PAGE = PackagedFile(
    package="scikit-image",
    version="0.26.0",
    path="skimage/data/page.png",
    sha256="341a6f0a61557662b02734a9b6e56ec33a915b2c41886b97509dedf2a43b47a3",
)
"""A scanned page of printed text, 384x191 pixels."""

CALIBRATION_ITEMS = 16
_COMPARED = 2
_LIMITS = ComparisonLimits(max_abs_error=1e-2, cosine=0.9999, sqnr_db=40.0)
_SOURCE_INPUT = "x"
_ENGINE_INPUT = "in0"
_SEED = 20264


@dataclass(frozen=True, kw_only=True)
class OcrNet:
    """A published network.

    Args:
        file: The ONNX model (Apache-2.0).
        shape: Of its input, channels, height and width, fixed at conversion.
        heights: Pixels of the page that become the input's height, least and most.
    """

    file: PackagedFile
    shape: tuple[int, int, int]
    heights: tuple[int, int]


def _model(name: str, sha256: str) -> PackagedFile:
    return PackagedFile(
        package="rapidocr-onnxruntime",
        version="1.4.4",
        path=f"rapidocr_onnxruntime/models/{name}",
        sha256=sha256,
    )


OCR_NETS: Mapping[str, OcrNet] = {
    "ppocr_det": OcrNet(
        file=_model("ch_PP-OCRv4_det_infer.onnx", "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9"),
        shape=(3, 480, 480),
        heights=(96, 191),
    ),
    "ppocr_rec": OcrNet(
        file=_model("ch_PP-OCRv4_rec_infer.onnx", "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b"),
        shape=(3, 48, 320),
        heights=(18, 36),
    ),
}


@dataclass(frozen=True)
class PageWindows:
    """Parts of the page in the input's proportions, of sizes and at places that the seed gives."""

    page: Path
    net: OcrNet
    count: int = CALIBRATION_ITEMS

    def __len__(self) -> int:
        return self.count

    def item(self, index: int) -> Item:
        return Item(name=f"window-{index}", tensors={_ENGINE_INPUT: self.tensor(index)})

    def tensor(self, index: int) -> FloatArray:
        """Return one window as the network takes it, batch 1 first."""
        _, height, width = self.net.shape
        random = np.random.default_rng((_SEED, index))
        rows = int(random.integers(self.net.heights[0], self.net.heights[1] + 1))
        columns = min(round(rows * width / height), self._image.shape[1])
        top = int(random.integers(self._image.shape[0] - rows + 1))
        left = int(random.integers(self._image.shape[1] - columns + 1))
        window = self._image[top : top + rows, left : left + columns]
        return preprocess(window, width=width, height=height, how=_PREPROCESSING)[np.newaxis]

    @cached_property
    def _image(self) -> Image:
        return read_image(self.page)


_PREPROCESSING = Preprocessing(color=ColorOrder.BGR, resize=Resize.BILINEAR, mean=(127.5,) * 3, scale=(1 / 127.5,) * 3)


def page_windows(net: OcrNet, *, progress: Progress) -> PageWindows:
    """Return calibration data.

    Raises:
        AssetError: The page cannot be had.
    """
    return PageWindows(fetch_packaged_file(PAGE, progress=progress), net)


def ocr_graph(net: OcrNet, data: PageWindows, *, progress: Progress) -> Graph:
    """Return the converted float network, held against the original; input ``in0``, output ``out0``.

    Raises:
        AssetError: The model cannot be had.
        ModelError: A leaf of it: the conversion failed, or computes something else.
    """
    source = fetch_packaged_file(net.file, progress=progress)
    samples = [
        Sample(name=f"window-{index}", raw={}, tensors={_SOURCE_INPUT: data.tensor(index)})
        for index in range(_COMPARED)
    ]
    inputs = (InputSpec(name=_SOURCE_INPUT, shape=(1, *net.shape)),)
    model = convert_model(source, inputs, samples, fp16=False, limits=_LIMITS, progress=progress)
    return read_graph(model.param, model.weights)
