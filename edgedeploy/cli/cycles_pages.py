"""``report`` of a result of ``cycles``: a page beside the file."""

from __future__ import annotations

from pathlib import Path

from edgedeploy.cli.console import print_json, stdout
from edgedeploy.cyclesfile import read_cycles
from edgedeploy.errors import RunFileError
from edgedeploy.files import write_whole
from edgedeploy.reading import load_json
from edgedeploy.report.cycles import render_cycles_html
from edgedeploy.report.cycles_terminal import render_cycles_terminal

_ONLY_IN_CYCLES = "estimated_by"


def is_cycles(reference: str) -> bool:
    """Say whether what the user named is a file that ``cycles`` wrote."""
    path = Path(reference)
    try:
        document = load_json(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and _ONLY_IN_CYCLES in document


def report(path: Path, *, as_json: bool) -> None:
    """Write the page and show the summary.

    Raises:
        RunFileError: The result is damaged, or the page cannot be written.
    """
    record = read_cycles(path)
    page = path.absolute().with_suffix(".html")
    try:
        write_whole(page, render_cycles_html(record).encode())
    except OSError as error:
        raise RunFileError(f"{page} cannot be written: {error.strerror}", hint="free some space") from None
    if as_json:
        print_json({"cycles": str(path.absolute()), "report": str(page)})
        return
    render_cycles_terminal(record, stdout)
    stdout.print(f"report  {page}", markup=False, soft_wrap=True)
