"""Flashing with real files and a real shell; faults of the connection are injected."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from deploy_workbench import APP, Workbench, runner_script

from edgedeploy.artifacts import BinaryRequirements
from edgedeploy.deploy.lock import new_owner
from edgedeploy.deploy.release import status
from edgedeploy.errors import (
    BoardBusyError,
    BundleError,
    ChecksumMismatchError,
    ConnectionLostError,
    DeadlineError,
    DeployError,
    DiskFullError,
    NotEnoughMemoryError,
    SelfTestError,
    UsageError,
    WrongArchitectureError,
)
from edgedeploy.transport.fake import Fault, FaultKind, FaultyTransport
from edgedeploy.transport.local import LocalTransport

STEPS = ["inspect", "preflight", "push", "verify", "self-test", "activate", "health", "clean"]


def test_first_flash(bench: Workbench) -> None:
    bundle = bench.bundle()
    transport = bench.transport()
    result = bench.flash(bundle, transport)
    assert result.verified and not result.unchanged
    assert (result.release, result.previous_release) == (bundle.digest, None)
    assert [step.name for step in result.steps] == STEPS
    pushed = next(step for step in result.steps if step.name == "push")
    assert pushed.bytes == bundle.size_bytes
    assert pushed.round_trips == len(bundle.files) + 1
    assert sum(step.round_trips for step in result.steps) == transport.traffic.round_trips
    assert result.golden[0].cosine == 0.9999
    assert bench.current == bundle.digest
    bench.check_whole()
    for file in bundle.files:
        there = bench.root / "releases" / bundle.digest / file.path
        assert there.read_bytes() == file.source.read_bytes()
        assert there.stat().st_mode & 0o777 == file.mode
    line = json.loads((bench.root / "history.jsonl").read_text(encoding="utf-8"))
    assert (line["action"], line["from"], line["to"]) == ("flash", None, bundle.digest)


def test_unchanged_flash_takes_two_round_trips_and_still_proves(bench: Workbench) -> None:
    witness = bench.home / "selftests"
    bundle = bench.bundle(runner=runner_script(before=f'echo run >> "{witness}"'))
    bench.flash(bundle)
    transport = bench.transport()
    result = bench.flash(bundle, transport)
    assert result.unchanged and result.verified
    assert transport.traffic.round_trips == 2
    assert [step.name for step in result.steps] == STEPS
    assert sum(step.bytes for step in result.steps if step.name == "push") == 0
    assert witness.read_text(encoding="utf-8") == "run\nrun\n"
    assert len((bench.root / "history.jsonl").read_text(encoding="utf-8").splitlines()) == 1
    bench.check_whole()


def test_unchanged_release_whose_self_test_says_nonsense_cleans_nothing(bench: Workbench) -> None:
    ailing = bench.home / "ailing"
    talking = runner_script(before=f'[ ! -e "{ailing}" ] || {{ echo nonsense; exit 0; }}')
    releases = [bench.bundle(f"weights {number}", runner=talking) for number in (1, 2, 3)]
    for release in releases:
        bench.flash(release)
    ailing.touch()
    with pytest.raises(SelfTestError, match="answer cannot be read: 'nonsense"):
        bench.flash(releases[-1], keep=1)
    assert {path.name for path in (bench.root / "releases").iterdir()} == {release.digest for release in releases}
    ailing.unlink()
    assert bench.flash(releases[-1], keep=1).unchanged
    assert releases[0].digest not in {path.name for path in (bench.root / "releases").iterdir()}
    bench.check_whole()


def test_unchanged_release_that_fails_its_self_test_stays_and_is_told(bench: Workbench) -> None:
    ailing = bench.home / "ailing"
    bundle = bench.bundle(
        runner=runner_script(before=f'[ ! -e "{ailing}" ] || {{ echo "error: ailing" >&2; exit 8; }}')
    )
    bench.flash(bundle)
    ailing.touch()
    with pytest.raises(SelfTestError, match=r"step self-test: .*the inference failed.*ailing.*stays active"):
        bench.flash(bundle)
    assert bench.current == bundle.digest
    assert not (bench.root / "lock").exists()
    ailing.unlink()
    assert bench.flash(bundle).unchanged
    bench.check_whole()


def test_second_release_pushes_only_what_changed(bench: Workbench) -> None:
    first, second = bench.bundle("weights 1"), bench.bundle("weights 2")
    bench.flash(first)
    result = bench.flash(second)
    pushed = next(step for step in result.steps if step.name == "push")
    assert pushed.round_trips == 2
    assert pushed.bytes == len("weights 2") * 1000 + second.manifest.stat().st_size
    assert result.previous_release == first.digest
    bench.check_whole()


def test_equal_content_under_two_names_travels_once(bench: Workbench) -> None:
    bundle = bench.bundle(extra={"doc/a b'c.txt": b"same" * 100, "doc/$(touch owned)": b"same" * 100})
    result = bench.flash(bundle)
    assert next(step for step in result.steps if step.name == "push").round_trips == len(bundle.files)
    bench.check_whole()
    assert (bench.root / "releases" / bundle.digest / "doc/$(touch owned)").read_bytes() == b"same" * 100


def test_keeps_the_last_three(bench: Workbench) -> None:
    bundles = [bench.bundle(f"weights {number}") for number in range(5)]
    for bundle in bundles:
        bench.flash(bundle)
    assert {path.name for path in (bench.root / "releases").iterdir()} == {bundle.digest for bundle in bundles[2:]}
    bench.check_whole()


def test_never_drops_the_previous_release(bench: Workbench) -> None:
    bundles = [bench.bundle(f"weights {number}") for number in range(3)]
    for bundle in bundles:
        bench.flash(bundle, keep=1)
    assert {path.name for path in (bench.root / "releases").iterdir()} == {bundle.digest for bundle in bundles[1:]}
    assert bench.rollback().release == bundles[1].digest


@pytest.mark.parametrize(
    ("runner", "told"),
    [
        (runner_script(passed=False, cosine=0.5), "cosine 0.500000"),
        (runner_script(passed=False, status=0), "beyond the limits"),
        (runner_script(passed=True, status=3), "beyond the limits"),
        (runner_script(before="echo 'error: bad model' >&2; exit 6"), "the engine refused the model: error: bad model"),
        (runner_script(before="kill -ILL $$"), "illegal instruction"),
        (runner_script(before="kill -SEGV $$"), "segmentation fault"),
        (runner_script(before="kill -KILL $$"), "killed, probably for lack of memory"),
        (runner_script(before="echo 'error: out of memory' >&2; exit 7"), "out of memory"),
        (runner_script(before="echo nonsense; exit 0"), "cannot be read"),
        ("#!/no/such/interpreter\n", "cannot be started"),
    ],
)
def test_failing_selftest_leaves_the_old_release(bench: Workbench, runner: str, told: str) -> None:
    good = bench.bundle()
    bench.flash(good)
    with pytest.raises(SelfTestError) as caught:
        bench.flash(bench.bundle("weights 2", runner=runner))
    assert told in caught.value.message
    assert "step self-test" in caught.value.message
    assert f"release {good.digest[:12]} stays active" in caught.value.message
    assert bench.current == good.digest
    assert [path.name for path in (bench.root / "releases").iterdir()] == [good.digest]
    bench.check_whole()


def test_selftest_that_hangs(bench: Workbench) -> None:
    with pytest.raises(DeadlineError, match="step self-test"):
        bench.flash(bench.bundle(runner=runner_script(before="sleep 100")), selftest_deadline_s=1)
    assert bench.current is None
    bench.check_whole()


def test_current_release_that_fails_its_selftest_is_not_removed(bench: Workbench) -> None:
    switch = bench.home / "fail"
    bundle = bench.bundle(runner=runner_script(before=f'[ ! -e "{switch}" ] || exit 8'))
    bench.flash(bundle)
    switch.touch()
    with pytest.raises(SelfTestError):
        bench.flash(bundle)
    assert bench.current == bundle.digest
    bench.check_whole()


@pytest.mark.parametrize("which", range(5))
def test_damaged_upload_is_found_and_removed(bench: Workbench, which: int) -> None:
    good = bench.bundle()
    bench.flash(good)
    changed = bench.bundle(
        "weights 2", runner=runner_script(cosine=0.99991), extra={"a": b"first" * 9, "b": b"second" * 9}
    )
    faulty = FaultyTransport(bench.transport(), Fault(kind=FaultKind.FLIP_BIT, operation=which))
    with pytest.raises(ChecksumMismatchError, match="step verify") as caught:
        bench.flash(changed, faulty)
    destination = faulty.puts[which].name.rsplit("-", 1)[1]
    assert destination in caught.value.message
    assert bench.current == good.digest
    assert [path.name for path in (bench.root / "releases").iterdir()] == [good.digest]
    bench.check_whole()
    assert bench.flash(changed).verified


@pytest.mark.parametrize("which", range(3))
def test_full_disk_during_the_push(bench: Workbench, which: int) -> None:
    good = bench.bundle()
    bench.flash(good)
    changed = bench.bundle("weights 2", extra={"a": b"first" * 9})
    with pytest.raises(DiskFullError, match="step push"):
        bench.flash(changed, FaultyTransport(bench.transport(), Fault(kind=FaultKind.TO_FULL_DISK, operation=which)))
    assert bench.current == good.digest
    bench.check_whole()


@pytest.mark.parametrize("kind", [FaultKind.LOST_BEFORE, FaultKind.LOST_AFTER])
def test_connection_lost_at_any_point(bench: Workbench, kind: FaultKind) -> None:
    old = bench.bundle()
    bench.flash(old)
    counting = FaultyTransport(bench.transport())
    bench.flash(bench.bundle("trial"), counting)
    bench.flash(old)
    assert counting.operations >= 6
    for operation in range(counting.operations):
        new = bench.bundle(f"weights {kind.value} {operation}")
        before = bench.current
        with pytest.raises(ConnectionLostError, match="step ") as caught:
            bench.flash(new, FaultyTransport(bench.transport(), Fault(kind=kind, operation=operation)))
        reached_the_end = kind is FaultKind.LOST_AFTER and operation == counting.operations - 1
        assert bench.current == (new.digest if reached_the_end else before), caught.value.message
        # A new process would see that the lock's owner is dead; this one lives.
        assert bench.flash(new, break_lock=True).verified
        assert bench.current == new.digest
        bench.check_whole()


def test_lock_of_a_dead_process_is_replaced(bench: Workbench) -> None:
    """The flashing process dies with its connection; the next flash needs no help."""
    script = (
        "import sys\nfrom edgedeploy.deploy.lock import new_owner\nfrom edgedeploy.deploy.survey import take_survey\n"
        "from edgedeploy.transport.local import LocalTransport\n"
        "transport = LocalTransport(environment=dict(HOME=sys.argv[1], PATH=sys.argv[2]))\n"
        f"take_survey(transport, {APP!r}, directory='~/.edgedeploy', owner=new_owner(), break_lock=False)\n"
    )
    words = [sys.executable, "-c", script, bench.environment["HOME"], bench.environment["PATH"]]
    source = Path(__file__).parents[3]
    subprocess.run(words, check=True, env={**os.environ, "PYTHONPATH": str(source)})
    assert (bench.root / "lock").is_dir()
    leftover = bench.root / "store" / ".incoming-dead-file"
    leftover.touch()
    assert bench.flash(bench.bundle()).verified
    bench.check_whole()


def test_living_owner_keeps_the_lock(bench: Workbench) -> None:
    bench.flash(bench.bundle())
    lock = bench.root / "lock"
    lock.mkdir()
    owner = replace(new_owner(), who="ana@desk", pid=os.getppid(), since="2026-01-02T03:04:05Z")
    (lock / "owner").write_text(owner.to_json(), encoding="utf-8")
    (lock / "token").write_text(owner.token, encoding="utf-8")
    with pytest.raises(BoardBusyError) as caught:
        bench.flash(bench.bundle("weights 2"))
    assert "ana@desk" in caught.value.message and "2026-01-02T03:04:05Z" in caught.value.message
    assert "--break-lock" in caught.value.hint
    assert (lock / "owner").is_file()
    assert bench.flash(bench.bundle("weights 2"), break_lock=True).verified
    bench.check_whole()


def test_owner_on_another_machine_or_without_a_note_counts_as_living(bench: Workbench) -> None:
    bench.flash(bench.bundle())
    lock = bench.root / "lock"
    lock.mkdir()
    with pytest.raises(BoardBusyError, match="no readable note"):
        bench.flash(bench.bundle())
    owner = replace(new_owner(), machine="elsewhere", pid=2**22 + 1)
    (lock / "owner").write_text(owner.to_json(), encoding="utf-8")
    with pytest.raises(BoardBusyError):
        bench.flash(bench.bundle())


def test_lock_taken_over_stops_the_first_flash(bench: Workbench) -> None:
    """A flash whose lock was broken must not change anything any more."""
    old = bench.bundle()
    bench.flash(old)

    class Thief(FaultyTransport):
        def put(self, source, destination, **options):  # type: ignore[no-untyped-def]
            (bench.root / "lock" / "token").write_text("another", encoding="utf-8")
            super().put(source, destination, **options)

    with pytest.raises(BoardBusyError, match="taken over"):
        bench.flash(bench.bundle("weights 2"), Thief(bench.transport()))
    assert (bench.root / "lock" / "token").read_text(encoding="utf-8") == "another"
    assert bench.current == old.digest


def test_damaged_store_file_is_sent_again(bench: Workbench) -> None:
    bundle = bench.bundle()
    bench.flash(bundle)
    weights = bench.root / "releases" / bundle.digest / "model/model.bin"
    weights.write_bytes(b"")  # the store's file too: they are the same
    result = bench.flash(bundle)
    assert result.verified and result.unchanged
    assert weights.read_bytes() == bundle.files[2].source.read_bytes()
    bench.check_whole()


def test_replaced_release_file_is_mended(bench: Workbench) -> None:
    bundle = bench.bundle()
    bench.flash(bundle)
    runner = bench.root / "releases" / bundle.digest / "bin/edgedeploy-runner"
    runner.unlink()
    runner.write_text("#!/bin/sh\nexit 8\n", encoding="utf-8")
    result = bench.flash(bundle)
    assert result.verified
    assert next(step for step in result.steps if step.name == "push").bytes == 0
    bench.check_whole()


def test_preflight_stops_before_anything_is_sent(bench: Workbench) -> None:
    cases: list[tuple[type[DeployError], object]] = [
        (NotEnoughMemoryError, bench.bundle("weights 2", memory_bytes=1 << 60)),
        (
            WrongArchitectureError,
            replace(
                bench.bundle("weights 2"),
                requirements=BinaryRequirements(architecture="armv7l", isa=(), glibc=None),
            ),
        ),
    ]
    bench.flash(bench.bundle())
    for kind, bundle in cases:
        transport = bench.transport()
        with pytest.raises(kind, match="step preflight" if kind is NotEnoughMemoryError else "armv7l"):
            bench.flash(bundle, transport)  # type: ignore[arg-type]
        assert transport.traffic.sent_bytes < 2000
        bench.check_whole()


def test_disk_without_room_is_told_beforehand(bench: Workbench) -> None:
    bundle = bench.bundle()
    large = replace(bundle, files=(replace(bundle.files[0], size_bytes=1 << 42), *bundle.files[1:]))
    with pytest.raises(DiskFullError, match=r"step preflight.* MB free, but the release needs 4398046\.\d+ MB"):
        bench.flash(large)
    bench.check_whole()


@pytest.mark.parametrize("app", ["", "../x", "a/b", "A", ".hidden", "a b", "x" * 65, "a\n"])
def test_app_names_that_are_none(bench: Workbench, app: str) -> None:
    with pytest.raises(UsageError, match="cannot be an app's name"):
        bench.flash(bench.bundle(app=app))
    assert list(bench.home.iterdir()) == []


@pytest.mark.parametrize("path", ["../../escape", "/etc/passwd", "a\nb", "a/../../b", " a"])
def test_paths_that_leave_the_release(bench: Workbench, path: str) -> None:
    bundle = bench.bundle()
    bad = replace(bundle, files=(*bundle.files, replace(bundle.files[0], path=PurePosixPath(path))))
    with pytest.raises(BundleError):
        bench.flash(bad)
    assert list(bench.home.iterdir()) == []


def test_files_that_others_may_write_are_refused(bench: Workbench) -> None:
    bundle = bench.bundle()
    bad = replace(bundle, files=(replace(bundle.files[0], mode=0o777), *bundle.files[1:]))
    with pytest.raises(BundleError, match="mode 777"):
        bench.flash(bad)


def test_nothing_is_written_outside_the_apps_directory(bench: Workbench) -> None:
    bench.flash(bench.bundle())
    bench.flash(bench.bundle("weights 2"))
    bench.rollback()
    assert [path.name for path in bench.home.iterdir()] == [".edgedeploy"]
    assert [path.name for path in (bench.home / ".edgedeploy").iterdir()] == [APP]


def test_two_apps_do_not_touch_each_other(bench: Workbench) -> None:
    bench.flash(bench.bundle())
    bench.flash(bench.bundle("other weights", app="other"))
    bench.check_whole()
    assert status(bench.transport(), "other").current != bench.current


def test_board_without_a_needed_tool_says_so(bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for tool in ("mkdir", "rm"):
        (tmp_path / "bin" / tool).symlink_to(f"/bin/{tool}")
    (tmp_path / "bin" / "sh").symlink_to("/bin/sh")
    poor = LocalTransport(shell=("/bin/sh",), environment={**bench.environment, "PATH": str(tmp_path / "bin")})
    with pytest.raises(Exception, match="step inspect") as caught:
        bench.flash(bench.bundle(), poor)
    assert "not found" in str(caught.value)
    assert not (bench.root / "lock").exists()
