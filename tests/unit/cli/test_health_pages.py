"""What ``status`` shows of health and history, in 80 columns."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from health_notes import DIGEST, EARLIER, answer, note
from rich.console import Console

from edgedeploy.cli import flash_commands, health_pages
from edgedeploy.deploy.status import Activation, BoardStatus, ReleaseInfo
from edgedeploy.healthfile import Budget, Health, parse_health

WHEN = "2026-01-02T03:04:05Z"
REASON = "latency 35.217 ms, the median of 20 runs on 6 threads, over the budget of 20 ms"


def health(**changes: object) -> Health:
    found = parse_health(json.dumps(note(**changes)))
    assert found is not None
    return found


def shown(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    found: Health | None,
    *,
    current: str | None = DIGEST,
    history: tuple[Activation, ...] = (),
) -> str:
    console = Console(highlight=False, width=80)
    monkeypatch.setattr(health_pages, "stdout", console)
    monkeypatch.setattr(flash_commands, "stdout", console)
    release = ReleaseInfo(
        digest=DIGEST,
        current=True,
        activated_at=WHEN,
        size_bytes=1_234_500_000,
        versions={"engine": "20260113"},
        health=found.state if found else None,
    )
    flash_commands._show_status(
        BoardStatus(
            app="demo",
            directory="/home/edge/.edgedeploy/demo",
            current=current,
            releases=(release,),
            store_bytes=1,
            history=history,
            unfinished=None,
            health=found,
        )
    )
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    return " ".join(text.split())


def test_a_proven_release(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(capsys, monkeypatch, health())
    assert f"* {DIGEST[:12]} {WHEN} 1234.5 MB 20260113 proven" in text
    assert f"health proven after its activation, {WHEN} by the board's clock" in text
    assert "golden cosine 0.99999, largest error 0.003" in text
    assert "latency 12.3 ms, median of 20 runs on 6 threads; budget 20 ms" in text
    assert "memory 85.1 MB at its peak; no budget" in text


def test_a_twins_latency_is_not_judged(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    terms = {"emulated": True, "latency_ms": 20.0, "memory_mb": 100.0}
    text = shown(capsys, monkeypatch, health(terms=terms, answer=answer(latency=None)))
    assert "latency not judged: emulated; budget 20 ms" in text
    assert "memory 85.1 MB at its peak; budget 100 MB" in text
    assert "12.3" not in text


def test_what_is_not_proven(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(capsys, monkeypatch, health(state="pending", answer=None))
    assert "not proven: cut off after its activation" in text and "flashing it again proves it" in text
    assert "health not known" in shown(capsys, monkeypatch, None)
    assert "the next flash" not in shown(capsys, monkeypatch, None, current=None)
    failed = replace(health(state="failed", reason=REASON), budget=Budget(latency_ms=20))
    assert f"reason {REASON}" in shown(capsys, monkeypatch, failed)


def test_history_with_the_reason(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    flash = Activation(time=WHEN, action="flash", to=DIGEST, left=EARLIER)
    back = Activation(time=WHEN, action="automatic-rollback", to=EARLIER, left=DIGEST, reason=REASON)
    text = shown(capsys, monkeypatch, health(), history=(flash, back, replace(back, to=None)))
    assert f"{WHEN} flash to abababababab {WHEN} rolled back automatically from abababababab to cdcdcdcdcdcd: " in text
    assert text.count(REASON) == 2 and "from abababababab to none: " in text
