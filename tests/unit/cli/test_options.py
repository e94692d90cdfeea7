"""Target options reach a command as one object, whatever the command adds of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from edgedeploy.artifacts import Clock
from edgedeploy.cli.model_commands import parse_shapes
from edgedeploy.cli.options import TargetOptions, takes_target
from edgedeploy.errors import UsageError


def test_a_command_gets_the_target_and_its_own_options(tmp_path: Path) -> None:
    (tmp_path / "key").touch()
    seen: list[tuple[TargetOptions, int]] = []
    app = typer.Typer()

    @app.command()
    @takes_target()
    def act(options: TargetOptions, times: int = 1) -> None:
        seen.append((options, times))

    words = [
        "--board",
        "rk3399",
        "--emulated",
        "--clock",
        "instructions",
        "--times",
        "3",
        "--key",
        str(tmp_path / "key"),
    ]
    assert CliRunner().invoke(app, words).exit_code == 0
    ((options, times),) = seen
    assert times == 3
    assert options.board == "rk3399"
    assert options.emulated
    assert options.clock is Clock.INSTRUCTIONS
    assert options.key == tmp_path / "key"
    assert options.host is None


def test_the_board_may_be_an_argument() -> None:
    seen: list[str] = []
    app = typer.Typer()

    @app.command()
    @takes_target(board=str)
    def act(options: TargetOptions) -> None:
        seen.append(options.board)

    assert CliRunner().invoke(app, ["rpi4", "--emulated"]).exit_code == 0
    assert seen == ["rpi4"]
    assert CliRunner().invoke(app, ["--emulated"]).exit_code == 2


def test_parse_shapes() -> None:
    assert parse_shapes(["x=1,3,48,192", "y=1,2"]) == {"x": (1, 3, 48, 192), "y": (1, 2)}
    for word in ("x", "x=", "x=1,a", "x=1;2"):
        with pytest.raises(UsageError, match="NAME=1,C,H,W"):
            parse_shapes([word])
