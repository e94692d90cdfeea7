"""A result of ``cycles`` on page and terminal: the same figures, each called an estimate, none a time."""

from __future__ import annotations

import io
import re

import pytest
from cycles_records import MEMORY, MISS_PRICES, in_order, record, side, with_misses
from page import Page
from rich.console import Console

from edgedeploy.cyclesfile import CyclesRecord, OutputCheck
from edgedeploy.report.cycles import render_cycles_html
from edgedeploy.report.cycles_terminal import render_cycles_terminal
from edgedeploy.report.cycles_view import amount, short_kernel, view_cycles

TIME = re.compile(r"\d\s*(?:ms|µs|us|seconds?|fps|s)\b")
WRONG = OutputCheck(passed=False, cosine=0.31, max_abs_error=9.0)


def shown(result: CyclesRecord, width: int = 80) -> str:
    stream = io.StringIO()
    render_cycles_terminal(result, Console(file=stream, width=width, color_system=None))
    return stream.getvalue()


ALONE = record()
FASTER = record(stock=side("stock ncnn", 25_000_000, instructions=45_000_000))
SLOWER = record(stock=side("stock ncnn", 16_000_000))
THREADED = record(
    side("edgedeploy").model_copy(update={"memory": MEMORY, "span_cycles": 11_000_000}),
    stock=side("stock ncnn").model_copy(update={"memory": MEMORY, "span_cycles": 12_500_000}),
    threads=2,
)
IN_ORDER = record(in_order(), stock=in_order("stock ncnn"), core="cortex-a53")
MISSES = record(
    with_misses(side("edgedeploy"), 3_000_000),
    stock=with_misses(side("stock ncnn", 25_000_000), 5_750_000),
    miss_prices=MISS_PRICES,
    ratio_with_misses=23 / 30.75,
)
ALL = {
    "alone": ALONE,
    "faster": FASTER,
    "slower": SLOWER,
    "threads": THREADED,
    "in order": IN_ORDER,
    "misses": MISSES,
}


@pytest.mark.parametrize("name", ALL)
def test_terminal_fits_eighty_columns(name: str) -> None:
    text = shown(ALL[name])
    lines = text.splitlines()
    assert max(len(line) for line in lines if line != ALL[name].command) <= 80
    assert ALL[name].command in lines, "not wrapped, so that it can be copied"
    assert "pool[/bold]" in text, "a name is never markup"


@pytest.mark.parametrize("name", ALL)
def test_no_figure_is_a_time_and_cycles_are_called_estimates(name: str) -> None:
    for text in (shown(ALL[name]), Page(render_cycles_html(ALL[name])).text):
        assert not TIME.search(text)
        assert "Nothing here is a board's time" in " ".join(text.split())
        assert "llvm-mca 19.1.7" in " ".join(text.split())


def test_headlines() -> None:
    assert "an estimated 20.00 M cycles an inference on a cortex-a76" in view_cycles(ALONE).headline
    assert view_cycles(FASTER).headline.endswith("20.0 % fewer than stock ncnn")
    assert view_cycles(SLOWER).headline.endswith("25.0 % more than stock ncnn")
    assert (view_cycles(ALONE).tone, view_cycles(FASTER).tone, view_cycles(SLOWER).tone) == ("plain", "good", "bad")
    earlier = record(other=side("edgedeploy"), ratio=1.0002)
    assert view_cycles(earlier).headline.endswith(", as the earlier result")


def test_wrong_outputs_come_before_what_they_cost() -> None:
    wrong = record(side("edgedeploy").model_copy(update={"outputs": WRONG}), stock=side("stock ncnn", 25_000_000))
    view = view_cycles(wrong)
    assert view.tone == "bad"
    assert "differ from the host's beyond the limits (cosine 0.310000)" in view.sentence
    assert "see that they are right first" in " ".join(shown(wrong).split())
    assert "The outputs are those of the host" in view_cycles(ALONE).sentence


