"""Prices of misses: what is fitted on, what is held against it, and that a fit finds the prices that made the times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import miss_counts
import miss_prices
from edgedeploy.cycles.cores import CORES
from edgedeploy.graph import attach_weights, parse_param
from miss_prices import BOARDS, Sample

RK3399, RPI4, RPI5 = BOARDS
TRUE = (11.0, 6.0, 0.3)
FLOATS = ("alexnet", "blazeface", "googlenet", "mobilenet", "resnet18")
INT8 = ("googlenet_int8", "mobilenet_int8", "resnet18_int8")


def counts(board: str) -> list[dict[str, Any]]:
    random = np.random.default_rng(3)
    made = []
    for net in (*INT8, *FLOATS):
        cycles = int(random.integers(20_000_000, 400_000_000))
        misses = int(random.integers(cycles // 200, cycles // 80))
        made.append(
            {
                "board": board,
                "net": net,
                "cycles": cycles,
                "int8_cycles": cycles * 9 // 10 if net in INT8 else 0,
                "memory": {
                    "l1_misses": misses + int(random.integers(cycles // 100, cycles // 30)),
                    "l2_misses": misses,
                },
            }
        )
    return made


def published(
    board: miss_prices.PublishedBoard,
    counted: list[dict[str, Any]],
    prices: tuple[float, float, float],
    /,
    **other: str,
) -> list[dict[str, str]]:
    """Return the table's rows as the prices make them."""
    rows = []
    for count in counted:
        hits = count["memory"]["l1_misses"] - count["memory"]["l2_misses"]
        amounts = (hits, count["memory"]["l2_misses"], count["int8_cycles"])
        cycles = count["cycles"] + sum(amount * price for amount, price in zip(amounts, prices, strict=True))
        row = {
            "board": f"{board.title} and more",
            "num_threads": "1",
            "powersave": board.powersave,
            "model": count["net"],
            "min_ms": repr(cycles / board.mhz / 1e3),
        }
        rows.append(row | other)
    return rows


def test_the_fit_finds_the_prices_that_made_the_times() -> None:
    counted = counts("rk3399")
    found = miss_prices.samples(RK3399, published(RK3399, counted, TRUE), counted)
    training, held = miss_prices.halves(found)
    assert miss_prices.fit(training) == pytest.approx(TRUE)
    assert [sample.predicted(TRUE) for sample in held] == pytest.approx([sample.published for sample in held])


def test_both_kinds_of_networks_are_halved() -> None:
    counted = counts("rk3399")
    training, held = miss_prices.halves(miss_prices.samples(RK3399, published(RK3399, counted, TRUE), counted))
    assert [sample.net for sample in training] == ["alexnet", "googlenet", "resnet18", "mobilenet_int8"]
    assert [sample.net for sample in held] == ["blazeface", "mobilenet", "googlenet_int8", "resnet18_int8"]


def test_no_price_is_below_zero() -> None:
    counted = counts("rk3399")
    rows = published(RK3399, counted, (-3.0, 8.0, 0.0))
    prices = miss_prices.fit(miss_prices.samples(RK3399, rows, counted))
    assert prices[0] == 0 and prices[1] > 0
    assert miss_prices.fit(miss_prices.samples(RK3399, published(RK3399, counted, (0.0, 0.0, -0.2)), counted)) == (
        0.0,
        0.0,
        0.0,
    )


def test_only_named_prices_are_fitted() -> None:
    counted = counts("rpi5")
    found = miss_prices.samples(RPI5, published(RPI5, counted, TRUE), counted)
    assert miss_prices.fit(found, RPI5.prices)[2] == 0
    assert miss_prices.fit(found)[2] == pytest.approx(TRUE[2])


def test_other_rows_of_the_table_are_left_out() -> None:
    counted = counts("rk3399")
    rows = published(RK3399, counted, TRUE)
    strangers = [
        *published(RK3399, counted, (99.0, 0.0, 0.0), num_threads="2"),
        *published(RK3399, counted, (99.0, 0.0, 0.0), powersave="1"),
        *published(RK3399, counted, (99.0, 0.0, 0.0), board="OrangePi4 LTS, Rockchip RK3399"),
        *published(RK3399, counted, (99.0, 0.0, 0.0), gpu_device="0"),
        *published(RK3399, counted, (99.0, 0.0, 0.0), model="of no count"),
    ]
    assert miss_prices.samples(RK3399, [*rows, *strangers], counted) == miss_prices.samples(RK3399, rows, counted)


