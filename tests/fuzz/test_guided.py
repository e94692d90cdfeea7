"""The guided fuzzer's own doings: what it needs, what it leaves, what its exit status says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import guided
import pytest


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Arguments for the reader ``owner`` and a work directory; atheris counts as installed. Returns the directory."""
    monkeypatch.setattr(sys, "argv", ["guided.py", "owner", "--seconds", "1", "--work", str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    return tmp_path


def test_without_atheris_it_says_what_it_needs(
    call: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert guided.main() == 2
    assert "pip install" in capsys.readouterr().err
    assert not list(call.iterdir())


def test_an_unknown_reader_is_named(
    call: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["guided.py", "novel", "--work", str(call)])
    assert guided.main() == 2
    said = capsys.readouterr().err
    assert "no reader novel" in said and "manifest" in said


@pytest.mark.parametrize(("finding", "status", "expected"), [(False, 0, 0), (True, 77, 1), (False, 1, 1)])
def test_the_status_tells_of_findings(
    finding: bool, status: int, expected: int, call: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fuzz(name: str, seconds: int, findings: Path, corpus: Path) -> int:
        assert (name, seconds) == ("owner", 1)
        assert (corpus / "seed-0").read_bytes().startswith(b"{")
        if finding:
            (findings / "crash-1").write_bytes(b"x")
        return status

    monkeypatch.setattr(guided, "_fuzz_one", fuzz)
    assert guided.main() == expected


def test_an_old_finding_is_not_told_again(call: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (call / "findings" / "owner").mkdir(parents=True)
    (call / "findings" / "owner" / "crash-1").write_bytes(b"x")
    monkeypatch.setattr(guided, "_fuzz_one", lambda *_: 0)
    assert guided.main() == 0


def test_what_libfuzzer_did_is_told(tmp_path: Path) -> None:
    log = tmp_path / "owner.log"
    assert guided.figures(log) == "0 inputs, 0 branches reached, 0 kept"
    log.write_text("#8 NEW cov: 36 ft: 36 corp: 8/11b\n#9 DONE cov: 37 ft: 37 corp: 9/14b lim: 5\n", encoding="ascii")
    assert guided.figures(log) == "0 inputs, 37 branches reached, 9 kept"
    with log.open("a", encoding="ascii") as stream:
        stream.write("stat::number_of_executed_units: 61\n")
    assert guided.figures(log) == "61 inputs, 37 branches reached, 9 kept"
