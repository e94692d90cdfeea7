"""Probes captured on boards and twins, and the shipped definitions beside them."""

from __future__ import annotations

from pathlib import Path

from edgedeploy.artifacts import BoardFacts
from edgedeploy.boards.load import load_board
from edgedeploy.boards.model import Board
from edgedeploy.boards.probe import parse_probe

CAPTURES = Path(__file__).parents[2] / "captures"
CAPTURED = ("rk3399", "rpi4", "jetson-nano", "alpine", "twin-rk3399", "twin-rpi5")
MIB = 1024 * 1024


def capture(name: str) -> str:
    return (CAPTURES / name / "probe.txt").read_text(encoding="utf-8")


def facts_of(name: str) -> BoardFacts:
    return parse_probe(capture(name))


def shipped(name: str) -> Board:
    return load_board(name, project_dir=None)
