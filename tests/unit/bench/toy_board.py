"""A board on this machine: a release laid out as on a board, whose runner is a shell script with canned answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

RUNS = Path(__file__).parents[2] / "captures" / "runs"
SELFTEST = {
    "schema": 1,
    "passed": True,
    "outputs": [{"name": "out0", "cosine": 0.99999, "max_abs_error": 0.003, "sqnr_db": 50.1, "passed": True}],
    "duration_us": 812.5,
    "peak_rss_bytes": 9_000_000,
}
MANIFEST = {
    "schema": 1,
    "app": "toy",
    "versions": {"edgedeploy": "0.0.9", "engine": "old", "build_id": "b1"},
    "golden": {"limits": {"cosine": 0.999, "max_abs_error": 0.05}},
    "requirements": {"memory_bytes": 1234567},
}
RUNNER = """#!/bin/sh
here=$(dirname "$0")
printf '%s\\n' "$*" >> "$here/calls"
case "$1" in
selftest) cat "$here/selftest.json"; exit "$(cat "$here/selftest.status")" ;;
bench)
  echo 'progress: warmup 1/1' >&2
  echo 'progress: run 1/2' >&2
  echo 'progress: run 2/2' >&2
  cat "$here/bench.stderr" >&2
  previous=
  for word in "$@"; do
    if [ "$previous" = --output-dir ]; then cp "$here/out0.npy" "$word/out0.npy"; out=$word; fi
    previous=$word
  done
  sed "s,@OUT@,$out," "$here/bench.json"
  exit "$(cat "$here/bench.status")" ;;
esac
exit 2
"""


@dataclass(frozen=True, kw_only=True)
class ToyBoard:
    """``directory`` is the app's directory, ``digest`` its active release."""

    directory: Path
    digest: str

    @property
    def bin(self) -> Path:
        return self.directory / "releases" / self.digest / "bin"

    def answer(self, *, measurement: object = None, status: int = 0, stderr: str = "") -> None:
        """Change what the runner's benchmark answers; a str is put there as it is."""
        if measurement is not None:
            text = measurement if isinstance(measurement, str) else json.dumps(measurement)
            (self.bin / "bench.json").write_text(text)
        (self.bin / "bench.status").write_text(str(status))
        (self.bin / "bench.stderr").write_text(stderr)

    def answer_selftest(self, document: object, status: int) -> None:
        (self.bin / "selftest.json").write_text(document if isinstance(document, str) else json.dumps(document))
        (self.bin / "selftest.status").write_text(str(status))

    def calls(self) -> list[str]:
        path = self.bin / "calls"
        return path.read_text().splitlines() if path.exists() else []