def test_an_in_order_core_shows_no_cycles_but_what_the_pipes_need() -> None:
    text = shown(IN_ORDER)
    assert "its cycles are not estimated" in " ".join(text.split())
    assert "cycles at least: issue" in text and "20.00 M" in text
    assert "MAC/cycle" not in text and "cycles, estimated" not in text
    assert "MAC a cycle" not in Page(render_cycles_html(IN_ORDER)).text


def test_an_in_order_core_compares_instructions_and_judges_nothing_by_them() -> None:
    counts = in_order().model_copy(update={"instructions": 60_000_000}), in_order("stock ncnn")
    view = view_cycles(record(counts[0], stock=counts[1], core="cortex-a53"))
    more = f"{(60_000_000 / counts[1].instructions - 1) * 100:.1f} % more than stock ncnn; its cycles are not estimated"
    assert view.headline.endswith(f"instructions an inference on a cortex-a53, {more}")
    assert {tile.tone for tile in view.tiles} == {"plain"}


def test_variants_of_a_function_are_one_row() -> None:
    rows = view_cycles(ALONE).kernels
    assert [(row.name, row.share) for row in rows] == [("gemm", "90.0 %"), ("pool", "10.0 %")]


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("gemm_s8_8x8_neondot", "gemm_s8_8x8_neondot"),
        ("ncnn::Pooling_arm::forward(ncnn::Mat const&, ncnn::Mat&) const", "Pooling_arm::forward"),
        ("void ncnn::im2col<4, 1>(int) [clone ._omp_fn.0]", "im2col"),
        ("void edgedeploy::(anonymous namespace)::fill_row<float>(int)", "edgedeploy::fill_row"),
        ("(no symbol)", "(no symbol)"),
    ],
)
def test_short_names(name: str, short: str) -> None:
    assert short_kernel(name) == short


def test_amounts() -> None:
    assert [amount(value) for value in (None, 0, 999, 8123, 30_912_345)] == ["–", "0", "999", "8.1 k", "30.91 M"]


def test_the_page_has_every_layer_and_the_other_side() -> None:
    page = Page(render_cycles_html(FASTER))
    assert {"sides", "layers", "kernels", "how"} <= set(page.by_id)
    assert all(item.name in page.by_id["layers"] for item in FASTER.ours.layers)
    assert "22.50 M" in page.by_id["layers"], "the layer on the other side"
    assert "−20.0 %" in page.by_id["sides"]
    assert FASTER.command in page.by_id["how"]
    assert "script" not in page.tags
    assert "Data accesses" in Page(render_cycles_html(THREADED)).text


def test_misses_stand_beside_the_cycles_in_the_core_and_say_what_they_are_priced_by() -> None:
    page = Page(render_cycles_html(MISSES))
    text = " ".join(shown(MISSES).split())
    for found in (text, page.text):
        assert "cycles with misses, estimated" in found
        assert "23.00 M" in found and "30.75 M" in found and "−25.2 %" in found, "both sides and their ratio"
        assert "11.9 cycles a line from L2, 6.1 a line from memory, 30.0 % more in int8 layers" in found
        assert "published times of a board" in found and "6.6 % off on as many others" in found
    assert "Heaviest layers with misses, estimated cycles" in text
    assert "21.00 M" in page.by_id["layers"], "the layer with its misses"
    for other in (ALONE, THREADED, IN_ORDER):
        assert "with misses" not in shown(other).lower()
        assert "With misses" not in Page(render_cycles_html(other)).text


def test_threads_show_how_well_the_work_is_split() -> None:
    row = next(row for row in view_cycles(THREADED).sides if "busiest thread" in row.name)
    assert (row.ours, row.other, row.change) == ("11.00 M", "12.50 M", "−12.0 %")
    assert not any("busiest" in row.name for row in view_cycles(FASTER).sides)
