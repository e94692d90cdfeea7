"""The parts of ``quantize`` that need neither a model nor a board: who is judged on what, verdicts, limits, paths."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from quantization_records import quantization_record

from edgedeploy.artifacts import Clock, FloatArray, Precision, Provenance
from edgedeploy.boards.load import load_board
from edgedeploy.cli import quantize_commands, speeds
from edgedeploy.cli.console import ConsoleProgress
from edgedeploy.cli.options import TargetOptions
from edgedeploy.cli.quantize_data import FEW_SAMPLES, divide
from edgedeploy.cli.quantize_pages import copy_to, keep, thumbnails
from edgedeploy.cli.quantizing import Quantized, target_of
from edgedeploy.cli.releases import int8_limits
from edgedeploy.cli.subjects import SampleData
from edgedeploy.cli.target import Connection
from edgedeploy.convert.compare import measure
from edgedeploy.errors import RunFileError
from edgedeploy.project import Project, QuantizationSection, TargetSection, load_project
from edgedeploy.quantfile import SpeedSection, WorstItem, read_quantization
from edgedeploy.quantize.items import Item
from edgedeploy.quantize.store import Entry
from edgedeploy.runfile import RunRecord, RunStatistics, SampleTimes, read_run
from edgedeploy.transport.local import LocalTransport

RUNS = Path(__file__).parents[2] / "captures" / "runs"
DEMO = Path(__file__).parents[3] / "examples" / "ppocr-det" / "edgedeploy.toml"


def run_of(name: str, inference_us: list[float]) -> RunRecord:
    record = read_run(RUNS / f"{name}.json")
    samples = tuple(SampleTimes(pre_us=0.0, inference_us=value, post_us=0.0) for value in inference_us)
    measurement = record.measurement.model_copy(update={"samples": samples})
    return record.model_copy(update={"measurement": measurement, "statistics": RunStatistics.of(samples)})


def hardware(*inference_us: float) -> RunRecord:
    return run_of("synthetic-hardware-rk3399", list(inference_us))


def counted(inference_us: float) -> RunRecord:
    return run_of("synthetic-emulated-instructions-rk3399", [inference_us] * 3)


@pytest.mark.parametrize(("board", "own"), [("rk3399", True), ("rpi2", False)])
def test_a_board_without_kernels_of_ours_gets_weights_that_the_engines_layers_can_sum(board: str, own: bool) -> None:
    target = target_of(load_board(board, project_dir=None), stock=False, precision=Precision.FP32)
    assert target.own_layers is own
    assert not target_of(load_board(board, project_dir=None), stock=True, precision=Precision.FP32).own_layers


@pytest.mark.parametrize("count", [1, FEW_SAMPLES])
def test_a_handful_is_calibrated_and_judged_on(count: int) -> None:
    calibrated, evaluated = divide(count, QuantizationSection())
    assert calibrated == evaluated == tuple(range(count))


@pytest.mark.parametrize(
    ("count", "images", "expected"), [(21, 300, (16, 5)), (400, 300, (300, 100)), (10_000, 300, (300, 200))]
)
def test_others_are_judged_on_where_there_are_enough(count: int, images: int, expected: tuple[int, int]) -> None:
    section = QuantizationSection(images=images)
    calibrated, evaluated = divide(count, section)
    assert (len(calibrated), len(evaluated)) == expected
    assert not set(calibrated) & set(evaluated)
    assert max(*calibrated, *evaluated) < count
    assert divide(count, section) == (calibrated, evaluated)
    assert divide(count, section.model_copy(update={"seed": 1})) != (calibrated, evaluated)


def test_faster_on_the_board() -> None:
    verdict = speeds.judge(
        hardware(*[10_000.0, 10_010.0] * 5), hardware(*[8_000.0, 8_010.0] * 5), hardware(*[4_000.0] * 10), half=True
    )
    assert (verdict.verdict, verdict.recommended, verdict.unit) == ("faster", "int8", "ms")
    assert verdict.ratio == pytest.approx(4000 / 8005)
    assert verdict.interval is not None
    assert (verdict.float32.value, verdict.int8.value) == (10.005, 4.0)
    assert verdict.recommendation == "Ship int8."


@pytest.mark.parametrize(
    ("float16", "half", "recommended", "said"),
    [
        ([8_000.0] * 10, True, "fp16", "not faster"),
        ([12_000.0] * 10, True, "fp32", "not faster"),
        (None, False, "fp32", "no half-precision arithmetic"),
        (None, True, "fp32", "wrong results"),
    ],
)
def test_slower_recommends_the_best_that_works(
    float16: list[float] | None, half: bool, recommended: str, said: str
) -> None:
    rival = hardware(*float16) if float16 is not None else None
    verdict = speeds.judge(hardware(*[10_000.0] * 10), rival, hardware(*[10_900.0, 11_000.0] * 5), half=half)
    assert (verdict.verdict, verdict.recommended) == ("slower", recommended)
    assert said in verdict.recommendation
    assert recommended in verdict.recommendation


def test_too_few_runs_show_no_difference() -> None:
    verdict = speeds.judge(hardware(10_000.0), None, hardware(9_000.0), half=False)
    assert (verdict.verdict, verdict.recommended) == ("no difference shown", "fp32")


@pytest.mark.parametrize(
    ("int8_us", "verdict", "recommended"),
    [(80_000.0, "faster", "int8"), (99_500.0, "no difference shown", "fp32"), (130_000.0, "slower", "fp32")],
)
def test_a_twin_counts(int8_us: float, verdict: str, recommended: str) -> None:
    found = speeds.judge(counted(100_000.0), None, counted(int8_us), half=False)
    assert (found.verdict, found.recommended) == (verdict, recommended)
    assert (found.unit, found.clock, found.provenance) == (
        "million instructions",
        Clock.INSTRUCTIONS,
        Provenance.QEMU_SYSTEM,
    )
    assert found.float32.value == 100.0, "a nanosecond of that clock is an instruction"
    assert found.interval is None


def outputs(*values: float) -> dict[str, FloatArray]:
    return {"out0": np.array(values, dtype=np.float32)}


def test_int8_limits_follow_from_what_int8_costs() -> None:
    expected = outputs(*np.linspace(0, 1, 100))
    random = np.random.default_rng(0)
    found = {"out0": expected["out0"] + random.normal(0, 0.05, 100).astype(np.float32)}
    other = {"out0": expected["out0"] + random.normal(0, 0.05, 100).astype(np.float32)}
    limits = int8_limits(expected, found)
    difference = measure(found["out0"], other["out0"])
    assert difference.cosine > limits.cosine > 0.9
    assert difference.max_abs_error < limits.max_abs_error
    wrong = {"out0": expected["out0"][::-1].copy()}
    assert measure(found["out0"], wrong["out0"]).cosine < limits.cosine


def test_int8_limits_have_ends() -> None:
    good = int8_limits(outputs(0.0, 4.0), outputs(0.0, 4.0))
    assert (good.cosine, good.max_abs_error) == (0.999, pytest.approx(0.08))
    bad = int8_limits(outputs(1.0, 0.0), outputs(0.0, 1.0))
    assert bad.cosine == 0.9
    assert int8_limits(outputs(0.0), outputs(0.0)).max_abs_error > 0


def connection_to(directory: Path, home: Path) -> Connection:
    return Connection(
        board=load_board("rk3399", project_dir=None),
        transport=LocalTransport(environment={"HOME": str(home), "PATH": "/usr/bin:/bin"}),
        provenance=Provenance.HARDWARE,
        directory=str(directory),
        twin=None,
    )


def test_the_trial_leaves_the_apps_alone_and_itself_not_behind(tmp_path: Path) -> None:
    apps = tmp_path / ".edgedeploy"
    (apps / "app" / "releases").mkdir(parents=True)
    old, new = apps / ".trial-old", apps / ".trial-new"
    old.mkdir()
    new.mkdir()
    subprocess.run(["touch", "-d", "2 days ago", str(old)], check=True)
    target = connection_to(apps, tmp_path)
    with pytest.raises(KeyboardInterrupt), speeds._trial_directory(target, ConsoleProgress()) as directory:
        assert Path(directory).parent == apps and Path(directory).name.startswith(".trial-")
        assert not old.exists(), "left behind by a connection that broke long ago"
        (Path(directory) / "trial").mkdir(parents=True)
        raise KeyboardInterrupt
    assert sorted(path.name for path in apps.iterdir()) == [".trial-new", "app"]


def test_words_of_the_command_line_are_relative_to_where_it_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "mine.py").touch()
    from_here = quantize_commands._from_here
    assert from_here("images") == str(tmp_path / "images")
    assert from_here("mine.py:score") == f"{tmp_path}/mine.py:score"
    assert from_here("top1") == "top1"
    assert from_here("package.module:score") == "package.module:score"
    assert from_here(None) is None


def project_with(*boards: str) -> Project:
    return load_project(DEMO).model_copy(update={"targets": {name: TargetSection(host="a@b") for name in boards}})


def test_the_board_is_the_projects_only_one_or_the_demos() -> None:
    assert quantize_commands.default_board(project_with("rpi5")) == "rpi5"
    assert quantize_commands.default_board(project_with("rpi5", "rpi4")) == "rk3399"
    assert quantize_commands.default_board(project_with()) == "rk3399"


def test_the_command_that_does_it_again() -> None:
    options = TargetOptions(board="rpi5")
    given = {"data": "/a b", "max_drop": 0.3, "keep_float": ("c", "d")}
    found = quantize_commands._command(options, Path("/m.onnx"), ["x=1,2"], given, search=True)
    assert found == (
        "edgedeploy quantize /m.onnx --input x=1,2 --board rpi5 --data '/a b' --max-drop 0.3 "
        "--keep-float c --keep-float d --search"
    )


@pytest.fixture
def quantized(tmp_path: Path) -> Quantized:
    made = tmp_path / "cache"
    made.mkdir()
    for name in ("model.param", "model.bin"):
        (made / name).write_bytes(name.encode())
    samples = SampleData(samples=(), engine_names={})
    entry = Entry(directory=made, record=quantization_record())
    return Quantized(model=None, float_model=None, sample=None, entry=entry, evaluation=samples)  # type: ignore[arg-type]


def test_a_measured_speed_stays_with_the_record(quantized: Quantized, tmp_path: Path) -> None:
    speed = speeds.judge(counted(100.0), None, counted(80.0), half=False)
    first = keep(tmp_path, quantized, speed)
    assert first.record.speed == SpeedSection(measured=speed)
    again = keep(tmp_path, quantized, None)
    assert read_quantization(again.record_file).speed.measured == speed
    assert quantized.entry.record.speed.measured is None
    copy_to(again, quantized, tmp_path / "out" / "deep")
    names = ["model.bin", "model.param", "quantization.html", "quantization.json"]
    assert sorted(path.name for path in (tmp_path / "out" / "deep").iterdir()) == names


def test_a_project_that_cannot_be_written(quantized: Quantized, tmp_path: Path) -> None:
    (tmp_path / ".edgedeploy").write_text("in the way", encoding="utf-8")
    with pytest.raises(RunFileError, match="cannot be written"):
        keep(tmp_path, quantized, None)


class Tensors:
    """Data of one item each, of these shapes."""

    def __init__(self, *shapes: tuple[int, ...]) -> None:
        self.shapes = shapes

    def __len__(self) -> int:
        return len(self.shapes)

    def item(self, index: int) -> Item:
        values = np.random.default_rng(index).normal(size=self.shapes[index]).astype(np.float32)
        return Item(name=f"item {index}", tensors={"in0": values})


def test_thumbnails_are_small_and_only_of_images() -> None:
    data = Tensors((1, 3, 400, 200), (1, 1, 28, 28), (1, 100), (1, 16, 8, 8), (1, 3, 2, 300))
    worst = tuple(
        WorstItem(index=index, name=f"item {index}", float_score=1.0, int8_score=0.0, sqnr_db=1.0)
        for index in (0, 1, 2, 3, 4, 9)
    )
    shown = thumbnails(quantization_record(worst=worst), data)
    assert [image.title for image in shown] == ["item 0", "item 1"]
    assert all(len(image.png) < 60_000 for image in shown)
