"""One self-contained HTML page for a run: no script, no network, colours by the reader's light or dark mode."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import jinja2
from markupsafe import Markup

from edgedeploy.latency_stats import stability_rule
from edgedeploy.report import details, wording
from edgedeploy.report.charts import latency_chart
from edgedeploy.report.compare import RunComparison
from edgedeploy.report.comparison_view import view_comparison
from edgedeploy.report.images import ReportImage
from edgedeploy.report.summary import summarize_run
from edgedeploy.runfile import RunRecord

TOP_LAYERS = 12


def render_html(
    record: RunRecord, *, images: Sequence[ReportImage] = (), comparison: RunComparison | None = None
) -> str:
    """Return the page for a run.

    Args:
        record: The run. An emulated one gets a banner and no time without its unit ``emulated ms``.
        images: Pictures shown under the verdict, in this order.
        comparison: A comparison with another run, as a section of its own.
    """
    memory_bytes = record.limits.memory_bytes
    summary = summarize_run(record)
    return (
        page_environment()
        .get_template("report.html.j2")
        .render(
            record=record,
            summary=summary,
            images=images,
            comparison_section=render_comparison_section(comparison) if comparison is not None else "",
            chart=Markup(
                latency_chart(
                    record.inference_us,
                    record.statistics.inference,
                    emulated=record.emulated,
                    description=summary.chart_description,
                )
            ),
            stability_rule=stability_rule(),
            conditions=details.condition_facts(record),
            types=details.type_rows(record),
            top=details.top_layers(record, TOP_LAYERS),
            layers=details.layer_rows(record),
            memory=details.memory_rows(record),
            memory_limit=wording.mebibytes(memory_bytes) if memory_bytes is not None else "",
            golden=details.golden_rows(record),
            identity=details.identity_facts(record),
        )
    )


def render_comparison_html(comparison: RunComparison) -> str:
    """Return a page of its own for two runs side by side."""
    section = render_comparison_section(comparison)
    return page_environment().get_template("comparison_page.html.j2").render(comparison=comparison, section=section)


def render_comparison_section(comparison: RunComparison) -> Markup:
    """Return the comparison as a ``<section>`` to put into a page."""
    template = page_environment().get_template("comparison.html.j2")
    return Markup(template.render(comparison=comparison, view=view_comparison(comparison)))


@cache
def page_environment() -> jinja2.Environment:
    """Return the templates, with the style sheet and the filters that pages use."""
    loader = jinja2.PackageLoader("edgedeploy.report", "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    css = jinja2.PackageLoader("edgedeploy.report", "assets").get_source(environment, "report.css")[0]
    environment.globals["css"] = Markup(css)
    environment.filters["percent"] = wording.percent
    return environment
