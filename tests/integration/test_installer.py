"""Survey and store by the on-board program: what it does in place of the scripts, and what it leaves to them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from deploy_workbench import Workbench, make_workbench, runner_script
from runner_program import CORES, Runner

from edgedeploy.artifacts import BundleFile, FlashResult
from edgedeploy.deploy.push_scripts import INSTALLER_NAME
from edgedeploy.deploy.stream import NAME, Outgoing, write_stream
from edgedeploy.errors import BoardBusyError
from edgedeploy.files import file_sha256
from edgedeploy.paths import CACHE_VARIABLE
from edgedeploy.transport.fake import FaultyTransport

pytestmark = pytest.mark.cross

QEMU = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static") or ""
DIGEST = "d" * 64


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return make_workbench("system", tmp_path)


def installer(runner: Runner, *, options: str = "", before: str = ":") -> str:
    """Return a release's program that surveys and installs by the real one, ``before`` which it does something."""
    first, rest = runner_script().split("\n", 1)
    real = f'exec "{QEMU}" {options} "{runner.program}" "$@"'
    handed = f"case $1 in receive | survey | install | version) {before}; {real} ;; esac"
    return f"{first}\n# {NAME.decode()} {INSTALLER_NAME}\n{handed}\n{rest}"


def flash_counted(bench: Workbench, weights: str, program: str) -> tuple[FlashResult, list[str]]:
    """Return the result and the names of the scripts that ran."""
    transport = FaultyTransport(bench.transport())
    result = bench.flash(bench.bundle(weights, runner=program, extra={"a/b/deep": b"deep"}), transport)
    bench.check_whole()
    return result, [name for command in transport.commands for name in re.findall(r"# edgedeploy (\w+)\n", command)]


def test_program_surveys_a_board_in_order(bench: Workbench, runner: Runner) -> None:
    program = installer(runner)
    _, names = flash_counted(bench, "weights 1", program)
    assert names.count("survey") == 2, "nothing was there: the program first, then the script"
    changed, names = flash_counted(bench, "weights 2", program)
    assert names == ["survey", "receive", "activate"]
    assert not changed.unchanged
    assert (changed.steps[0].round_trips, changed.steps[0].note) == (1, "2 of 6 files are missing")
    again, names = flash_counted(bench, "weights 2", program)
    assert names == ["survey", "activate"]
    assert again.unchanged and again.previous_release == changed.previous_release
    assert sum(step.round_trips for step in again.steps) == 2
    back, _ = flash_counted(bench, "weights 1", program)
    assert (back.release, back.unchanged) == (changed.previous_release, False)


@pytest.mark.parametrize("damage", ["content", "mode", "link", "gone", "writable"])
def test_damage_on_the_board_is_mended(bench: Workbench, runner: Runner, damage: str) -> None:
    program = installer(runner)
    result, _ = flash_counted(bench, "weights 1", program)
    release = bench.root / "releases" / result.release
    weights = release / "model" / "model.bin"
    stored = bench.root / "store" / file_sha256(weights)
    if damage == "content":
        content = bytearray(weights.read_bytes())
        content[500] ^= 1
        weights.write_bytes(content)
    elif damage == "mode":
        (release / "bin" / "edgedeploy-runner").chmod(0o744)
        weights.chmod(0o666)
    elif damage == "link":
        weights.unlink()
        shutil.copy(stored, weights)
    elif damage == "gone":
        shutil.rmtree(release / "a")
    else:
        stored.chmod(0o664)
    mended, names = flash_counted(bench, "weights 1", program)
    assert mended.unchanged and names[0] == "survey"
    assert file_sha256(weights) == stored.name
    assert weights.stat().st_mode & 0o777 == 0o644
    assert (release / "a" / "b" / "deep").read_bytes() == b"deep"


