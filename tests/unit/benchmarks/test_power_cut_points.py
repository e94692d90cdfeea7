"""Where a power cut falls, and that it falls there once and not elsewhere."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Literal

import pytest

from edgedeploy.deploy.status import Unfinished
from edgedeploy.transport.local import LocalTransport
from power_cut import tally
from power_cuts.cutting import Cut, CuttingTransport, Operation, Recorder, spread
from power_cuts.harness import Outcome, explained

FLASH = [Operation(name=name, seconds=1.0) for name in ("survey", "put", "put", "store", "self-test", "activate")]


@pytest.mark.parametrize("points", [1, 7, 20, 200])
def test_points_are_spread_over_the_whole_flash(points: int) -> None:
    cuts = spread(points, FLASH)
    assert len(cuts) == len(set(cuts)) == points
    assert list(cuts) == sorted(cuts, key=lambda cut: (cut.operation, cut.share))
    assert (cuts[-1].operation, cuts[-1].share) == (len(FLASH) - 1, 1.0)
    assert all(0 < cut.share <= 1 and FLASH[cut.operation].name == cut.name for cut in cuts)
    if points >= 20:
        counts = [sum(cut.operation == index for cut in cuts) for index in range(len(FLASH))]
        assert min(counts) >= points // 12
        assert counts[3] > 2 * counts[0] and counts[5] > 2 * counts[0]


def test_file_is_cut_by_its_bytes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(1 << 20))
    there: list[int] = []
    target = tmp_path / "target"
    cut = Cut(operation=1, name="put", share=0.5)
    transport = CuttingTransport(
        LocalTransport(), cut, seconds=0, cut_power=lambda: there.append(target.stat().st_size)
    )
    transport.run("true")
    assert there == []
    transport.put(source, PurePosixPath(target))
    assert there[0] == 1 << 19
    calls = len(there)
    transport.put(source, PurePosixPath(target))
    assert len(there) == calls


def test_stream_is_cut_by_its_bytes(tmp_path: Path) -> None:
    taken: list[int] = []
    cut = Cut(operation=0, name="stream", share=0.25)
    transport = CuttingTransport(LocalTransport(), cut, seconds=0, cut_power=lambda: taken.append(1))
    chunks = [bytes(1 << 16)] * 4
    assert transport.stream("wc -c", iter(chunks)).stdout.strip() == str(1 << 18)
    # Half of its pieces of 8 KiB go out before, and the end is one more.
    assert len(taken) == 16 + 1
    transport.stream("wc -c", chunks)
    assert len(taken) == 17


def test_stream_is_cut_by_time_after_its_last_byte(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    cut = Cut(operation=0, name="stream", share=0.6)
    seen: list[bool] = []
    transport = CuttingTransport(LocalTransport(), cut, seconds=1, cut_power=lambda: seen.append(witness.exists()))
    transport.stream(f"cat > /dev/null; sleep 1; touch '{witness}'", [b"a"])
    assert seen == [False, True]


def test_command_is_cut_by_time_and_at_its_end_at_the_latest(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    cut = Cut(operation=0, name="store", share=0.1)
    seen: list[bool] = []
    slow = CuttingTransport(LocalTransport(), cut, seconds=1, cut_power=lambda: seen.append(witness.exists()))
    slow.run(f"sleep 1; touch '{witness}'")
    assert seen == [False, True]
    late = CuttingTransport(
        LocalTransport(),
        Cut(operation=0, name="store", share=1.0),
        seconds=0,
        cut_power=lambda: seen.append(witness.exists()),
    )
    witness.unlink()
    late.run(f"sleep 0.2; touch '{witness}'")
    assert seen == [False, True, True]
    quick = CuttingTransport(LocalTransport(), cut, seconds=600, cut_power=lambda: seen.append(True))
    quick.run("true")
    assert len(seen) == 4


def test_recorder_names_operations(tmp_path: Path) -> None:
    recorder = Recorder(LocalTransport())
    recorder.run(["sh", "-c", "# edgedeploy store\n:"])
    recorder.run(["true"])
    (tmp_path / "a").touch()
    recorder.put(tmp_path / "a", PurePosixPath(tmp_path / "b"))
    assert [item.name for item in recorder.record] == ["store", "self-test", "put"]
    recorder.stream("cat", [b"a"])
    assert recorder.record[-1].name == "stream"


def test_tally_counts_what_is_not_whole() -> None:
    cut = Cut(operation=0, name="survey", share=0.5)
    outcomes = [
        Outcome(cut=cut, active=active, unfinished=None, problems=problems)
        for active, problems in (("old", ()), ("new", ()), ("new", ("damaged",)), ("neither", ("gone",)))
    ]
    assert tally(tuple(outcomes)) == {"points": 4, "whole": 2, "old": 1, "new": 2}


@pytest.mark.parametrize(
    ("to", "remedy", "holder", "expected"),
    [
        ("new", "undo", None, True),
        ("new", "finish", None, True),
        ("old", "finish", None, True),
        ("old", "undo", None, False),
        ("other", "finish", None, False),
        ("new", "undo", "me@here", False),
        ("old", "finish", "me@here", False),
    ],
)
def test_a_journal_is_of_the_cut_flash_or_of_the_whole_one_before(
    to: str, remedy: Literal["undo", "finish"], holder: str | None, expected: bool
) -> None:
    unfinished = Unfinished(action="flash", to=to, since="2026-01-02T03:04:05Z", remedy=remedy, holder=holder)
    assert explained(unfinished, old="old", new="new") is expected
    assert explained(None, old="old", new="new")


def test_on_an_empty_board_a_journal_is_of_the_cut_flash() -> None:
    for to, expected in (("new", True), ("old", False), (None, False)):
        unfinished = Unfinished(action="flash", to=to, since="", remedy="finish", holder=None)
        assert explained(unfinished, old=None, new="new") is expected
