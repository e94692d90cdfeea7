"""The page: self-contained, honest about emulation, complete, and safe with hostile names."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from page import Page

from edgedeploy.artifacts import Clock, Provenance
from edgedeploy.report.compare import compare_runs
from edgedeploy.report.html import render_comparison_html, render_html
from edgedeploy.report.images import ReportImage
from edgedeploy.runfile import GoldenRecord, RunRecord, RunStatistics, SampleTimes

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}&amp;"
TIME = re.compile(r"\d\s*(?:ms|µs|us|milliseconds?)\b")


def with_measurement(record: RunRecord, **changes: Any) -> RunRecord:
    return record.model_copy(update={"measurement": record.measurement.model_copy(update=changes)})


def with_samples(record: RunRecord, inference_us: list[float]) -> RunRecord:
    samples = tuple(SampleTimes(pre_us=1.0, inference_us=value, post_us=1.0) for value in inference_us)
    changed = with_measurement(record, samples=samples)
    return changed.model_copy(update={"statistics": RunStatistics.of(samples)})


@pytest.fixture
def image() -> ReportImage:
    pixels = np.zeros((8, 12, 3), dtype=np.uint8)
    return ReportImage.from_bgr(title="Detected text", caption="3 boxes", image=pixels)


@pytest.mark.parametrize("name", ["hardware", "emulated", "instructions"])
def test_page_needs_nothing_from_outside(name: str, image: ReportImage, request: pytest.FixtureRequest) -> None:
    html = render_html(request.getfixturevalue(name), images=[image])
    page = Page(html)
    for attribute in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
        for value in page.values(attribute):
            assert value.startswith(("data:", "#")), f"{attribute}={value}"
    assert not {"script", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    assert not [key for _, key, _ in page.attributes if key.startswith("on")]
    assert "@import" not in html
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))
    assert "default-src 'none'" in html


@pytest.mark.parametrize("name", ["hardware", "emulated", "instructions"])
def test_inner_references_lead_somewhere(name: str, request: pytest.FixtureRequest) -> None:
    html = render_html(request.getfixturevalue(name))
    page = Page(html)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    targets = [value[1:] for value in page.values("xlink:href") + page.values("href") if value.startswith("#")]
    targets += re.findall(r"url\(#([^)]*)\)", html)
    assert targets and set(targets) <= set(ids)


def test_verdict_comes_first(hardware: RunRecord) -> None:
    page = Page(render_html(hardware))
    body = page.text[page.text.index("ppocr-det · rk3399") :]
    assert body.index("ppocr-det takes 213.9 ms per inference on rk3399, stable") < body.index("Conditions")
    assert "golden self-test passed" in body[:600]
    assert "95 % confidence interval is" in body[:600]


def test_every_section_is_there(hardware: RunRecord, image: ReportImage) -> None:
    page = Page(render_html(hardware, images=[image]))
    for section in ("images", "latency", "conditions", "layers", "memory", "golden", "identity"):
        assert page.by_id[section].strip()
    assert hardware.release in page.by_id["identity"]
    assert hardware.command in page.by_id["identity"]
    for layer in hardware.measurement.layers:
        assert layer.name in page.by_id["layers"]
    assert "12 heaviest layers" in page.by_id["layers"]
    assert "asked for at least 40 and 5 seconds" in page.by_id["conditions"]
    assert "45.2 → 51.3 °C" in page.by_id["conditions"]
    assert "pinned to cores 4, 5" in page.by_id["conditions"]
    assert "59.4 MiB" in page.by_id["memory"]
    assert "0.999993" in page.by_id["golden"]


@pytest.mark.parametrize("name", ["emulated", "instructions"])
def test_no_emulated_time_stands_without_its_unit(name: str, request: pytest.FixtureRequest) -> None:
    record: RunRecord = request.getfixturevalue(name)
    html = render_html(record)
    page = Page(html)
    assert not TIME.search(page.text), "a bare time would read as the board's"
    assert not [value for value in page.values("aria-label") + page.values("alt") if TIME.search(value)]
    assert "emulated ms" in page.by_id["latency"]
    assert "milliseconds" not in page.text
    outside = page.text.replace(page.by_id["latency"], "")
    assert "emulated ms" not in outside, "times stand in their own section only"
    assert "Emulator time (not the board's)" in page.by_id["latency"]
    assert page.text.index("Measured on an emulated board") < page.text.index("ppocr-det runs right")
    assert "times are not the board's" in page.text
    assert 'class="banner" role="alert"' in html
    assert "its speed on the board is not measured" in page.text


@pytest.mark.parametrize("name", ["emulated", "instructions"])
def test_emulated_numbers_stand_nowhere_else(name: str, request: pytest.FixtureRequest) -> None:
    record: RunRecord = request.getfixturevalue(name)
    page = Page(render_html(record))
    outside = page.text.replace(page.by_id["latency"], "")
    statistics = record.statistics.inference
    for value_us in (
        statistics.median_us,
        statistics.mean_us,
        *(layer.median_us for layer in record.measurement.layers),
    ):
        if value_us < 100_000:
            continue  # two or three digits turn up by chance
        for text in (f"{value_us / 1000:,.0f}", f"{value_us / 1000:.0f}", f"{value_us:.0f}", f"{value_us / 1000:.1f}"):
            assert not re.search(rf"(?<![\d.,]){re.escape(text)}(?![\d.,])", outside), text


def test_clocks_and_tiers_are_told_apart(emulated: RunRecord, instructions: RunRecord) -> None:
    assert "Guest time counts instructions" not in render_html(emulated)
    assert "Guest time counts instructions" in render_html(instructions)
    user = emulated.model_copy(update={"provenance": Provenance.QEMU_USER, "clock": Clock.REAL})
    assert "QEMU user-mode emulation" in render_html(user)


def test_hardware_has_no_banner(hardware: RunRecord) -> None:
    page = Page(render_html(hardware))
    assert "emulat" not in page.text.lower()
    assert "banner" not in page.values("class")


def test_what_the_board_does_not_show_is_said(emulated: RunRecord) -> None:
    conditions = Page(render_html(emulated)).by_id["conditions"]
    assert conditions.count("the board does not show") == 3


def test_failed_golden_leads(hardware: RunRecord, emulated: RunRecord) -> None:
    for record in (hardware, emulated):
        assert record.golden is not None
        outputs = tuple(item.model_copy(update={"passed": False, "cosine": None}) for item in record.golden.outputs)
        broken = record.model_copy(update={"golden": GoldenRecord(passed=False, outputs=outputs)})
        page = Page(render_html(broken))
        assert "gives wrong results on" in page.text
        assert "Do not rely on this release" in page.text
        assert "not finite" in page.by_id["golden"]
        assert "verdict bad" in page.values("class")


def test_golden_not_run_is_said(hardware: RunRecord) -> None:
    page = Page(render_html(hardware.model_copy(update={"golden": None})))
    assert "whether the results are right is not known" in page.text


def test_affinity_not_granted_is_a_warning(hardware: RunRecord) -> None:
    config = hardware.measurement.config.model_copy(update={"cpus_applied": (4,)})
    html = render_html(with_measurement(hardware, config=config))
    assert 'class="warning">asked for cores 4, 5, the board granted core 4<' in html


def test_noise_and_drift_are_said(hardware: RunRecord) -> None:
    drifting = Page(render_html(with_samples(hardware, [1000.0 + 10 * step for step in range(40)])))
    assert "but drifting" in drifting.text and "look at temperatures" in drifting.text
    noisy = Page(render_html(with_samples(hardware, [1000.0, 1500.0] * 20)))
    assert "but noisy" in noisy.text
    few = Page(render_html(with_samples(hardware, [1000.0])))
    assert "from too few runs to judge" in few.text


def test_run_without_layers_memory_or_times(hardware: RunRecord) -> None:
    bare = with_samples(with_measurement(hardware, layers=(), memory=(), outputs=(), postprocessing=None), [0.0] * 8)
    page = Page(render_html(bare))
    assert "The layers were not timed" in page.by_id["layers"]
    assert "does not show" in page.by_id["memory"]


def test_hostile_names_stay_text(hardware: RunRecord) -> None:
    layers = tuple(item.model_copy(update={"name": HOSTILE, "type": HOSTILE}) for item in hardware.measurement.layers)
    facts = hardware.board.facts.model_copy(update={"kernel": HOSTILE, "model": HOSTILE, "os_name": HOSTILE})
    record = with_measurement(hardware, layers=layers).model_copy(
        update={
            "app": HOSTILE,
            "command": HOSTILE,
            "board": hardware.board.model_copy(update={"name": HOSTILE, "facts": facts}),
            "versions": {HOSTILE: HOSTILE},
        }
    )
    picture = ReportImage(title=HOSTILE, caption=HOSTILE, png=b"x")
    clean = Page(render_html(hardware, images=[replace(picture, title="a", caption="b")]))
    page = Page(render_html(record, images=[picture], comparison=compare_runs(record, record)))
    assert "script" not in page.tags
    assert page.tags.count("img") == clean.tags.count("img") == 1
    assert not [key for _, key, _ in page.attributes if key.startswith("on")]
    assert HOSTILE in page.text, "shown as it is, not evaluated"
    comparison = Page(render_comparison_html(compare_runs(record, hardware, anyway=True)))
    assert "script" not in comparison.tags and "img" not in comparison.tags


def test_images_and_tables_are_accessible(hardware: RunRecord, image: ReportImage) -> None:
    html = render_html(hardware, images=[image])
    page = Page(html)
    assert [value for tag, key, value in page.attributes if tag == "img" and key == "alt"] == ["Detected text: 3 boxes"]
    assert any("Latency of 40 runs in order" in value for value in page.values("aria-label"))
    assert all((tag, key) == ("th", "scope") for tag, key, value in page.attributes if value in ("col", "row"))
    assert page.tags.count("th") == len(page.values("scope"))
    assert 'lang="en"' in html and "prefers-color-scheme: dark" in html


def test_chart_takes_the_pages_colours(hardware: RunRecord) -> None:
    html = render_html(hardware)
    svg = html[html.index("<svg") : html.index("</svg>")]
    assert "var(--accent)" in svg and "var(--ink)" in svg
    assert not re.search(r"#[0-9a-f]{6}\b", svg), "a fixed colour would vanish in one of the two modes"
    assert "<metadata" not in svg and "<style" not in svg


def test_page_is_the_same_every_time(hardware: RunRecord) -> None:
    assert render_html(hardware) == render_html(hardware)


def test_own_operators_are_marked(hardware: RunRecord) -> None:
    layers = Page(render_html(hardware)).by_id["layers"]
    own = sum(item.median_us for item in hardware.measurement.layers if item.implementation == "edgedeploy")
    share = own / sum(item.median_us for item in hardware.measurement.layers)
    assert own > 0 and f"{share * 100:.1f} %" in layers


def test_comparison_is_a_section_of_the_page(hardware: RunRecord, faster: RunRecord) -> None:
    page = Page(render_html(faster, comparison=compare_runs(hardware, faster)))
    assert "Inference became faster: −11.3 % time" in page.by_id["comparison"]
