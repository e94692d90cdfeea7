"""``cycles`` without an emulator: what may be asked for, results held against each other, and the limit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cycles_records import in_order, record, side, with_misses

from edgedeploy.boards.load import load_board
from edgedeploy.cli import countable, counting
from edgedeploy.cli import main as entry
from edgedeploy.cli.cycles_commands import parse_shapes, show_result
from edgedeploy.cycles.cores import CORES
from edgedeploy.cyclesfile import read_cycles, write_cycles
from edgedeploy.errors import (
    IncomparableRunsError,
    MissingFileError,
    RunFileError,
    SlowerError,
    UsageError,
)
from edgedeploy.graph import parse_param

pytestmark = pytest.mark.usefixtures("own_directories")


def run(*words: str) -> int:
    return entry.main(list(words))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--model", "resnet18"], "whose cycles?"),
        (["--model", "resnet18", "--core", "cortex-a78"], "cortex-a78"),
        (["--model", "resnet18", "--core", "cortex-a76", "--board", "rk3399"], "rk3399 has no cortex-a76"),
        (["--model", "resnet18", "--board", "rpi2"], "cycles are not estimated for rpi2: its system is armv7l"),
        (["--model", "resnet81", "--core", "cortex-a76"], "no built-in network and no .param file"),
        (["--model", "resnet18", "--core", "cortex-a76", "--input-shape", "x=3,9,9"], "goes with a file"),
        (["--model", "x.param", "--int8", "--core", "cortex-a76"], "--int8 goes with a built-in network"),
        (["--core", "cortex-a76", "--int8"], "--int8 goes with --model"),
        (["--core", "cortex-a76", "--precision", "fp32"], "--precision goes with --model"),
        (["--model", "resnet18", "--core", "cortex-a76", "--fail-if-slower", "1 %"], "than what?"),
        (["--model", "x", "--core", "cortex-a76", "--against", "stock", "--fail-if-slower", "a bit"], "a bit"),
        (["--model", "x", "--core", "cortex-a53", "--against", "stock", "--fail-if-slower", "1"], "no estimate"),
        (["--model", "x.param", "--core", "cortex-a76", "--input-shape", "x=3,0"], "x=3,0"),
    ],
)
def test_usage_errors(words: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cycles", *words, "--json") == UsageError.exit_code
    assert named in json.loads(capsys.readouterr().out)["error"]["message"]


def test_missing_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "none.param")
    assert run("cycles", "--model", missing, "--core", "cortex-a76", "--json") == MissingFileError.exit_code
    earlier = str(tmp_path / "none.json")
    words = ["--model", "resnet18", "--core", "cortex-a76", "--against", earlier]
    assert run("cycles", *words, "--json") == RunFileError.exit_code
    capsys.readouterr()


def test_a_board_says_core_and_caches() -> None:
    board = load_board("rk3399", project_dir=None)
    assert counting.core_of(None, board).name == "cortex-a72"
    assert counting.core_of("cortex-a53", board).name == "cortex-a53"
    assert counting.caches_of(CORES["cortex-a53"], board) == ("32x4", "512x16")
    assert counting.caches_of(CORES["cortex-a72"], board) == ("32x2", "1024x16")
    assert counting.caches_of(CORES["cortex-a76"], None) == ("64x4", "512x8")


@pytest.mark.parametrize("name", ["imx8mp", "jetson-nano", "rk3399", "rk3566", "rk3588", "rpi3", "rpi4", "rpi5"])
def test_every_shipped_board_can_be_asked_for(name: str) -> None:
    board = load_board(name, project_dir=None)
    assert counting.core_of(None, board).name == board.fastest_cluster.core


@pytest.mark.parametrize(("text", "share"), [("1 %", 0.01), ("0.5%", 0.005), (" 2 ", 0.02), ("0", 0.0)])
def test_limits(text: str, share: float) -> None:
    assert counting.parse_limit(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "%", "-1 %", "1 % or so", "1,5 %", "1 %%", "nan", "1e3", "9" * 400, "١"])
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(UsageError):
        counting.parse_limit(text)


@pytest.mark.parametrize(
    "words", [["--fail-if-slower", "1", "%"], ["--fail-if-slower=1", "%"], ["--fail-if-slower", "1%"]]
)
def test_a_limit_may_be_two_words(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The next complaint is about what is missing, not about a word too many."""
    assert run("cycles", "--model", "resnet18", "--core", "cortex-a76", *words, "--json") == UsageError.exit_code
    assert "than what?" in json.loads(capsys.readouterr().out)["error"]["message"]


