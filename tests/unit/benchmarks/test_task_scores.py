"""Scores of text and boxes, the benchmark's rows and its command line."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import int8_accuracy
from edgedeploy.quantize.evaluation import Evaluation, OutputError
from edgedeploy.quantize.items import Item
from edgedeploy.quantize.search import Subset
from int8_nets.accuracy import ROWS, FoldResult, Measured, Row
from int8_nets.imagenet import ImageNetNet, calibration_crops, evaluation_parts, to_choose_on
from int8_nets.labelled import FASHION_VARIABLE
from int8_nets.photos import Half, PhotoCrops
from int8_nets.scores import BoxOverlap, SameText, box_mask, decode_text, overlap
from int8_nets.subjects import SUBJECTS

CHARACTERS = ("", "a", "b", " ")
ITEM = Item(name="one", tensors={})


def ctc(*classes: int) -> np.ndarray:
    return np.eye(len(CHARACTERS), dtype=np.float32)[list(classes)]


def box_map(left: int, right: int) -> np.ndarray:
    probability = np.zeros((1, 64, 128), np.float32)
    probability[0, 20:40, left:right] = 0.9
    return probability


@pytest.mark.parametrize(
    ("classes", "text"), [((1, 1, 0, 1, 2), "aab"), ((0, 0), ""), ((1, 3, 2), "a b"), ((2, 2, 2), "b")]
)
def test_best_path_decoding(classes: tuple[int, ...], text: str) -> None:
    assert decode_text(ctc(*classes), CHARACTERS) == text


def test_the_same_string_may_come_by_another_path() -> None:
    metric = SameText(CHARACTERS)
    assert metric.score(ITEM, {"out0": ctc(1, 1, 0, 2)}, {"out0": ctc(1, 0, 2, 2)}) == 1.0
    assert metric.score(ITEM, {"out0": ctc(1, 1, 0, 2)}, {"out0": ctc(1, 0, 1, 2)}) == 0.0


def test_boxes_are_compared_by_area() -> None:
    metric = BoxOverlap()
    whole = {"out0": box_map(20, 100)}
    assert metric.score(ITEM, whole, whole) == 1.0
    assert 0.4 < metric.score(ITEM, whole, {"out0": box_map(20, 60)}) < 0.7
    nothing = {"out0": np.zeros((1, 64, 128), np.float32)}
    assert metric.score(ITEM, whole, nothing) == 0.0
    assert metric.score(ITEM, nothing, nothing) == 1.0


def test_a_box_covers_its_region_and_a_margin() -> None:
    mask = box_mask(box_map(20, 100))
    assert mask[20:40, 20:100].all()
    assert not mask[:5].any()
    assert overlap(mask, mask) == 1.0


def test_rows_name_subjects_and_limits() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert {row.subject for row in ROWS} == set(SUBJECTS)
    limits = {row.name: row.limit for row in ROWS}
    assert limits["fashion-mobilenetv3-mixed"] == 0.1
    assert limits["hard-naive"] is None
    assert limits["imagenet-mobilenetv2"] == 5.0
    assert limits["imagenet-mobilenetv2-all-int8"] is None


def fold(*scores: tuple[float, float]) -> FoldResult:
    evaluation = Evaluation(
        metric="top1",
        float_score=0.0,
        int8_score=0.0,
        outputs=(OutputError(name="out0", sqnr_db=20.0 + len(scores), cosine=0.99),),
        noise_share=0.0,
        typical_noise=0.0,
        worst=(),
        scores=scores,
    )
    return FoldResult(evaluation=evaluation, int8_layers=len(scores), float_layers=1, int8_macs=len(scores) / 10)


def measured(limit: float | None, *folds: FoldResult) -> Measured:
    return Measured(row=Row(name="some", subject="hard", limit=limit), folds=folds, seconds=1.0)


def test_a_row_is_about_the_items_of_all_folds() -> None:
    right, lost = (1.0, 1.0), (1.0, 0.0)
    row = measured(20.0, fold(right, right, lost), fold(right, right, right, right, (0.0, 0.0)))
    assert (row.items, row.sqnr_db, row.layers, row.int8_macs) == (8, 23.0, (3, 1), 0.3)
    document = row.to_json()
    assert {key: document[key] for key in ("name", "float", "int8", "drop", "limit", "holds")} == {
        "name": "some", "float": 87.5, "int8": 75.0, "drop": 12.5, "limit": 20.0, "holds": True
    }  # fmt: skip
    # One of eight items lost: a standard deviation of 0.354, over the root of eight.
    assert document["drop_margin"] == pytest.approx(100 * 1.96 * 0.35355 / 8**0.5, abs=0.01)


def test_a_row_holds_up_to_its_limit_or_without_one() -> None:
    half = fold((1.0, 1.0), (1.0, 0.0))
    assert measured(50.0, half).holds
    assert not measured(49.9, half).holds
    assert measured(None, half).holds


def test_rows_are_picked_in_the_order_of_the_table() -> None:
    assert [row.name for row in int8_accuracy.chosen_rows(["hard", "ppocr-cls"])] == ["ppocr-cls", "hard"]
    assert int8_accuracy.chosen_rows([]) == ROWS


@pytest.mark.parametrize(("board", "dotprod"), [("rk3399", False), ("rk3588", True)])
def test_a_target_is_a_board(board: str, dotprod: bool) -> None:
    assert int8_accuracy.board_target(board).dotprod is dotprod


def test_an_unknown_row_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        int8_accuracy.main(["--only", "imagenet-resnet"])
    assert caught.value.code == 2
    assert "imagenet-mobilenetv2" in capsys.readouterr().err


def test_missing_data_end_it_with_the_error_in_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(FASHION_VARIABLE, str(tmp_path))
    status = int8_accuracy.main(["--json", "--only", "hard", "--processes", "1"])
    error = json.loads(capsys.readouterr().out)["error"]
    assert status == error["exit_code"] != 0
    assert "dataset-fashion-mnist" in error["hint"]


def photographs(part: Subset) -> Counter[Path]:
    assert isinstance(part.data, PhotoCrops)
    return Counter(part.data.photos[index % len(part.data.photos)] for index in part.indices)


@pytest.mark.parametrize("judge", Half)
def test_photographs_judge_that_neither_calibrated_nor_chose(judge: Half) -> None:
    calibration = calibration_crops(ImageNetNet.MOBILENETV2, judge)
    first, second = evaluation_parts(ImageNetNet.MOBILENETV2, judge)
    judging = photographs(first) + photographs(second)
    assert not photographs(first).keys() & photographs(second).keys()
    assert not judging.keys() & set(calibration.photos)
    assert set(judging.values()) == {100}
    for part in (first, second):
        assert len(set(photographs(to_choose_on(part)).values())) == 1
        assert len(to_choose_on(part)) == 120