@pytest.mark.parametrize("left", ["journal", ".lock-old", "releases/.new-old", "releases/.old-x", "health"])
def test_what_was_cut_off_is_left_to_the_script(bench: Workbench, runner: Runner, left: str) -> None:
    program = installer(runner)
    flash_counted(bench, "weights 1", program)
    if left == "health":
        shutil.rmtree(bench.root / left)
    elif left == "journal":
        (bench.root / left).write_text(f"action flash\nto {'a' * 64}\nfrom \ntime t\nhost x\n", encoding="ascii")
    else:
        (bench.root / left).mkdir()
    _, names = flash_counted(bench, "weights 2", program)
    assert names.count("survey") == 2


def test_lock_of_somebody_else_is_told_by_the_script(bench: Workbench, runner: Runner) -> None:
    program = installer(runner)
    flash_counted(bench, "weights 1", program)
    lock = bench.root / "lock"
    lock.mkdir()
    (lock / "token").write_text("another\n", encoding="ascii")
    with pytest.raises(BoardBusyError):
        bench.flash(bench.bundle("weights 2", runner=program))
    assert sorted(path.name for path in bench.root.iterdir() if path.name.startswith(".")) == []
    assert bench.flash(bench.bundle("weights 2", runner=program), break_lock=True).verified
    bench.check_whole()


def test_program_that_fails_under_its_lock_is_done_without(bench: Workbench, runner: Runner) -> None:
    """It took the lock of this very flash and never said so."""
    note = 'if [ "$1" = survey ]; then mkdir lock; printf "%s\\n" "$5" > lock/token; exit 139; fi'
    program = installer(runner, before=note)
    flash_counted(bench, "weights 1", program)
    _, names = flash_counted(bench, "weights 2", program)
    assert names.count("survey") == 2


@pytest.mark.parametrize("said", ["", "{}", '{"schema":1,"report":["end"]}', '{"schema":1,"report":[3]}', "no JSON"])
def test_program_that_says_nonsense_is_done_without(bench: Workbench, runner: Runner, said: str) -> None:
    program = installer(runner, before=f'if [ "$1" = survey ]; then echo {shlex.quote(said)}; exit; fi')
    flash_counted(bench, "weights 1", program)
    _, names = flash_counted(bench, "weights 2", program)
    assert names.count("survey") == 2


