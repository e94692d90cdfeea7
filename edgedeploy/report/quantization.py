"""The page of a quantization: one self-contained file, as the page of a run is."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from edgedeploy.quantfile import QuantizationRecord
from edgedeploy.report import quantization_details as details
from edgedeploy.report import wording
from edgedeploy.report.html import page_environment
from edgedeploy.report.images import ReportImage
from edgedeploy.report.quantization_chart import depth_chart
from edgedeploy.report.quantization_speed import speed_facts, speed_rows
from edgedeploy.report.quantization_summary import summarize_quantization

TOP_LAYERS = 10
TOP_SENSITIVITIES = 12


def render_quantization_html(record: QuantizationRecord, *, images: Sequence[ReportImage] = ()) -> str:
    """Return the page.

    Args:
        images: Thumbnails of the items on which int8 differs most.
    """
    summary = summarize_quantization(record)
    equalization = record.equalization
    return (
        page_environment()
        .get_template("quantization.html.j2")
        .render(
            record=record,
            summary=summary,
            count_of=wording.plural,
            images=images,
            chart=Markup(depth_chart(record, summary.chart_description)),
            worst_layers=details.worst_rows(record, TOP_LAYERS),
            layers=details.layer_rows(record),
            accumulators=details.accumulator_rows(record),
            headroom_known=any(layer.accumulator is not None for layer in record.layers),
            steps=details.step_rows(record),
            kept_layers=details.kept_rows(record),
            kept_together=details.kept_together(record),
            sensitive_layers=details.sensitivity_rows(record, record.metric.layers, TOP_SENSITIVITIES),
            left_out=any(entry.wins_db is not None for entry in record.metric.layers),
            trials=details.trial_rows(record),
            speed=speed_rows(record),
            speed_facts=speed_facts(record),
            passes=details.pass_rows(record),
            outputs=details.output_facts(record),
            worst_items=details.worst_captions(record),
            identity=details.identity_facts(record),
            pairs=equalization.pairs if equalization is not None else (),
            skipped=equalization.skipped if equalization is not None else (),
        )
    )