def test_a_board_of_the_same_core_is_held_against_the_fit_only() -> None:
    counted = [*counts("rk3399"), *counts("rpi5")]
    slower = tuple(price * 1.2 for price in TRUE)
    table = [
        *published(RPI4, counts("rk3399"), (slower[0], slower[1], slower[2])),
        *published(RK3399, counts("rk3399"), TRUE),
        *published(RPI5, counts("rpi5"), (1.0, 4.0, 0.0)),
    ]
    result = miss_prices.evaluate(table, counted)
    assert list(result["prices"]["cortex-a72"].values()) == pytest.approx(TRUE)
    assert list(result["prices"]["cortex-a76"].values()) == pytest.approx((1.0, 4.0, 0.0))
    errors = {(item["board"], item["half"]): item for item in result["errors"]}
    assert set(errors) == {
        ("rk3399", "fitted"),
        ("rk3399", "held"),
        ("rpi5", "fitted"),
        ("rpi5", "held"),
        ("rpi4", "held"),
    }
    assert errors["rk3399", "held"]["with_misses"] == pytest.approx(0, abs=1e-9)
    assert 0.01 < errors["rpi4", "held"]["with_misses"] < errors["rpi4", "held"]["in_core"]
    assert errors["rpi4", "held"]["networks"] == len(FLOATS) + len(INT8)
    text = miss_prices.text(result)
    assert "cortex-a72: l2_hit 11.00, l2_miss 6.00, int8_extra 0.30" in text


def test_the_error_is_a_root_mean_square() -> None:
    assert miss_prices.error([1.1, 0.9]) == pytest.approx(0.1)
    assert miss_prices.error([1.3, 1.0, 1.0, 1.0]) == pytest.approx(0.15)


def test_every_price_of_the_driver_is_one_that_is_fitted() -> None:
    fitted = {board.core: board for board in BOARDS if board.fitted}
    priced = {name: core.miss_prices for name, core in CORES.items() if core.miss_prices is not None}
    assert set(priced) == set(fitted)
    for name, prices in priced.items():
        others = set(miss_prices.PRICES) - set(fitted[name].prices)
        assert all(getattr(prices, other) == 0 for other in others)


def test_weights_of_zeros_fit_the_network() -> None:
    param = (
        "7767517\n4 4\nInput in0 0 1 in0\nConvolution conv 1 1 in0 mid 0=8 1=3 5=1 6=216 8=102\n"
        "InnerProduct fc 1 1 mid out 0=4 1=1 2=32\nSoftmax soft 1 1 out out0 0=0\n"
    )
    made = miss_counts.zero_weights(param)
    graph = attach_weights(parse_param(param), made)
    assert not any(made)
    assert [weight.name for weight in graph.layer("conv").weights] == [
        "weight",
        "bias",
        "weight_scales",
        "input_scales",
        "output_scales",
    ]


def test_samples_carry_what_is_priced() -> None:
    counted = counts("rk3399")[:1]
    (sample,) = miss_prices.samples(RK3399, published(RK3399, counted, TRUE), counted)
    memory = counted[0]["memory"]
    assert isinstance(sample, Sample)
    assert sample.priced == (
        memory["l1_misses"] - memory["l2_misses"],
        memory["l2_misses"],
        counted[0]["int8_cycles"],
    )


def test_a_network_that_cannot_be_counted_is_left_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.param").write_text("7767517\n2 1\nInput in0 0 1 in0\n", encoding="utf-8")
    files = ["--models", str(tmp_path), "--counts", str(tmp_path / "counts.jsonl")]
    assert miss_counts.left_out("broken", files, ["rk3399"])
    assert "layers are announced" in capfd.readouterr().err
    assert miss_counts.read_counts(tmp_path / "counts.jsonl") == []
    (tmp_path / "counts.jsonl").write_text('{"board": "rk3399", "net": "broken"}\n', encoding="utf-8")
    assert not miss_counts.left_out("broken", files, ["rk3399"]), "counted already"


@pytest.mark.parametrize("core", ["cortex-a72", "cortex-a76"])
def test_the_docs_have_the_prices(core: str) -> None:
    prices = CORES[core].miss_prices
    assert prices is not None
    lines = (Path(__file__).parents[3] / "docs" / "cycles.md").read_text(encoding="utf-8").splitlines()
    table = lines[next(at for at, line in enumerate(lines) if line.startswith("| core | l2_hit |")) :]
    row = next(line for line in table if line.lower().startswith(f"| {core} |"))
    cells = [cell.strip() for cell in row.split("|")]
    assert float(cells[2].split()[0]) == prices.l2_hit and float(cells[3]) == prices.l2_miss
    assert (0.0 if cells[4] == "-" else float(cells[4])) == prices.int8_extra
    assert cells[6].startswith(f"{prices.error:.3f} ")