def test_everything_is_on_the_disk_before_it_gets_its_name(bench: Workbench, runner: Runner, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    program = installer(runner, options=f"-strace -D {log}-$1")
    flash_counted(bench, "weights 1", program)
    result, _ = flash_counted(bench, "weights 2", program)
    survey = calls_of(log.with_name("calls-survey"))
    taken = survey.index(("rename", "lock"))
    for name in ("token", "owner", "boot", "journal-", ""):
        assert any(call == "fsync" and ".lock-" in path and name in path for call, path in survey[:taken]), name
    assert survey.index(("rename", "journal")) > taken
    assert survey.index(("fsync", ".")) > survey.index(("rename", "journal"))
    install = calls_of(log.with_name("calls-install"))
    stored = [path for call, path in install if call == "rename" and path.startswith("store/")]
    assert len(stored) == 2
    for path in stored:
        name = path.removeprefix("store/")
        assert any(call == "fsync" and name in file for call, file in install[: install.index(("rename", path))])
    named = install.index(("rename", f"releases/{result.release}"))
    synced = [path for call, path in install[:named] if call == "fsync"]
    assert "store" in synced
    for directory in ("", "/a", "/a/b", "/model", "/bin", "/golden"):
        assert any(re.fullmatch(rf"releases/\.new-\w+{directory}", path) for path in synced), directory
    assert ("fsync", "releases") in install[named:]


def calls_of(log: Path) -> list[tuple[str, str]]:
    """Return which path was renamed to or synced, in order, of a log of QEMU's."""
    found, opened = [], {}
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if match := re.search(r'openat\(AT_FDCWD,"([^"]*)",.*\) = (\d+)', line):
            opened[match[2]] = match[1]
        elif match := re.search(r'renameat2?\(.*"([^"]*)"(?:,\d+)?\)', line):
            found.append(("rename", match[1]))
        elif match := re.search(r"fsync\((\d+)", line):
            found.append(("fsync", opened[match[1]]))
    return found


@pytest.mark.parametrize("core", CORES)
def test_hashes_are_right_for_every_size(runner: Runner, tmp_path: Path, core: str) -> None:
    """Around the block's and the frame's, whole and taken up in the middle; one that is wrong is told."""
    rng = np.random.default_rng(3)
    for name in ("lock", "store", "releases", "sources"):
        (tmp_path / name).mkdir()
    (tmp_path / "lock" / "token").write_text("t\n", encoding="ascii")
    outgoing, listing = [], ""
    for size in (0, 1, 55, 56, 63, 64, 65, 127, 128, 5000, 1 << 16, (1 << 16) + 3):
        content = rng.bytes(size)
        file = bundle_file(tmp_path / "sources", f"f{size}", content)
        (tmp_path / "store" / f".incoming-t-{file.sha256}").write_bytes(content[: size // 3])
        outgoing.append(Outgoing(file=file, offset=size // 3))
        listing += f"{file.sha256} 644 new d/{file.path}\n"
    damaged = replace(outgoing[-1], file=replace(outgoing[-1].file, sha256="0" * 64), offset=0)
    wrong = listing.replace(outgoing[-1].file.sha256, "0" * 64)
    told = install(runner, tmp_path, core, [*outgoing[:-1], damaged], wrong)
    assert told == [f"mismatch {'0' * 64} {outgoing[-1].file.sha256} d/{outgoing[-1].file.path}"]
    assert install(
        runner,
        tmp_path,
        core,
        [replace(item, offset=item.file.size_bytes) for item in outgoing[:-1]] + outgoing[-1:],
        listing,
    ) == ["stored"]
    for item in outgoing:
        assert file_sha256(tmp_path / "releases" / DIGEST / "d" / item.file.path) == item.file.sha256


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{sha} 644 new ../out", "damaged"),
        ("{sha} 644 new /out", "damaged"),
        ("{sha} 644 new a//b", "damaged"),
        ("{sha} 9 new a", "damaged"),
        ("{sha} 10644 new a", "damaged"),
        ("{sha} 644 old a", "damaged"),
        ("../x 644 new a", "damaged"),
        ("{sha} 644 new", "damaged"),
        ("{sha} 644 new a\n{sha} 644 new b", "cut short"),
    ],
)
def test_lists_that_nobody_makes_are_refused(runner: Runner, tmp_path: Path, line: str, message: str) -> None:
    for name in ("lock", "store", "releases"):
        (tmp_path / name).mkdir()
    (tmp_path / "lock" / "token").write_text("t\n", encoding="ascii")
    file = bundle_file(tmp_path, "file", b"content")
    text = line.format(sha=file.sha256) + "\n"
    done = call_install(runner, tmp_path, "max", [Outgoing(file=file)], text, count=1)
    assert done.returncode == 11 and message in done.stderr.decode()
    assert list((tmp_path / "releases").iterdir()) == []


def call_install(
    runner: Runner, root: Path, core: str, outgoing: list[Outgoing], listing: str, *, count: int | None = None
) -> subprocess.CompletedProcess[bytes]:
    words = [QEMU, "-cpu", core, str(runner.program), "install", "--token", "t", "--digest", DIGEST]
    words += ["--count", str(listing.count("\n") if count is None else count)]
    stream = b"".join(write_stream(outgoing, lambda *_: None)) + listing.encode()
    return subprocess.run(words, input=stream, capture_output=True, timeout=120, check=False, cwd=root)


def install(runner: Runner, root: Path, core: str, outgoing: list[Outgoing], listing: str) -> list[str]:
    done = call_install(runner, root, core, outgoing, listing)
    assert (done.returncode, done.stderr) == (0, b"")
    report: list[str] = json.loads(done.stdout)["report"]
    return report


def bundle_file(directory: Path, name: str, content: bytes) -> BundleFile:
    source = directory / name
    source.write_bytes(content)
    return BundleFile(path=PurePosixPath(name), source=source, sha256=file_sha256(source), size_bytes=len(content))
