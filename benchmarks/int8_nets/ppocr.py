"""PP-OCR's three networks as graphs, with the lines and pages that calibrate and judge them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import onnx

from edgedeploy.assets import PackagedFile, fetch_packaged_file
from edgedeploy.graph import Graph
from edgedeploy.progress import SILENT, Progress
from edgedeploy.quantize.items import Data
from int8_nets.conversion import graph_of_onnx
from int8_nets.text_data import LineImages, PageParts
from int8_nets.text_lines import HANDWRITING, PAGE, Piece, Use, lines_for, pieces_of

_SEEDS = {Use.CALIBRATION: 21, Use.EVALUATION: 22}
_SOURCE_INPUT = "x"
_READ_VARIANTS = {Use.CALIBRATION: 6, Use.EVALUATION: 8}
_TURNED_VARIANTS = {Use.CALIBRATION: 3, Use.EVALUATION: 12}
_LONGEST = 7.5
_SHORTEST_PRINTED = 2.0
_SHORTEST_WRITTEN = 5.0
"""Times as wide as high: which way up a short word or a single sign stands is often not to be seen."""
_PAGE_PARTS = {Use.CALIBRATION: 200, Use.EVALUATION: 200}


class OcrNet(str, Enum):
    CLASSIFIER = "cls"
    DETECTOR = "det"
    RECOGNISER = "rec"


@dataclass(frozen=True, kw_only=True)
class _Published:
    file: str
    sha256: str
    shape: tuple[int, int, int, int]


_NETS = {
    OcrNet.CLASSIFIER: _Published(
        file="ch_ppocr_mobile_v2.0_cls_infer.onnx",
        sha256="e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
        shape=(1, 3, 48, 192),
    ),
    OcrNet.DETECTOR: _Published(
        file="ch_PP-OCRv4_det_infer.onnx",
        sha256="d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
        shape=(1, 3, 192, 384),
    ),
    OcrNet.RECOGNISER: _Published(
        file="ch_PP-OCRv4_rec_infer.onnx",
        sha256="48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
        shape=(1, 3, 48, 320),
    ),
}


def ocr_graph(which: OcrNet, *, progress: Progress = SILENT) -> Graph:
    """Return the converted network, float32; input ``in0``, output ``out0``."""
    return graph_of_onnx(
        _model_file(which, progress),
        _NETS[which].shape,
        ocr_data(which, Use.CALIBRATION, progress=progress),
        source_input=_SOURCE_INPUT,
        progress=progress,
    )


def ocr_data(which: OcrNet, use: Use, *, progress: Progress = SILENT) -> Data:
    """Return what calibrates or judges one of the networks.

    The classifier gets pieces of printed and written lines, each upright (label 0) and turned (1); the recogniser
    pieces of printed lines, since what it makes of the handwriting is no text; the detector parts of the page, since it
    finds no box in the handwriting.
    """
    shape = _NETS[which].shape
    if which is OcrNet.DETECTOR:
        page = fetch_packaged_file(PAGE, progress=progress)
        return PageParts(pages=(page,), count=_PAGE_PARTS[use], shape=shape, seed=_SEEDS[use])
    if which is OcrNet.RECOGNISER:
        pieces = pieces_of(lines_for(use, PAGE), shortest=0, longest=_LONGEST, progress=progress)
        return _line_images(pieces, _READ_VARIANTS[use], shape, use, turns=False)
    pieces = (
        *pieces_of(lines_for(use, PAGE), shortest=_SHORTEST_PRINTED, longest=_LONGEST, progress=progress),
        *pieces_of(lines_for(use, HANDWRITING), shortest=_SHORTEST_WRITTEN, longest=_LONGEST, progress=progress),
    )
    return _line_images(pieces, _TURNED_VARIANTS[use], shape, use, turns=True)


def _line_images(
    pieces: tuple[Piece, ...], variants: int, shape: tuple[int, ...], use: Use, *, turns: bool
) -> LineImages:
    return LineImages(pieces=pieces, variants=variants, turns=turns, width=shape[3], seed=_SEEDS[use])


def characters(*, progress: Progress = SILENT) -> tuple[str, ...]:
    """Return what the recogniser's outputs stand for; the first is the blank between letters."""
    model = onnx.load(_model_file(OcrNet.RECOGNISER, progress), load_external_data=False)
    listed = next(item.value for item in model.metadata_props if item.key == "character")
    return ("", *listed.splitlines(), " ")


def _model_file(which: OcrNet, progress: Progress) -> Path:
    published = _NETS[which]
    return fetch_packaged_file(
        PackagedFile(
            package="rapidocr-onnxruntime",
            version="1.4.4",
            path=f"rapidocr_onnxruntime/models/{published.file}",
            sha256=published.sha256,
        ),
        progress=progress,
    )
