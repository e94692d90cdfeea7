"""Every row of the kernel table against its reference, on this machine and on four cores under emulation.

The core that has all features runs all cases, others a sample: they run the same code, as far as their features go.
Nightly runs all cases, the references too, on each.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from kernel_program import ROOT, Report, run_program

CORES = ("cortex-a53", "cortex-a72", "cortex-a76", "max")
WHOLE = "max"
ONE_IN = 11
LEAST_CASES = 1000
WITHOUT_DOT_PRODUCT = ("cortex-a53", "cortex-a72")
KERNELS = ROOT / "csrc" / "kernels"
DEPTHWISE = ("depthwise_s8_3x3s1", "depthwise_s8_3x3s2", "depthwise_s8_5x5s1", "depthwise_s8_5x5s2")


@pytest.fixture(scope="session")
def reports(aarch64_program: Path) -> dict[str, Report]:
    """One run a core, of the variants."""
    return {
        core: run_on(core, aarch64_program, "--rows", "variants", *(() if core == WHOLE else ("--one-in", str(ONE_IN))))
        for core in CORES
    }


@pytest.fixture(scope="session")
def host_report(host_program: Path) -> Report:
    return run_program([host_program])


def run_on(core: str, program: Path, *options: str) -> Report:
    return run_program(["qemu-aarch64", "-cpu", core, program, *options])


def check_all_passed(report: Report, *, least_cases: int) -> None:
    assert report.exit_code == 0, report.text
    assert "FAIL" not in report.text
    assert all(cases > least_cases for cases in report.ran.values()), report.ran


@pytest.mark.parametrize("core", CORES)
def test_kernels_agree_with_the_reference_on_a_core(reports: dict[str, Report], core: str) -> None:
    check_all_passed(reports[core], least_cases=LEAST_CASES if core == WHOLE else LEAST_CASES // ONE_IN)


@pytest.mark.nightly
@pytest.mark.parametrize("core", CORES)
def test_all_cases_and_the_references_on_every_core(aarch64_program: Path, core: str) -> None:
    report = run_on(core, aarch64_program)
    check_all_passed(report, least_cases=LEAST_CASES)
    assert "winograd_s8_ref" in report.ran


def test_kernels_agree_with_the_reference_on_this_machine(host_report: Report) -> None:
    check_all_passed(host_report, least_cases=LEAST_CASES)
    assert {"conv_s8_ref", "preprocess_u8f32_ref", "gemm_s8_ref"} <= set(host_report.ran)


def test_every_row_ran_on_some_core(reports: dict[str, Report], host_report: Report) -> None:
    ran = {name for report in (host_report, *reports.values()) for name in report.ran}
    variant = re.compile(r"(_ref|_\d+x\d+(s\d)?_neon\w*)\.(cpp|S)$")
    files = {path.stem for path in KERNELS.rglob("*") if variant.search(path.name)}
    # depthwise_s8 has one reference for every window: depthwise_s8_3x3s1_ref is in depthwise_s8_ref.cpp.
    assert {re.sub(r"_\d+x\d+s\d_ref$", "_ref", name) for name in ran} == files, (
        "a variant without a row, or a row that no core ran"
    )


@pytest.mark.parametrize("core", WITHOUT_DOT_PRODUCT)
def test_a_core_without_sdot_refuses_the_dot_product_kernel(reports: dict[str, Report], core: str) -> None:
    report = reports[core]
    assert report.refused == {
        "conv_s8_8x8_neoni8mm": "asimddp,i8mm",
        "conv_s8_8x8_neondot": "asimddp",
        **{f"{op}_neondot": "asimddp" for op in DEPTHWISE},
        "gemm_s8_8x8_neoni8mm": "i8mm",
        "gemm_s8_8x8_neondot": "asimddp",
    }
    assert report.selected == {
        "conv_s8": "conv_s8_4x8_neon",
        **{op: f"{op}_neon" for op in DEPTHWISE},
        "gemm_s8": "gemm_s8_4x4_neon",
        "winograd_s8": "winograd_s8_4x16_neon",
        "preprocess_u8f32": "preprocess_u8f32_1x8_neon",
        "preprocess_u8s8": "preprocess_u8s8_1x8_neon",
    }


@pytest.mark.parametrize(("core", "product"), [("cortex-a76", "neondot"), ("max", "neoni8mm")])
def test_a_core_with_sdot_or_smmla_selects_the_kernels_that_use_it(
    reports: dict[str, Report], core: str, product: str
) -> None:
    report = reports[core]
    of_smmla = ("conv_s8_8x8_neoni8mm", "gemm_s8_8x8_neoni8mm")
    assert report.refused == ({} if core == "max" else dict.fromkeys(of_smmla, "i8mm"))
    assert report.selected == {
        "conv_s8": f"conv_s8_8x8_{product}",
        **{op: f"{op}_neondot" for op in DEPTHWISE},
        "gemm_s8": f"gemm_s8_8x8_{product}",
        "winograd_s8": "winograd_s8_4x16_neon",
        "preprocess_u8f32": "preprocess_u8f32_1x8_neon",
        "preprocess_u8s8": "preprocess_u8s8_1x8_neon",
    }


def test_the_dot_product_kernel_really_needs_its_instruction(aarch64_program: Path) -> None:
    """The refusal is worth something only if the kernel would have died there."""
    command = ["qemu-aarch64", "-cpu", "cortex-a72", str(aarch64_program), "--force-row", "gemm_s8_8x8_neondot"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode != 0
    assert "FAIL fatal signal in gemm_s8_8x8_neondot" in answer.stdout


@pytest.mark.parametrize(
    ("defect", "message"),
    [
        ("rounding", r"FAIL broken_rounding shape=\w+ seed=\d+: value \d+ of \d+ is \S+, the reference has \S+"),
        ("over-read", r"FAIL fatal signal in broken_over-read"),
        ("over-write", r"FAIL fatal signal in broken_over-write"),
        ("conv-fusion", r"FAIL broken_conv-fusion shape=\w+ seed=\d+: value \d+ of \d+ is \S+, the reference has \S+"),
        ("conv-floor", r"FAIL broken_conv-floor shape=\w+ seed=\d+: value \d+ of \d+ is -1, the reference has 0"),
        ("conv-gate", r"FAIL broken_conv-gate shape=\w+ seed=\d+: value \d+ of \d+ is \S+, the reference has \S+"),
        ("conv-curve", r"FAIL broken_conv-curve shape=\w+ seed=\d+: value \d+ of \d+ is \S+, the reference has \S+"),
        ("conv-pointers", r"FAIL fatal signal in broken_conv-pointers"),
        ("depthwise-padding", r"FAIL broken_depthwise-padding shape=x\d+ seed=\d+: value \d+ of \d+ is "),
        ("depthwise-pairs", r"FAIL fatal signal in broken_depthwise-pairs"),
        ("winograd-wrap", r"FAIL broken_winograd-wrap shape=\w+ seed=\d+: byte 0 of \d+ is "),
        ("registers", r"FAIL broken_registers .*callee-saved registers changed, mask 0x10001 "),
    ],
)
def test_the_suite_catches_a_broken_kernel(aarch64_program: Path, defect: str, message: str) -> None:
    report = run_on(WHOLE, aarch64_program, "--broken", defect)
    assert report.exit_code != 0
    assert re.search(message, report.text), report.text


def test_one_case_reruns_by_itself(host_program: Path) -> None:
    report = run_program([host_program, "--row", "gemm_s8_ref", "--shape", "5x7x33", "--seed", "0"])
    assert report.exit_code == 1
    assert report.ran == {"gemm_s8_ref": 0}, "a case that does not exist is not a passed one"
    report = run_program([host_program, "--row", "gemm_s8_ref", "--shape", "tile3", "--seed", "5"])
    assert (report.exit_code, report.ran) == (0, {"gemm_s8_ref": 1})


@pytest.mark.parametrize("path", sorted((ROOT / "csrc").rglob("*.S")), ids=lambda path: path.name)
def test_assembly_keeps_the_rules_of_the_house(path: Path) -> None:
    code = re.sub(r"//.*", "", path.read_text())
    assert not re.search(r"\b[xw]18\b", code), "x18 is the platform's"
    assert len(re.findall(r"^\s*ret\b", code, re.MULTILINE)) == 1
    labels = re.findall(r"^(\S+):", code, re.MULTILINE)
    assert all(label.startswith(f".L{path.stem}_") for label in labels), labels


def test_sources_stay_short() -> None:
    for path in (path for suffix in ("*.h", "*.cpp", "*.S") for path in (ROOT / "csrc").rglob(suffix)):
        lines = len(path.read_text().splitlines())
        assert lines <= 400, path
        assert lines <= 60 or not path.stem.endswith("_ref"), path


def test_only_the_table_lists_kernels() -> None:
    name = re.compile(r"\b(?:conv_s8|depthwise_s8|gemm_s8|preprocess_u8f32)_(?:ref|\d+x\d+(?:s\d)?_(?:ref|neon\w*))\b")
    for directory in ("runner", "layers", "python", "dispatch"):
        for path in sorted((ROOT / "csrc" / directory).rglob("*.cpp")):
            assert not name.search(path.read_text()), f"{path} names a kernel: ask the table"
