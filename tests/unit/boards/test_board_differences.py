"""Where a live board, as captured, differs from its definition."""

from __future__ import annotations

from dataclasses import replace

import pytest
from captures import MIB, facts_of, shipped

from edgedeploy.artifacts import ThermalZone
from edgedeploy.boards.probe import Severity, differences


@pytest.mark.parametrize("name", ["rk3399", "rpi4", "jetson-nano"])
def test_a_board_like_its_definition_has_no_differences(name: str) -> None:
    assert differences(shipped(name), facts_of(name)) == ()


def test_a_twin_is_compared_with_the_twin() -> None:
    assert differences(shipped("rk3399"), facts_of("twin-rk3399"), twin=True) == ()
    assert differences(shipped("rpi5"), facts_of("twin-rpi5"), twin=True) == ()
    found = differences(shipped("rk3399"), facts_of("twin-rk3399"))
    assert {item.what for item in found} >= {"cores cortex-a53", "thermal zone"}


def test_a_twin_with_one_vcpu_is_as_it_was_started() -> None:
    facts = facts_of("twin-rk3399")
    alone = replace(facts, cores=facts.cores[:1])
    (difference,) = differences(shipped("rk3399"), alone, twin=True)
    assert (difference.what, difference.defined, difference.found) == ("cores cortex-a72", "2", "1")
    assert differences(shipped("rk3399"), alone, twin=True, twin_vcpus=1) == ()


def test_a_core_switched_off_is_a_warning() -> None:
    facts = facts_of("rk3399")
    (difference,) = differences(shipped("rk3399"), replace(facts, cores=facts.cores[:-1]))
    assert difference.to_json() == {
        "what": "cores cortex-a72",
        "defined": "2",
        "found": "1",
        "severity": "warning",
    }


def test_another_board_is_an_error_and_errors_come_first() -> None:
    found = differences(shipped("rk3399"), facts_of("rpi4"))
    assert [item.severity for item in found] == sorted((item.severity for item in found), key=list(Severity).index)
    errors = {item.what for item in found if item.severity is Severity.ERROR}
    assert "cores cortex-a53" in errors
    assert "features of cortex-a53, cpu 0 to 3" in errors


def test_a_missing_feature_is_an_error_that_names_it() -> None:
    facts = facts_of("rk3399")
    cores = tuple(
        replace(core, features=tuple(f for f in core.features if f != "crc32")) if core.index == 5 else core
        for core in facts.cores
    )
    (difference,) = differences(shipped("rk3399"), replace(facts, cores=cores))
    assert difference.severity is Severity.ERROR
    assert difference.found == "without crc32"
    assert difference.what == "features of cortex-a72, cpu 4 to 5"


def test_more_features_are_a_note_and_kernel_services_are_none() -> None:
    facts = facts_of("rk3399")
    cores = tuple(replace(core, features=(*core.features, "ssbs", "asimddp")) for core in facts.cores)
    found = differences(shipped("rk3399"), replace(facts, cores=cores))
    assert {(item.severity, item.found) for item in found} == {(Severity.NOTE, "also asimddp")}
    without_services = tuple(
        replace(core, features=tuple(f for f in core.features if f not in {"evtstrm", "cpuid"})) for core in facts.cores
    )
    assert differences(shipped("rk3399"), replace(facts, cores=without_services)) == ()


@pytest.mark.parametrize(
    ("total_mib", "fits"), [(4096, True), (3800, True), (3300, True), (3200, False), (4097, False), (1900, True)]
)
def test_ram_may_lack_what_kernel_and_firmware_keep(total_mib: int, fits: bool) -> None:
    found = differences(shipped("rk3399"), replace(facts_of("rk3399"), memory_total_bytes=total_mib * MIB))
    assert [item.what for item in found] == ([] if fits else ["memory"])


def test_another_clock_is_a_warning_and_no_clock_a_note() -> None:
    facts = facts_of("rk3399")
    overclocked = {**facts.max_frequencies_khz, "cpu4": 2016000, "cpu5": 2016000}
    (difference,) = differences(shipped("rk3399"), replace(facts, max_frequencies_khz=overclocked))
    assert (difference.defined, difference.found) == ("1800 MHz", "2016 MHz")
    assert difference.severity is Severity.WARNING
    found = differences(shipped("rk3399"), replace(facts, max_frequencies_khz={}))
    assert {item.severity for item in found} == {Severity.NOTE}
    assert len(found) == 2


def test_thermal_zones_go_by_any_of_their_names() -> None:
    facts = facts_of("rk3399")
    vendor = (ThermalZone(name="thermal_zone0", kind="soc-thermal", millicelsius=1), facts.thermal_zones[1])
    assert differences(shipped("rk3399"), replace(facts, thermal_zones=vendor)) == ()
    (difference,) = differences(shipped("rk3399"), replace(facts, thermal_zones=facts.thermal_zones[:1]))
    assert difference.what == "thermal zone"
    assert difference.severity is Severity.NOTE


def test_another_architecture_is_an_error() -> None:
    facts = replace(facts_of("rpi4"), architecture="armv7l")
    first = differences(shipped("rpi4"), facts)[0]
    assert (first.what, first.defined, first.found, first.severity) == (
        "architecture",
        "aarch64",
        "armv7l",
        Severity.ERROR,
    )
