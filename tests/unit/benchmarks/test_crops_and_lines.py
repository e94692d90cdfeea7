"""Crops of photographs and pieces of text lines: what is cut, that it repeats, and that nothing serves twice."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from edgedeploy.artifacts import ColorOrder, Preprocessing, Resize
from int8_nets.photos import Half, PhotoCrops, calibrating_photos, judging_photos, random_crop
from int8_nets.text_data import LineImages, PageParts, line_tensor, page_part
from int8_nets.text_lines import HANDWRITING, LINES, PAGE, ZOOM, Piece, Use, lines_for, pieces_of, word_spans

PICTURES = Path(skimage.data.__file__).parent
PLAIN = Preprocessing(color=ColorOrder.RGB, resize=Resize.BILINEAR, mean=(0.0,) * 3, scale=(1.0,) * 3)
PAGE_WORDS = {"page-1": 10, "page-2": 9, "page-3": 7, "page-4": 11, "page-5": 4, "page-title": 2, "page-code": 4}


@pytest.fixture(autouse=True)
def _pictures_of_the_installed_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same files as in the pinned wheel, without a download."""
    monkeypatch.setattr(
        "int8_nets.text_lines.fetch_packaged_file", lambda wanted, **_: PICTURES / Path(wanted.path).name
    )


def test_no_photograph_both_calibrates_and_judges() -> None:
    for judge in Half:
        assert not set(calibrating_photos(judge)) & set(judging_photos(judge))
    assert set(judging_photos(Half.FIRST)) < set(calibrating_photos(Half.SECOND))


def test_crops_keep_to_area_and_shape() -> None:
    image = np.zeros((300, 451, 3), np.uint8)
    shapes = [random_crop(image, np.random.default_rng(seed)).shape for seed in range(200)]
    areas = np.array([height * width / (300 * 451) for height, width, _ in shapes])
    aspects = np.array([width / height for height, width, _ in shapes])
    assert 0.29 < areas.min() < 0.4
    assert areas.max() > 0.8
    assert aspects.min() > 0.74
    assert aspects.max() < 1.35


def test_crops_repeat_by_index_and_differ_between_them() -> None:
    crops = PhotoCrops(photos=(PICTURES / "chelsea.png", PICTURES / "coffee.png"), count=8, seed=3, preprocessing=PLAIN)
    again = pickle.loads(pickle.dumps(crops))
    first, second, third = (crops.item(index).tensors["in0"] for index in (0, 1, 2))
    assert first.shape == (1, 3, 224, 224)
    assert np.array_equal(first, again.item(0).tensors["in0"])
    assert not np.array_equal(first, third)
    # Every other one is of the other photograph.
    assert crops.item(1).name.startswith("coffee")
    assert abs(float(first.mean() - second.mean())) > 1


@pytest.mark.parametrize("line", [line for line in LINES if line.source is PAGE], ids=lambda line: line.name)
def test_words_of_the_page_are_found(line) -> None:  # type: ignore[no-untyped-def]
    spans = word_spans(line)
    assert len(spans) == PAGE_WORDS[line.name]
    assert all(right - left > ZOOM for left, right in spans)


def test_lines_serve_one_purpose_each() -> None:
    shares = {use: {line.name for line in lines_for(use, PAGE, HANDWRITING)} for use in Use}
    assert not shares[Use.CALIBRATION] & shares[Use.EVALUATION]
    assert sum(len(names) for names in shares.values()) == len(LINES)


def test_pieces_are_as_wide_as_asked() -> None:
    lines = lines_for(Use.EVALUATION, PAGE)
    pieces = pieces_of(lines, shortest=2.0, longest=4.0)
    widths = [(piece.right - piece.left) / (piece.line.height * ZOOM) for piece in pieces]
    assert len(pieces) > 10
    assert min(widths) >= 2.0
    assert max(widths) <= 4.0
    assert len(pieces_of(lines, shortest=0, longest=4.0)) > len(pieces)


def line_images(*, turns: bool) -> LineImages:
    line = next(line for line in LINES if line.name == "page-3")
    piece = Piece(line=line, left=20, right=260)
    return LineImages(pieces=(piece,), variants=3, turns=turns, width=192, seed=5)


def test_every_cut_comes_upright_and_turned() -> None:
    images = line_images(turns=True)
    assert len(images) == 6
    upright, turned = images.item(2), images.item(3)
    assert (upright.label, turned.label) == (0, 1)
    width = int(np.count_nonzero(np.abs(upright.tensors["in0"][0, 0]).sum(axis=0)))
    flipped = upright.tensors["in0"][0, :, ::-1, :width][:, :, ::-1]
    assert np.abs(flipped - turned.tensors["in0"][0, :, :, :width]).mean() < 0.02
    assert not np.array_equal(upright.tensors["in0"], images.item(0).tensors["in0"])
    assert line_images(turns=False).item(0).label is None


def test_a_line_is_48_high_and_filled_up_with_grey() -> None:
    tensor = line_tensor(np.full((24, 30, 3), 255, np.uint8), 192)
    assert tensor.shape == (1, 3, 48, 192)
    assert (tensor[..., :60] == 1).all()
    assert (tensor[..., 60:] == 0).all()
    assert (line_tensor(np.full((10, 400, 3), 255, np.uint8), 192) == 1).all()


def test_parts_of_pages_repeat_and_show_half_of_it_or_more() -> None:
    parts = PageParts(pages=(PICTURES / "page.png",), count=4, shape=(1, 3, 192, 384), seed=1)
    assert np.array_equal(parts.item(1).tensors["in0"], parts.item(1).tensors["in0"])
    assert not np.array_equal(parts.item(1).tensors["in0"], parts.item(2).tensors["in0"])
    page = cv2.imread(str(PICTURES / "page.png"))
    widths = [page_part(page, 2.0, np.random.default_rng(seed)).shape[1] for seed in range(50)]
    assert min(widths) >= 0.49 * page.shape[1]
    assert max(widths) > page.shape[1]
