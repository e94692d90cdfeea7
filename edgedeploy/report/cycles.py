"""The page of a result of ``cycles``: one self-contained file, as the page of a run is."""

from __future__ import annotations

from edgedeploy.cyclesfile import CyclesRecord
from edgedeploy.report.cycles_view import view_cycles
from edgedeploy.report.html import page_environment

TOP_KERNELS = 20


def render_cycles_html(record: CyclesRecord) -> str:
    """Return the page."""
    view = view_cycles(record)
    return (
        page_environment()
        .get_template("cycles.html.j2")
        .render(
            record=record,
            view=view,
            kernels=view.kernels[:TOP_KERNELS],
            largest_layer=max((row.share_value for row in view.layers), default=0.0) or 1.0,
            largest_kernel=max((row.share_value for row in view.kernels), default=0.0) or 1.0,
        )
    )
