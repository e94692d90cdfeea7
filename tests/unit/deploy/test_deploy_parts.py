"""The pure parts: history, preflight, reports of the scripts, answers of the self-test."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from deploy_workbench import board_facts

from edgedeploy.artifacts import BinaryRequirements, BundleFile, CpuCore
from edgedeploy.deploy.flash import make_plan, resume_offset
from edgedeploy.deploy.gate import Gate, limit_s, way_back
from edgedeploy.deploy.history import (
    kept_releases,
    last_activations,
    parse_history,
    previous_release,
    releases_to_drop,
    succession,
)
from edgedeploy.deploy.lock import describe_holder, is_dead, new_owner, parse_owner
from edgedeploy.deploy.preflight import bytes_on_disk, check_binaries, check_disk, check_memory
from edgedeploy.deploy.release import parse_status
from edgedeploy.deploy.remote import report_lines, script_error
from edgedeploy.deploy.status import Activation, Unfinished
from edgedeploy.deploy.survey import Busy, Partial, Recovered, Survey, parse_survey
from edgedeploy.errors import (
    DiskFullError,
    GlibcTooOldError,
    MissingIsaFeatureError,
    NotEnoughMemoryError,
    RemoteCommandError,
    WrongArchitectureError,
)
from edgedeploy.healthfile import Budget, Health
from edgedeploy.transport.exchange import READ_ONLY_HINT, write_error
from edgedeploy.transport.local import LocalTransport
from edgedeploy.transport.protocol import CommandResult

A, B, C, D, E = (letter * 64 for letter in "abcde")
ALL = {A, B, C, D, E}


def activations(*steps: str) -> tuple[Activation, ...]:
    """``"a"`` flashes A, ``"<a"`` rolls back to it."""
    return tuple(
        Activation(time=f"t{index}", action="rollback" if step[0] == "<" else "flash", to=step[-1] * 64)
        for index, step in enumerate(steps)
    )


@pytest.mark.parametrize(
    ("steps", "current", "expected"),
    [
        (("a", "b", "c"), C, (A, B, C)),
        (("a", "b", "c", "<b"), B, (A, B)),
        (("a", "b", "c", "<b", "d"), D, (A, B, D)),
        (("a", "b", "a"), A, (B, A)),
        (("a", "b", "c", "<a", "<c"), C, (A, C)),
        ((), A, (A,)),
        (("a", "b"), None, (A, B)),
        (("a", "b"), C, (A, B, C)),  # the line of C's activation was lost
        (("a", "b", "c"), B, (A, B)),  # the line of the rollback was lost
    ],
)
def test_succession(steps: tuple[str, ...], current: str | None, expected: tuple[str, ...]) -> None:
    assert succession(activations(*steps), current=current, present=ALL) == expected


def test_previous_release_skips_those_that_are_gone() -> None:
    steps = activations("a", "b", "c")
    assert previous_release(steps, current=C, present={A, C}) == A
    assert previous_release(steps, current=C, present={C}) is None


def test_releases_to_drop() -> None:
    steps = activations("a", "b", "c")
    assert releases_to_drop(steps, becoming=D, current=C, present={A, B, C}, keep=3) == (A,)
    assert releases_to_drop(steps, becoming=D, current=C, present={A, B, C, D}, keep=3) == (A,)
    assert releases_to_drop(steps, becoming=D, current=C, present={A, B, C}, keep=1) == (B, A)
    assert releases_to_drop(steps, becoming=C, current=C, present={A, B, C}, keep=3) == ()
    # E was never active: it goes before anything that was.
    assert releases_to_drop(steps, becoming=D, current=C, present={A, B, C, E}, keep=4) == (E,)
    rolled = activations("a", "b", "c", "<b")
    assert releases_to_drop(rolled, becoming=D, current=B, present={A, B, C}, keep=3) == (C,)


def test_history_survives_damaged_lines() -> None:
    good = f'{{"time":"t","action":"flash","from":null,"to":"{A}","host":"h"}}'
    assert parse_history([good[:20], good, "[]", '{"to":"../x"}', ""]) == (Activation(time="t", action="flash", to=A),)
    assert last_activations(activations("a", "b", "<a")) == {A: "t2", B: "t1"}


def bundle_file(path: str, digest: str, size_bytes: int) -> BundleFile:
    return BundleFile(path=PurePosixPath(path), source=Path("/none"), sha256=digest, size_bytes=size_bytes)


def test_plan_sends_each_missing_content_once() -> None:
    files = (bundle_file("x", A, 10), bundle_file("y", A, 10), bundle_file("z", B, 5), bundle_file("w", C, 7))
    plan = make_plan(files, frozenset({B}))
    assert [str(file.path) for file in plan.missing] == ["x", "w"]
    assert plan.missing_bytes == 17


def test_disk_numbers() -> None:
    assert bytes_on_disk([bundle_file("x", A, 5000), bundle_file("y", A, 5000)]) == 8192 + 262144
    assert bytes_on_disk([]) == 0
    check_disk([bundle_file("x", A, 5000)], 270336)
    with pytest.raises(DiskFullError, match=r"has 0\.3 MB free, but the release needs 0\.3 MB"):
        check_disk([bundle_file("x", A, 5000)], 270335)
    check_disk([], 0)


def test_memory_numbers() -> None:
    check_memory(100_000_000, 100_000_000)
    with pytest.raises(NotEnoughMemoryError, match=r"has 100\.0 MB of memory available, but the model needs 150\.0 MB"):
        check_memory(150_000_000, 100_000_000)


def needs(**changes: object) -> BinaryRequirements:
    return replace(BinaryRequirements(architecture="aarch64", isa=("asimd", "fp"), glibc=None), **changes)  # type: ignore[arg-type]


def test_architecture() -> None:
    check_binaries(needs(), board_facts())
    check_binaries(needs(), board_facts(architecture="arm64"))
    with pytest.raises(WrongArchitectureError, match="for aarch64, the board is armv7l"):
        check_binaries(needs(), board_facts(architecture="armv7l"))


def test_isa_features_count_only_when_every_core_has_them() -> None:
    big = CpuCore(index=1, implementer="0x41", part="0xd0b", features=("fp", "asimd", "asimddp"))
    little = replace(big, index=0, features=("fp", "asimd"))
    facts = board_facts(cores=(little, big))
    with pytest.raises(MissingIsaFeatureError, match=r"asimddp \(cores 0\); i8mm \(cores 0, 1\)"):
        check_binaries(needs(isa=("asimd", "i8mm", "asimddp")), facts)


@pytest.mark.parametrize(
    ("needed", "libc", "passes"),
    [
        ("2.36", "glibc 2.36", True),
        ("2.4", "glibc 2.31", True),  # versions are numbers, not text
        ("2.36", "glibc 2.31", False),
        ("2.36", "musl 1.2.4", False),
        ("2.36", None, False),
        (None, None, True),
        (None, "musl 1.2.4", True),
    ],
)
def test_glibc(needed: str | None, libc: str | None, passes: bool) -> None:
    wanted = needs(glibc=needed, glibc_symbol="__isoc23_strtol" if needed else None)
    if passes:
        check_binaries(wanted, board_facts(libc=libc))
        return
    with pytest.raises(GlibcTooOldError) as caught:
        check_binaries(wanted, board_facts(libc=libc))
    assert "glibc 2.36 (for __isoc23_strtol)" in caught.value.message
    assert (libc or "does not name") in caught.value.message


REPORT = f"""Welcome to the board
root /home/edge/.edgedeploy/demo
trust -
current releases/{A}
disk-free-kib 1024
memory MemFree: 100
memory Cached: 50
have {B}
intact no
release {A}
release .new-123
history {{"time":"t","action":"flash","from":null,"to":"{A}","host":"h"}}
end
"""


def result(stdout: str) -> CommandResult:
    return CommandResult(command="survey", exit_status=0, stdout=stdout, stderr="", seconds=0.1)


def test_survey_report_of_an_old_kernel() -> None:
    found = parse_survey(result(REPORT))
    assert isinstance(found, Survey)
    assert (found.root, found.current, found.releases) == (PurePosixPath("/home/edge/.edgedeploy/demo"), A, (A,))
    assert (found.free_disk_bytes, found.free_memory_bytes) == (1 << 20, 150 * 1024)
    assert (found.have, found.intact) == (frozenset({B}), False)
    newer = parse_survey(result(REPORT.replace("memory Cached: 50", "memory MemAvailable: 70")))
    assert isinstance(newer, Survey) and newer.free_memory_bytes == 70 * 1024


@pytest.mark.parametrize("cut", ["end\n", "root /home/edge/.edgedeploy/demo\n", "intact no\n", "trust -\n"])
def test_survey_report_cut_short(cut: str) -> None:
    with pytest.raises(RemoteCommandError, match="unreadable report"):
        parse_survey(result(REPORT.replace(cut, "")))


@pytest.mark.parametrize("count", ["--2", "-", "1e3", "", "²", "9" * 19])
@pytest.mark.parametrize("line", ["disk-free-kib 1024", "memory MemFree: 100", f"partial {A} 4096"])
def test_survey_report_with_a_number_that_is_none(line: str, count: str) -> None:
    whole = REPORT.replace("end\n", f"partial {A} 4096 {B}\nend\n")
    damaged = whole.replace(line, f"{line.rpartition(' ')[0]} {count}")
    assert isinstance(parse_survey(result(whole)), Survey) and damaged != whole
    with pytest.raises(RemoteCommandError, match="unreadable report"):
        parse_survey(result(damaged))


def test_less_than_nothing_is_free() -> None:
    found = parse_survey(result(REPORT.replace("disk-free-kib 1024", "disk-free-kib -12")))
    assert isinstance(found, Survey) and found.free_disk_bytes == 0
    with pytest.raises(RemoteCommandError, match="unreadable report"):
        parse_survey(result(REPORT.replace("MemFree: 100", "MemFree: -12")))


def test_status_report_that_is_damaged() -> None:
    report = f"root /home/edge/.edgedeploy/demo\nstore-bytes {{}}\nrelease {A}\nmanifest {A}\nend\n"
    found = parse_status(LocalTransport(), "demo", result(report.format("12")))
    assert (found.store_bytes, found.releases[0].size_bytes) == (12, 0)
    for size in ("-1", "", "²", "9" * 5000):
        with pytest.raises(RemoteCommandError, match="script 'status'"):
            parse_status(LocalTransport(), "demo", result(report.format(size)))


def test_busy_report() -> None:
    owner = new_owner()
    assert parse_survey(result(f"busy 90 {owner.to_json()}\n")) == Busy(owner=owner, age_s=90)
    for age in ("-", "", "²", "9" * 5000):
        assert parse_survey(result(f"busy {age} \n")) == Busy(owner=None, age_s=None)
    assert parse_owner('{"token": 1}') is None


def test_who_counts_as_dead() -> None:
    owner = new_owner()
    assert not is_dead(owner)
    assert not is_dead(replace(owner, pid=1))
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert is_dead(replace(owner, pid=child))
    assert not is_dead(replace(owner, pid=child, machine="another"))


def test_only_a_newline_ends_a_line_of_a_report() -> None:
    found = report_lines(result("manifest aa {\u2028release bb}\x85\nend\n"))
    assert found == [("manifest", "aa {\u2028release bb}\x85"), ("end", "")]


def test_read_only_file_system_has_a_hint_of_its_own() -> None:
    board = LocalTransport()
    stderr = "mkdir: cannot create directory '.lock-1': Read-only file system\n"
    failed = CommandResult(command="survey", exit_status=1, stdout="", stderr=stderr, seconds=0.1)
    assert script_error(board, "survey", failed).hint == READ_ONLY_HINT
    assert write_error("/x", "the board", stderr).hint == READ_ONLY_HINT
    assert write_error("/x", "the board", "Permission denied").hint != READ_ONLY_HINT


def test_survey_reports_what_was_cut_off() -> None:
    lines = f"recovered undone flash {C}\npartial {D} 4096 {E}\nend\n"
    found = parse_survey(result(REPORT.replace("end\n", lines)))
    assert isinstance(found, Survey)
    assert found.recovered == Recovered(outcome="undone", action="flash", to=C)
    assert found.partial == {D: Partial(size_bytes=4096, sha256=E)}
    assert found.recovered.describe() == f"a flash to {C[:12]} had been cut off; it was undone"
    assert "is taken up again" in replace(found.recovered, outcome="resumed").describe()
    assert "not readable" in replace(found.recovered, outcome="unreadable").describe()


def test_status_in_words() -> None:
    cut_off = Unfinished(action="flash", to=A, since="2026-01-02T03:04:05Z", remedy="undo", holder=None)
    assert cut_off.describe() == (
        "a flash to aaaaaaaaaaaa, begun 2026-01-02T03:04:05Z by the board's clock, was cut off: "
        "the next flash or rollback takes up or undoes it"
    )
    assert replace(cut_off, remedy="finish").describe().endswith("rollback finishes it")
    assert "is under way: the lock is held by ana@desk" in replace(cut_off, holder="ana@desk").describe()


@pytest.mark.parametrize(("age_s", "told"), [(59, "for 59 s"), (60, "for 1 min"), (7300, "for 2 h"), (None, "some")])
def test_age_of_a_lock_in_words(age_s: int | None, told: str) -> None:
    assert told in describe_holder(None, age_s)
    assert ("for" in describe_holder(None, age_s)) == (age_s is not None)


def test_what_the_board_has_of_a_file_counts_only_when_it_is_its_start(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"0123456789")
    file = replace(bundle_file("x", A, 10), source=source)
    start = hashlib.sha256(b"0123").hexdigest()
    assert resume_offset(file, None) == 0
    assert resume_offset(file, Partial(size_bytes=4, sha256=start)) == 4
    assert resume_offset(file, Partial(size_bytes=4, sha256=A)) == 0
    assert resume_offset(file, Partial(size_bytes=11, sha256=start)) == 0


def back(left: str, to: str | None) -> Activation:
    """The health gate went from one release to another, or to none."""
    return Activation(time="t", action="automatic-rollback", to=to and to * 64, left=left * 64, reason="slow")


def test_what_the_gate_left_is_no_release_to_go_back_to() -> None:
    steps = (*activations("a", "b", "c"), back("c", "b"))
    assert succession(steps, current=B, present=ALL) == (A, B)
    assert previous_release(steps, current=B, present=ALL) == A
    assert kept_releases(steps) == {A, B}
    assert kept_releases((*steps, *activations("c"))) == {A, B, C}
    first = (*activations("a"), back("a", None))
    assert succession(first, current=None, present=ALL) == ()
    assert kept_releases(first) == frozenset()
    assert last_activations(first) == {A: "t0"}


def test_a_rollback_that_failed_its_gate_changes_nothing() -> None:
    steps = (*activations("a", "b", "c", "<b"), back("b", "c"))
    assert succession(steps, current=C, present=ALL) == (A, B, C)


def test_history_of_the_gate() -> None:
    line = f'{{"time":"t","action":"automatic-rollback","from":"{A}","to":null,"host":"h","reason":"slow"}}'
    assert parse_history([line]) == (back("a", None),)
    assert parse_history([line.replace("automatic-rollback", "flash")]) == (), "only the gate leaves nothing active"


def test_where_the_board_goes_when_the_gate_fails() -> None:
    found = parse_survey(result(REPORT))
    assert isinstance(found, Survey)
    survey = replace(found, current=B, releases=(A, B, C), history=activations("a", "c", "b"))
    budget = Budget(latency_ms=5)
    pending = Health(release=B, state="pending", time="t", back=A, reason="", emulated=False, budget=budget)
    assert way_back(replace(survey, current=None), B) == "-"
    assert way_back(survey, C) == B
    assert way_back(survey, B) == "stay"
    assert way_back(replace(survey, health={B: replace(pending, state="proven")}), B) == "stay"
    assert way_back(replace(survey, health={B: pending}), B) == A
    assert way_back(replace(survey, health={B: replace(pending, back=None)}), B) == "-"
    assert way_back(replace(survey, health={B: replace(pending, back=D)}), B) == C, "that one is gone"
    assert way_back(replace(survey, health={B: replace(pending, back=D)}, releases=(B,)), B) == "stay"


def test_terms_of_the_gate() -> None:
    gate = Gate(budget=Budget(latency_ms=0.5, memory_mb=200), threads=4, emulated=False, limit_s=120)
    assert gate.words() == "--warmup 3 --runs 20 --seconds 10 --threads 4 --latency-ms 0.5 --memory-mb 200"
    assert replace(gate, emulated=True, threads=None).words() == "--warmup 3 --runs 0 --seconds 10 --memory-mb 200"
    assert json.loads(gate.terms()) == {"emulated": False, "latency_ms": 0.5, "memory_mb": 200}
    proven = Health(release=A, state="proven", time="t", back=None, reason="", emulated=False, budget=gate.budget)
    assert gate.is_held(proven)
    assert not gate.is_held(None)
    assert not gate.is_held(replace(proven, state="failed"))
    assert not gate.is_held(replace(proven, emulated=True))
    assert not gate.is_held(replace(proven, budget=Budget(latency_ms=0.6, memory_mb=200)))


def test_a_slow_model_has_time_for_all_its_inferences() -> None:
    assert limit_s(120, selftest_s=1, emulated=False) == 134
    assert limit_s(120, selftest_s=100, emulated=False) > 7 * 100
    assert limit_s(900, selftest_s=100, emulated=True) == 1100
