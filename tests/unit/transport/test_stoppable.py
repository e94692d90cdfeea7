"""A flash that is asked to stop ends at its next operation, and what cleans up behind it goes through."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from deploy_workbench import Workbench, make_workbench, runner_script

from edgedeploy.errors import SelfTestError, StoppedError
from edgedeploy.transport.local import CHUNK_BYTES
from edgedeploy.transport.protocol import CommandResult, Transport, command_line
from edgedeploy.transport.stoppable import StoppableTransport


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return make_workbench("system", tmp_path)


class CountedLooks:
    """Says stop from the ``limit``-th look on."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.looks = 0

    def __call__(self) -> bool:
        self.looks += 1
        return self.looks >= self.limit


def test_one_error_and_then_everything_goes_through(bench: Workbench, tmp_path: Path) -> None:
    transport = StoppableTransport(bench.transport(), lambda: True)
    with pytest.raises(StoppedError):
        transport.run("echo no")
    assert transport.run("echo yes").stdout == "yes\n"
    assert transport.traffic.round_trips == 1


def test_cleaning_up_after_another_failure_goes_through(bench: Workbench) -> None:
    first = bench.bundle("weights 1")
    bench.flash(first)
    stop: list[bool] = []
    transport = StoppableTransport(bench.transport(), lambda: bool(stop))
    failing = bench.bundle("weights 2", runner=runner_script(passed=False))

    class StopAtTheSelfTest(StoppableTransport):
        def run(self, command: Sequence[str] | str, **how: Any) -> CommandResult:
            result = super().run(command, **how)
            if "selftest" in command_line(command):
                stop.append(True)
            return result

    with pytest.raises(SelfTestError):
        bench.flash(failing, StopAtTheSelfTest(transport, lambda: False))
    assert stop, "it was stopped while the self-test ran, which failed"
    bench.check_whole()
    assert bench.current == first.digest


def test_a_file_under_way_is_left_unfinished(bench: Workbench, tmp_path: Path) -> None:
    source, seen = tmp_path / "source", []
    source.write_bytes(bytes(4 * CHUNK_BYTES))
    transport = StoppableTransport(bench.transport(), CountedLooks(3))
    with pytest.raises(StoppedError):
        transport.put(source, PurePosixPath(tmp_path / "there"), on_bytes=lambda done, total: seen.append(done))
    assert seen == [CHUNK_BYTES]
    assert (tmp_path / "there").stat().st_size == 2 * CHUNK_BYTES


def test_a_stream_under_way_ends_early(bench: Workbench) -> None:
    taken = []

    def chunks() -> Iterator[bytes]:
        for number in range(9):
            taken.append(number)
            yield bytes([number])

    transport = StoppableTransport(bench.transport(), CountedLooks(4))
    with pytest.raises(StoppedError):
        transport.stream("cat > /dev/null", chunks())
    assert taken == [0, 1, 2]
    assert transport.run("echo yes").stdout == "yes\n"


def test_a_flash_stopped_at_any_point_leaves_the_board_whole(bench: Workbench) -> None:
    first, second = bench.bundle("weights 1"), bench.bundle("weights 2")
    bench.flash(first)
    looks = CountedLooks(1_000_000)
    bench.flash(second, _stoppable(bench, looks))
    assert bench.current == second.digest
    bench.rollback(first.digest)
    stopped = 0
    for limit in range(1, looks.looks + 1):
        with pytest.raises(StoppedError):
            bench.flash(bench.bundle("weights 3"), _stoppable(bench, CountedLooks(limit)))
        stopped += 1
        bench.check_whole()
        assert bench.current == first.digest
    assert stopped >= 6
    assert not bench.flash(bench.bundle("weights 3")).unchanged


def _stoppable(bench: Workbench, looks: Callable[[], bool]) -> Transport:
    return StoppableTransport(bench.transport(), looks)
