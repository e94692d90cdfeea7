"""Status and rollback with real files and a real shell."""

from __future__ import annotations

import pytest
from deploy_workbench import APP, Workbench, runner_script

from edgedeploy.deploy.release import status
from edgedeploy.errors import NoReleaseError, RemoteCommandError, SelfTestError, UsageError


def test_status_before_the_first_flash_changes_nothing(bench: Workbench) -> None:
    found = status(bench.transport(), APP)
    assert (found.current, found.releases, found.store_bytes, found.history) == (None, (), 0, ())
    assert found.directory == str(bench.root)
    assert list(bench.home.iterdir()) == []


def test_status_in_one_round_trip(bench: Workbench) -> None:
    first, second = bench.bundle("weights 1"), bench.bundle("weights 2")
    bench.flash(first)
    bench.flash(second)
    transport = bench.transport()
    found = status(transport, APP)
    assert transport.traffic.round_trips == 1
    assert found.current == second.digest
    assert {release.digest: release.size_bytes for release in found.releases} == {
        first.digest: first.size_bytes,
        second.digest: second.size_bytes,
    }
    assert [release.current for release in found.releases if release.digest == second.digest] == [True]
    assert all(release.activated_at and release.activated_at.endswith("Z") for release in found.releases)
    assert [release.health for release in found.releases] == ["proven", "proven"]
    assert found.releases[0].versions == {"engine": "1.0", "edgedeploy": "0.1"}
    assert found.store_bytes == sum(path.stat().st_size for path in (bench.root / "store").iterdir())
    assert [item.to for item in found.history] == [first.digest, second.digest]


def test_status_with_a_damaged_manifest_and_history(bench: Workbench) -> None:
    bundle = bench.bundle()
    bench.flash(bundle)
    (bench.root / "releases" / bundle.digest / "manifest.json").write_text("{", encoding="utf-8")
    with (bench.root / "history.jsonl").open("a", encoding="utf-8") as history:
        history.write('{"time": "2026')
    (bench.root / "health" / bundle.digest).write_text("{", encoding="utf-8")
    found = status(bench.transport(), APP)
    assert (found.current, found.health, found.releases[0].health) == (bundle.digest, None, None)
    assert (found.releases[0].size_bytes, found.releases[0].versions) == (0, {})
    second = bench.bundle("weights 2")
    bench.flash(second)
    assert status(bench.transport(), APP).history[-1].to == second.digest


def test_current_that_points_elsewhere_is_no_release(bench: Workbench) -> None:
    bench.flash(bench.bundle())
    (bench.root / "current").unlink()
    (bench.root / "current").symlink_to("/etc")
    assert status(bench.transport(), APP).current is None
    assert bench.flash(bench.bundle()).verified
    assert bench.current == bench.bundle().digest


def test_rollback_goes_back_step_by_step_and_not_forward_again(bench: Workbench) -> None:
    bundles = [bench.bundle(f"weights {number}") for number in range(3)]
    for bundle in bundles:
        bench.flash(bundle)
    result = bench.rollback()
    assert (result.release, result.previous_release, result.verified) == (bundles[1].digest, bundles[2].digest, True)
    assert [step.name for step in result.steps] == ["inspect", "self-test", "activate", "health", "clean"]
    assert bench.current == bundles[1].digest
    assert bench.rollback().release == bundles[0].digest
    with pytest.raises(NoReleaseError):
        bench.rollback()
    assert bench.current == bundles[0].digest
    bench.check_whole()
    # What was rolled back is still there and can be chosen by the start of its digest.
    assert bench.rollback(bundles[2].digest[:10]).release == bundles[2].digest
    actions = [item.action for item in status(bench.transport(), APP).history]
    assert actions == ["flash"] * 3 + ["rollback"] * 3


def test_rollback_with_nothing_to_go_back_to(bench: Workbench) -> None:
    with pytest.raises(NoReleaseError):
        bench.rollback()
    bench.flash(bench.bundle())
    with pytest.raises(NoReleaseError, match="no release on the board that was active before"):
        bench.rollback()
    bench.check_whole()


@pytest.mark.parametrize("to", ["ffffff", "", "../..", "; rm -rf /"])
def test_rollback_to_a_release_that_is_not_there(bench: Workbench, to: str) -> None:
    bench.flash(bench.bundle())
    with pytest.raises(NoReleaseError) as caught:
        bench.rollback(to)
    assert bench.bundle().digest[:12] in caught.value.hint


def test_ambiguous_start_of_a_digest(bench: Workbench) -> None:
    bundles = [bench.bundle(f"weights {number}") for number in range(17)]
    starts = [bundle.digest[0] for bundle in bundles]
    twins = [bundle for bundle in bundles if starts.count(bundle.digest[0]) > 1][:1]
    twins += [bundle for bundle in bundles if bundle.digest[0] == twins[0].digest[0]][1:2]
    for bundle in twins:
        bench.flash(bundle)
    with pytest.raises(NoReleaseError, match="fits several"):
        bench.rollback(twins[0].digest[0])


def test_rollback_proves_before_it_switches(bench: Workbench) -> None:
    switch = bench.home / "fail"
    first = bench.bundle("weights 1", runner=runner_script(before=f'[ ! -e "{switch}" ] || exit 6'))
    second = bench.bundle("weights 2")
    bench.flash(first)
    bench.flash(second)
    switch.touch()
    with pytest.raises(SelfTestError, match="rollback of demo-app, step self-test"):
        bench.rollback()
    assert bench.current == second.digest
    bench.check_whole()


def test_directory_must_be_absolute_or_the_homes(bench: Workbench) -> None:
    for directory in ("relative", "~other/x", "/a/../b", "", "/a\nb"):
        with pytest.raises(UsageError, match="cannot be the directory"):
            status(bench.transport(), APP, directory=directory)
    assert status(bench.transport(), APP, directory="/no/such").directory == f"/no/such/{APP}"


def test_directory_with_odd_characters(bench: Workbench) -> None:
    directory = str(bench.home / "it's $HOME; a dir")
    bundle = bench.bundle()
    assert bench.flash(bundle, directory=directory).verified
    found = status(bench.transport(), APP, directory=directory)
    assert (found.directory, found.current) == (f"{directory}/{APP}", bundle.digest)
    assert [path.name for path in bench.home.iterdir()] == ["it's $HOME; a dir"]


def test_board_whose_shell_answers_nonsense(bench: Workbench, tmp_path_factory: pytest.TempPathFactory) -> None:
    applets = tmp_path_factory.mktemp("nonsense")
    (applets / "sh").write_text("#!/bin/sh\necho Welcome\n", encoding="utf-8")
    (applets / "sh").chmod(0o755)
    bench.environment["PATH"] = str(applets)
    with pytest.raises(RemoteCommandError):
        status(bench.transport(), APP)
    with pytest.raises(RemoteCommandError, match="Welcome"):
        bench.rollback()
