"""The page and the terminal summary of a quantization: every branch, complete, safe with hostile names."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
from page import Page
from quantization_records import LAYERS, layer_entry, metric_record, quantization_record, speed_record
from rich.console import Console

from edgedeploy.quantfile import (
    AccumulatorEntry,
    DataRecord,
    EqualizationEntry,
    Fidelity,
    QuantizationRecord,
    SensitivityEntry,
    SpeedSection,
    TargetRecord,
    WeightBits,
)
from edgedeploy.report.images import ReportImage
from edgedeploy.report.quantization import render_quantization_html
from edgedeploy.report.quantization_summary import summarize_quantization
from edgedeploy.report.quantization_terminal import render_quantization_terminal

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}&amp;"
SECTIONS = ("advice", "depth", "layers", "accumulators", "precision", "worst", "speed", "preparation", "identity")


def page_of(record: QuantizationRecord, **arguments: Any) -> Page:
    return Page(render_quantization_html(record, **arguments))


def shown(record: QuantizationRecord, width: int = 80) -> str:
    stream = io.StringIO()
    render_quantization_terminal(record, Console(file=stream, width=width, color_system=None))
    return stream.getvalue()


def flat(text: str) -> str:
    return " ".join(text.split())


def with_layer(place: int, **changes: Any) -> QuantizationRecord:
    layers = [layer_entry(index) for index in range(LAYERS)]
    layers[place] = layer_entry(place, **changes)
    return quantization_record(layers=tuple(layers))


def measured(**arguments: Any) -> QuantizationRecord:
    return quantization_record(speed=SpeedSection(measured=speed_record(**arguments)))


@pytest.fixture
def image() -> ReportImage:
    return ReportImage.from_bgr(title="17.png", caption="9.3 dB", image=np.zeros((8, 12, 3), dtype=np.uint8))


def test_page_needs_nothing_from_outside(image: ReportImage) -> None:
    html = render_quantization_html(measured(), images=[image])
    page = Page(html)
    for attribute in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
        for value in page.values(attribute):
            assert value.startswith(("data:", "#")), f"{attribute}={value}"
    assert not {"script", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    assert "default-src 'none'" in html
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    targets = [value[1:] for value in page.values("xlink:href") if value.startswith("#")]
    targets += re.findall(r"url\(#([^)]*)\)", html)
    assert targets and set(targets) <= set(ids)


def test_every_section_is_there() -> None:
    record = quantization_record()
    page = page_of(record)
    assert all(page.by_id[section].strip() for section in SECTIONS)
    for layer in record.layers:
        assert layer.name in page.by_id["layers"]
    assert "putting it back won most" in page.by_id["layers"]
    assert "0 to 6.00" in page.by_id["layers"], "a shifted range is shown in the numbers that it stands for"
    assert "−3.00" not in page.by_id["layers"]
    assert record.command in page.by_id["identity"]
    assert record.files.param.sha256 in page.by_id["identity"]
    assert "300 of 1200 items: data/calibration" in page.by_id["identity"]
    assert "Setting calibrator" in page.by_id["identity"]
    assert "Put back to float so that what was asked for holds: conv_5." in page.by_id["precision"]
    assert "wins most for what it costs" in page.by_id["precision"]
    assert "not met" in page.by_id["precision"]
    assert "23.1 dB12.5051.0 %" in page.by_id["precision"], "its error, what the metric loses, its share"
    assert "63.50 to 127.0" in page.by_id["layers"], "the scales of the weights"
    assert "conv_2" in page.by_id["precision"] and "10.0 %" in page.by_id["precision"]
    assert "int8 does 96.0 % of the multiplications" in page.text
    assert "calibrator absmax, equalize True" in page.by_id["preparation"]
    assert "undone" in page.by_id["preparation"]
    assert "nothing to do" in page.by_id["preparation"], "a pass that changed nothing"
    assert "its output has several readers" in page.by_id["preparation"]
    assert "1 pair of neighbouring" in page.by_id["preparation"]
    assert "17.png: top1 100.00 → 0.00, SQNR 9.3 dB" in page.by_id["worst"]
    assert "SQNR 21.7 dB, cosine 0.99662" in page.by_id["depth"]


def test_what_stayed_in_float_says_what_it_won_and_what_it_costs() -> None:
    kept = layer_entry(5, int8=False, reason="it was put back to float")
    layers = tuple(kept if index == 5 else layer_entry(index) for index in range(6))
    record = quantization_record(layers=layers)
    page = page_of(record)
    assert "it was put back to float: it made 51.0 % of the error and costs 4.0 %" in page.by_id["layers"]
    section = page.by_id["precision"]
    assert "Alone in int8 these layers make 51.0 % of the error, for 4.0 % of what" in section
    why = section[section.index("What stayed in float, and why") : section.index("What each layer in int8 loses")]
    assert "conv_5" in why and "conv_2" not in why
    asked = page_of(quantization_record(layers=layers, metric=metric_record(layers=())))
    assert "What stayed in float, and why" not in asked.by_id["precision"]


def test_a_ratio_that_was_asked_for_is_said() -> None:
    metric = metric_record(max_drop=None, min_sqnr_db=21.0, drop_margin=0.4)
    summary = summarize_quantization(quantization_record(metric=metric))
    assert summary.sentences[0] == "The drop is 0.11, on 200 items, give or take 0.40 on others like them."
    assert summary.sentences[1] == "The outputs have 21.7 dB of the 21 dB that were asked for."
    assert summary.tiles[0].note == "21 dB were asked for"
    assert not any("State what may be lost" in item for item in summary.advice)


def test_verdict_comes_first_and_in_words() -> None:
    record = quantization_record()
    text = page_of(record).text
    assert text.index("int8 keeps the accuracy of shapes: top1 91.42 in float, 91.31 in int8") < text.index("Layers")
    assert "The drop is 0.11 of the 0.30 that were allowed, on 200 items." in text
    assert "13 of 14 layers with weights compute in int8; 12 of them hand int8 on" in text
    assert "Left in float: 1 because putting it back won most." in text


@pytest.mark.parametrize(
    ("metric", "headline", "tone"),
    [
        ({}, "int8 keeps the accuracy of shapes", "good"),
        ({"held": False, "drop": 1.4}, "int8 costs shapes more than was allowed", "bad"),
        ({"held": None, "max_drop": None}, "shapes in int8: top1 91.42 in float", "good"),
    ],
)
def test_headline_by_limit(metric: dict[str, Any], headline: str, tone: str) -> None:
    record = quantization_record(metric=metric_record(**metric))
    summary = summarize_quantization(record)
    assert summary.headline.startswith(headline)
    assert summary.tone == tone
    assert f"verdict {tone}" in page_of(record).values("class")


def test_top1_without_labels_is_called_agreement() -> None:
    said = "No item has a label, so top1 is how often int8 agrees with float, not accuracy."
    assert said in summarize_quantization(quantization_record(metric=metric_record(labelled=0))).sentences
    for metric in (metric_record(labelled=200), metric_record(), metric_record(name="cosine", labelled=0)):
        assert said not in summarize_quantization(quantization_record(metric=metric)).sentences


def test_cosines_get_a_digit_more() -> None:
    metric = metric_record(name="cosine", float_score=100.0, int8_score=99.987, drop=0.013, max_drop=None, held=None)
    assert "99.987 in int8" in summarize_quantization(quantization_record(metric=metric)).headline


def test_small_drops_and_small_files_are_not_shown_as_nothing() -> None:
    metric = metric_record(name="cosine", float_score=100.0, int8_score=99.99998, drop=2e-5, max_drop=1e-4)
    text = page_of(quantization_record(metric=metric)).text
    assert "The drop is 2.0e-05 of the 1.0e-04 that were allowed" in text
    record = quantization_record()
    weights = record.files.weights.model_copy(update={"size_bytes": 2048})
    small = record.model_copy(update={"files": record.files.model_copy(update={"weights": weights})})
    assert "2.0 KiB" in page_of(small).text and "1.2 MiB" in page_of(record).text


def test_nothing_in_int8() -> None:
    float_layer = {"int8": False, "reason": "no data flows through it", "input": None, "output": None, "own": None}
    bare = {**float_layer, "requantized": False, "weight_bits": None, "accumulator": None, "accumulated": None}
    record = quantization_record(layers=(layer_entry(0, **bare),))
    page = page_of(record)
    assert "No layer of shapes could be brought to int8" in page.text
    assert "No layer's error was measured" in page.by_id["depth"]
    assert "svg" not in page.tags
    assert "What loses most by itself" not in page.by_id["layers"]
    assert "No layer of shapes" in shown(record)


def test_speed_not_measured_says_how() -> None:
    page = page_of(quantization_record())
    assert "It was not measured" in page.by_id["speed"]
    assert "--emulated counts instructions" in page.by_id["advice"]
    assert "banner" not in page.values("class")


def test_faster_on_the_board_is_shipped() -> None:
    record = measured()
    page = page_of(record)
    assert "8.10 ms" in page.by_id["speed"]
    assert "10.0 % less time" in page.text
    assert "enabled = true" in page.by_id["advice"]
    assert "95 % interval" in page.by_id["speed"]
    assert "banner" not in page.values("class")


def test_slower_recommends_half_precision_everywhere() -> None:
    record = measured(int8=11.0)
    page = page_of(record)
    assert "int8 is not faster here (22.2 % more time): ship fp16 instead." in page.text
    assert 'precision = "fp16"' in page.by_id["advice"]
    assert "enabled = true" not in page.by_id["advice"]
    text = flat(shown(record))
    assert "int8 is not faster here (22.2 % more time): ship fp16 instead." in text
    assert "Ship fp16" in text


@pytest.mark.parametrize("int8", [8.1, 11.0])
def test_counted_instructions_are_never_shown_as_time(int8: float) -> None:
    record = measured(int8=int8, hardware=False)
    for text in (page_of(record).text, shown(record)):
        assert not re.search(r"\d\s*ms\b", text)
        assert "instructions" in text
        assert "Counted instructions are no time" in flat(text)
    assert f"{int8:.2f} million instructions" in page_of(record).by_id["speed"]


def test_layers_put_back_are_advised_on() -> None:
    put_back = [layer_entry(index, int8=False, reason="it was put back to float") for index in range(1, 4)]
    layers = (layer_entry(0), *put_back)
    few = page_of(quantization_record(metric=metric_record(put_back=("conv_5",)))).by_id["advice"]
    record = quantization_record(layers=layers, metric=metric_record(put_back=("a", "b")))
    most = page_of(record).by_id["advice"]
    none = page_of(quantization_record(metric=metric_record(put_back=()))).by_id["advice"]
    assert "1 layer went back to float" in few and "which flatters" in few and "Half of the layers" not in few
    assert "2 layers went back to float" in most and "Half of the layers or more" in most
    assert "went back" not in none


def test_few_items_and_shared_ones_are_advised_on() -> None:
    record = quantization_record(
        data=DataRecord(source="samples", items=3, used=("a", "b", "c")),
        metric=metric_record(shares_calibration=2, max_drop=None, held=None),
        warnings=("a handful of samples is little",),
    )
    advice = page_of(record).by_id["advice"]
    assert "Calibrate on more" not in advice, "the warning says it"
    assert "Calibrate on more than 3 inputs" in page_of(record.model_copy(update={"warnings": ()})).by_id["advice"]
    assert "2 of 200 items evaluated on had been calibrated on as well" in advice
    assert "--max-drop" in advice
    assert "a handful of samples is little" in page_of(record).text
    assert "a handful of samples is little" in shown(record)


def test_poor_and_clipped_layers_are_named() -> None:
    record = with_layer(3, own=Fidelity(sqnr_db=6.0, cosine=0.8), clipping=0.031)
    advice = page_of(record).by_id["advice"]
    assert "--keep-float conv_3" in advice
    assert "1 layer clips over 1.0 % of the input (conv_3: 3.1 %)" in advice
    rows = shown(record).splitlines()
    worst = rows[next(n for n, row in enumerate(rows) if row.startswith("Layer")) + 1]
    assert worst.startswith("conv_3") and "6.0" in worst and "3.1 %" in worst


def test_accumulators_without_and_with_dot_product() -> None:
    plain = page_of(quantization_record())
    assert "No layer needed fewer bits" in plain.by_id["accumulators"]
    assert "no layer comes near the bound" in plain.text
    layers = [layer_entry(index) for index in range(LAYERS)]
    layers[0] = layer_entry(0, weight_bits=WeightBits(least=6, most=8, reduced_channels=4, channels=32))
    layers[2] = layer_entry(2, winograd="off")
    layers[4] = layer_entry(
        4,
        accumulator=AccumulatorEntry(
            bound=3_000_000, limit=3_728_270, headroom_bits=0.3, choice="twice the calibrated sums stay within it"
        ),
    )
    record = quantization_record(layers=tuple(layers))
    section = page_of(record).by_id["accumulators"]
    assert "6–8 (4 of 32 channels below 8)" in section
    assert "conv_2" in section and "0.3 bits" in section and "conv_6" not in section
    assert "1 layer got fewer weight bits for it, 1 layer does without it" in page_of(record).text
    dotprod = page_of(quantization_record(target=TargetRecord(board="rpi5", dotprod=True)))
    assert "rpi5 has the dot product instructions" in dotprod.by_id["accumulators"]
    assert "--stock" not in section
    ours = page_of(quantization_record(target=TargetRecord(board="rk3399", dotprod=False, own_layers=True)))
    assert "--stock" in ours.by_id["accumulators"]
    assert "run with our runner" in ours.text and "run with the engine alone" in dotprod.text


def test_steps_absent_are_explained() -> None:
    nothing: dict[str, Any] = {"steps": (), "layers": (), "put_back": ()}
    held = page_of(quantization_record(metric=metric_record(**nothing), trials=()))
    assert "Settings tried" not in held.text
    assert "What was asked for held with every layer" in held.by_id["precision"]
    free = metric_record(**nothing, max_drop=None, held=None)
    assert "No limit was set" in page_of(quantization_record(metric=free)).by_id["precision"]


def test_equalisation_undone_or_not_asked_for() -> None:
    undone = EqualizationEntry(pairs=(), skipped=(), max_difference=0.1, kept=False)
    assert "was undone" in page_of(quantization_record(equalization=undone)).by_id["preparation"]
    assert "were not evened out" in page_of(quantization_record(equalization=None)).by_id["preparation"]


def test_worst_items_with_and_without_pictures(image: ReportImage) -> None:
    record = quantization_record()
    page = page_of(record, images=[image])
    assert page.tags.count("img") == 1
    assert page.values("alt") == ["17.png: 9.3 dB"]
    assert "81.png" in page_of(record).by_id["worst"]
    assert "were not told apart" in page_of(quantization_record(worst=())).by_id["worst"]


def test_layers_that_scale_their_inputs_have_no_range_of_their_own() -> None:
    page = page_of(with_layer(0, type="GRU", input=None, accumulator=None))
    assert "conv_0GRU41.039.0chosen anew" in page.by_id["layers"]


def test_exact_layers_are_said_to_be_so() -> None:
    record = with_layer(0, own=Fidelity(sqnr_db=None, cosine=1.0))
    assert "exact" in page_of(record).by_id["layers"]


def test_what_a_layer_alone_in_float_wins_is_shown_where_it_was_measured() -> None:
    assert "4.0 %+3.3 dB, −0.50" in page_of(quantization_record()).by_id["precision"]
    plain = metric_record(layers=(SensitivityEntry(layer="conv_5", alone_db=23.1, noise_share=1.0, cost=0.04),))
    assert "Alone in float wins" not in page_of(quantization_record(metric=plain)).by_id["precision"]


def test_a_float_layers_accumulated_error_is_shown() -> None:
    page = page_of(quantization_record())
    assert "conv_5Convolutionfloat–32.5–0.99750–" in page.by_id["layers"]


def test_layers_left_for_the_same_reason_are_counted() -> None:
    kept = [layer_entry(index, int8=False, reason="it was put back to float") for index in range(3)]
    several = summarize_quantization(quantization_record(layers=(*kept, layer_entry(3))))
    assert "Left in float: 3, each because it was put back to float." in several.sentences


def test_chart_marks_float_layers_and_takes_the_pages_colours() -> None:
    html = render_quantization_html(quantization_record())
    svg = html[html.index("<svg") : html.index("</svg>")]
    assert "left in float" in svg and "by itself" in svg and "accumulated" in svg
    assert "var(--accent)" in svg and "var(--bad)" in svg
    assert not re.search(r"#[0-9a-f]{6}\b", svg)
    every = render_quantization_html(quantization_record(layers=tuple(layer_entry(n) for n in range(3))))
    assert "left in float" not in every[every.index("<svg") : every.index("</svg>")]


def test_page_is_the_same_every_time() -> None:
    assert render_quantization_html(measured()) == render_quantization_html(measured())


def test_hostile_names_stay_text() -> None:
    layers = tuple(layer_entry(index, name=HOSTILE, type=HOSTILE) for index in range(3))
    record = quantization_record(
        layers=layers,
        command=HOSTILE,
        versions={HOSTILE: HOSTILE},
        settings={HOSTILE: HOSTILE},
        target=TargetRecord(board=HOSTILE, dotprod=False),
        metric=metric_record(name=HOSTILE),
        warnings=(HOSTILE,),
    )
    page = page_of(record)
    assert "script" not in page.tags and "img" not in page.tags
    assert not [key for _, key, _ in page.attributes if key.startswith("on")]
    assert HOSTILE in page.text
    assert "[bold]" in shown(quantization_record(layers=(layer_entry(0, name="[bold]x[/nothing]"),)))


def test_tables_are_accessible() -> None:
    page = page_of(measured())
    assert page.tags.count("th") == len(page.values("scope"))
    assert any("Signal to error of 14 layers" in value for value in page.values("aria-label"))


@pytest.mark.parametrize("width", [80, 60, 200])
def test_terminal_fits(width: int) -> None:
    long = with_layer(3, name="n" * 200)
    for record in (long, measured(), measured(hardware=False, int8=12.0)):
        assert max(map(len, shown(record, width).splitlines())) <= min(width, 80)