@pytest.mark.parametrize("words", [["%"], ["--model", "x", "%"]])
def test_a_percent_sign_elsewhere_is_a_word_too_many(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cycles", *words, "--core", "cortex-a76", "--json") == UsageError.exit_code
    shown = capsys.readouterr()
    assert json.loads(shown.out)["error"]["slug"] == "usage" and "(%)" in shown.err


def test_slower_than_allowed() -> None:
    slower = record(side("edgedeploy", 20_300_000), stock=side("stock ncnn", 20_000_000))
    counting.check_speed(slower, 0.015)
    with pytest.raises(
        SlowerError, match=r"20,300,000 estimated cycles .* 1\.50 % more than stock ncnn \(20,000,000\)"
    ):
        counting.check_speed(slower, 0.01)
    counting.check_speed(record(side("edgedeploy", 19_000_000), stock=side("stock ncnn", 20_000_000)), 0.0)
    counting.check_speed(record(), 0.0)


def test_the_failure_takes_the_place_of_the_document_but_the_file_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slower = record(side("edgedeploy", 22_000_000), stock=side("stock ncnn", 20_000_000))
    with pytest.raises(SlowerError):
        show_result(slower, tmp_path / "kept" / "result.json", 0.01, as_json=True)
    assert capsys.readouterr().out == ""
    assert read_cycles(tmp_path / "kept" / "result.json") == slower
    show_result(slower, None, 0.2, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1 and document["ratio"] == pytest.approx(1.1)


def test_an_earlier_result_is_the_other_side() -> None:
    earlier = record(side("edgedeploy", 25_000_000))
    held = counting.hold_against(record(), earlier)
    assert held.other == earlier.ours and held.stock is None
    assert held.ratio == pytest.approx(0.8)
    assert held.instructions_ratio == 1
    assert held.notes == record().notes
    changed = record(network="1" * 64, versions={"edgedeploy": "0.1.0", "engine": "1.1", "llvm": "19.1.7"})
    notes = counting.hold_against(changed, earlier).notes
    assert any("other weights" in note for note in notes) and any("engine" in note for note in notes)


@pytest.mark.parametrize(
    ("field", "value"),
    [("model", "resnet18"), ("core", "cortex-a72"), ("threads", 4), ("precision", "fp32"), ("int8", False)],
)
def test_an_earlier_result_of_something_else_is_refused(field: str, value: object) -> None:
    with pytest.raises(IncomparableRunsError, match=field):
        counting.hold_against(record(), record().model_copy(update={field: value}))


def test_without_prices_only_instructions_are_compared() -> None:
    held = counting.hold_against(record(in_order()), record(in_order()))
    assert held.ratio is None and held.instructions_ratio == 1


def test_a_result_survives_its_file_and_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    whole = record(stock=side("stock ncnn"))
    write_cycles(whole, path)
    assert read_cycles(path) == whole
    for before, after in (('"schema":1', '"schema":2'), ('"share":0.9', '"share":9'), ('"cycles"', '"circles"')):
        text = json.dumps(whole.model_dump(mode="json", by_alias=True), separators=(",", ":"))
        assert before in text
        path.write_text(text.replace(before, after), encoding="utf-8")
        with pytest.raises(RunFileError):
            read_cycles(path)


def test_report_takes_a_result_of_cycles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "result.json"
    write_cycles(record(stock=side("stock ncnn")), path)
    assert run("report", str(path), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {"cycles": str(path), "report": str(tmp_path / "result.html")}
    assert "mobilenet_v1" in (tmp_path / "result.html").read_text(encoding="utf-8")
    assert run("report", str(path)) == 0
    assert "estimated 20.00 M cycles" in capsys.readouterr().out
    path.write_text('{"estimated_by": "nobody"}', encoding="utf-8")
    assert run("report", str(path)) == RunFileError.exit_code
    capsys.readouterr()


def test_shapes_of_inputs() -> None:
    assert parse_shapes(["a=3,4,5", "b=7"]) == {"a": (3, 4, 5), "b": (7,)}
    graph = parse_param("7767517\n2 2\nInput a 0 1 a 0=5 1=4 2=3\nInput b 0 1 b\n")
    assert countable.shape_of(graph.layers[0]) == (3, 4, 5)
    with pytest.raises(UsageError) as caught:
        countable.shape_of(graph.layers[1])
    assert "--input-shape b=" in caught.value.hint


def test_results_with_misses_have_a_ratio_of_them_too() -> None:
    missing = with_misses(side("edgedeploy", 20_000_000), 4_000_000)
    earlier = record(with_misses(side("edgedeploy", 25_000_000), 7_000_000))
    held = counting.hold_against(record(missing), earlier)
    assert (held.ratio, held.ratio_with_misses) == (pytest.approx(0.8), pytest.approx(24 / 32))
    assert counting.hold_against(record(missing), record()).ratio_with_misses is None
    assert counting.hold_against(record(), earlier).ratio_with_misses is None


@pytest.mark.parametrize(
    ("core", "threads", "caches", "priced"),
    [
        ("cortex-a72", 1, ("32x2", "1024x16"), True),
        ("cortex-a76", 1, ("64x4", "512x8"), True),
        ("cortex-a76", 1, None, False),
        ("cortex-a76", 2, ("64x4", "512x8"), False),
        ("cortex-a53", 1, ("32x4", "512x16"), False),
        ("cortex-a57", 1, ("32x2", "2048x16"), False),
    ],
)
def test_misses_are_priced_on_one_thread_of_cores_with_published_times(
    core: str, threads: int, caches: tuple[str, str] | None, priced: bool
) -> None:
    wish = counting.Wish(core=CORES[core], threads=threads, stock=False, earlier=None, caches=caches, command="")
    assert (wish.miss_prices is not None) == priced
