"""What the page is made of holds no emulator's milliseconds either."""

from __future__ import annotations

import re

from edgedeploy.report.charts import latency_chart
from edgedeploy.report.details import layer_rows, type_rows
from edgedeploy.runfile import RunRecord


def test_layer_rows_have_times_on_hardware_only(hardware: RunRecord, emulated: RunRecord) -> None:
    assert all(row.time.endswith(" ms") for row in (*layer_rows(hardware), *type_rows(hardware)))
    assert not any(row.time for row in (*layer_rows(emulated), *type_rows(emulated)))


def test_emulated_plot_is_relative_to_its_median(emulated: RunRecord) -> None:
    svg = latency_chart(emulated.inference_us, emulated.statistics.inference, emulated=True, description="d")
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    ticks = [float(text) for text in texts if re.fullmatch(r"\d+\.\d+", text)]
    assert ticks and all(95 < tick < 105 for tick in ticks)
