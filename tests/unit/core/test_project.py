"""edgedeploy.toml: what is allowed, and what the errors say."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedeploy.artifacts import ColorOrder, Resize
from edgedeploy.bundle.manifest import preprocessing_fingerprint
from edgedeploy.errors import ProjectFileError
from edgedeploy.healthfile import NO_BUDGET, Budget
from edgedeploy.paths import resource_dir
from edgedeploy.project import (
    DEMO_DIRECTORY,
    PROJECT_FILE,
    FileInPackage,
    QuantizationSection,
    find_project_file,
    load_project,
)
from edgedeploy.quantize.settings import Calibrator, Settings

MINIMAL = """
samples = ["a.png"]
[app]
name = "app"
[model]
source = "model.onnx"
[[model.inputs]]
name = "x"
shape = [1, 3, 32, 64]
[model.inputs.preprocessing]
mean = [0, 0, 0]
scale = [1, 1, 1]
"""


def _write(directory: Path, text: str) -> Path:
    path = directory / PROJECT_FILE
    path.write_text(text, encoding="utf-8")
    return path


def test_minimal_file_has_stated_defaults(tmp_path: Path) -> None:
    project = load_project(_write(tmp_path, MINIMAL))
    (spec,) = project.input_specs
    assert spec.shape == (1, 3, 32, 64)
    assert spec.preprocessing is not None
    assert spec.preprocessing.color is ColorOrder.BGR
    assert spec.preprocessing.resize is Resize.BILINEAR
    assert project.bench.runs == 30
    assert project.report.overlay == "none"
    assert project.budget.to_budget() == NO_BUDGET
    assert project.quantization.enabled is False
    assert (project.quantization.data, project.quantization.metric) == (None, "cosine")


def test_calibrators_are_those_that_there_are() -> None:
    allowed = QuantizationSection.model_json_schema()["properties"]["calibrator"]["enum"]
    assert sorted(allowed) == sorted(item.value for item in Calibrator)
    section, defaults = QuantizationSection(), Settings()
    assert Calibrator(section.calibrator) is defaults.calibrator
    assert (section.images, section.seed, section.percentile) == (defaults.images, defaults.seed, defaults.percentile)


def test_demo_is_valid_and_used_where_there_is_no_file(tmp_path: Path) -> None:
    path = find_project_file(tmp_path)
    assert path == resource_dir() / DEMO_DIRECTORY / PROJECT_FILE
    project = load_project(path)
    assert project.app.name == "ppocr-det"
    assert isinstance(project.model.source, FileInPackage)
    own = _write(tmp_path, MINIMAL)
    assert find_project_file(tmp_path) == own


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (('name = "app"', 'name = "App!"'), "app.name"),
        (("[1, 3, 32, 64]", "[2, 3, 32, 64]"), "starts with batch 1"),
        (("[1, 3, 32, 64]", "[1, 3, 0, 64]"), "greater than or equal to 1"),
        (("mean = [0, 0, 0]", "mean = [0]"), "need 3 values"),
        (("mean = [0, 0, 0]", 'color = "gray"\nmean = [0, 0, 0]'), "needs 1 channels"),
        (("[app]", "[app]\nnmae = 1"), "app.nmae"),
        (('["a.png"]', "[]"), "samples"),
        (("[app]", "[quantization]\nimages = 0\n[app]"), "quantization.images"),
        (("[app]", '[quantization]\ncalibrator = "best"\n[app]'), "'absmax', 'percentile', 'kl' or 'mse'"),
        (("[app]", "[quantization]\nmax_drop = -1\n[app]"), "quantization.max_drop"),
        (("[app]", '[quantization]\nkeep_float = "conv"\n[app]'), "quantization.keep_float"),
        (("[app]", "[budget]\nlatency_ms = 0\n[app]"), "budget.latency_ms: Input should be greater than 0"),
        (("[app]", "[budget]\nmemory_mb = nan\n[app]"), "budget.memory_mb"),
        (("[app]", '[budget]\nlatency_ms = "fast"\n[app]'), "budget.latency_ms"),
        (("[app]", "[budget]\nlatency_us = 3\n[app]"), "budget.latency_us"),
        (("[app]", "[app"), "not valid TOML"),
    ],
)
def test_faults_name_key_and_rule(tmp_path: Path, change: tuple[str, str], expected: str) -> None:
    assert change[0] in MINIMAL
    with pytest.raises(ProjectFileError) as caught:
        load_project(_write(tmp_path, MINIMAL.replace(*change)))
    assert expected in caught.value.message
    assert caught.value.hint


def test_all_faults_are_listed_and_unknown_keys_get_a_close_match(tmp_path: Path) -> None:
    text = MINIMAL.replace('name = "app"', 'name = "A"').replace("shape", "shpae")
    with pytest.raises(ProjectFileError) as caught:
        load_project(_write(tmp_path, text))
    assert "app.name" in caught.value.message
    assert "shpae" in caught.value.message
    assert "shape" in caught.value.hint


def test_budgets(tmp_path: Path) -> None:
    text = MINIMAL.replace("[app]", "[budget]\nlatency_ms = 20\nmemory_mb = 150.5\n[app]")
    assert load_project(_write(tmp_path, text)).budget.to_budget() == Budget(latency_ms=20, memory_mb=150.5)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ProjectFileError, match="does not exist"):
        load_project(tmp_path / "nothing.toml")


def test_fingerprint_changes_with_every_part_of_the_preprocessing(tmp_path: Path) -> None:
    base = preprocessing_fingerprint(load_project(_write(tmp_path, MINIMAL)).input_specs)
    changes = [("mean = [0, 0, 0]", "mean = [0, 0, 1]"), ("32, 64", "64, 64"), ('"x"', '"y"')]
    prints = {base}
    for change in changes:
        prints.add(preprocessing_fingerprint(load_project(_write(tmp_path, MINIMAL.replace(*change))).input_specs))
    assert len(prints) == len(changes) + 1
