"""Runs the pnnx program on a model in a scratch directory."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edgedeploy.errors import ConversionError, MissingToolError

DEADLINE_S = 900.0
TAIL_LINES = 12
_INSTALL = "pip install pnnx"
_COLOR = re.compile(r"\x1b\[[0-9;]*m")


def pnnx_program() -> Path:
    """Return the converter inside the pnnx package. The package itself is not imported: it would import torch.

    Raises:
        MissingToolError: pnnx is not installed, or has no program for this machine.
    """
    spec = importlib.util.find_spec("pnnx")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        for name in ("pnnx", "pnnx.exe"):
            program = Path(folder) / name
            if program.is_file():
                return program
    raise MissingToolError("the converter pnnx is not installed for this machine", hint=_INSTALL)


def converter_version() -> str:
    """Return for example ``pnnx 20261020``.

    Raises:
        MissingToolError: pnnx is not installed.
    """
    try:
        return f"pnnx {importlib.metadata.version('pnnx')}"
    except importlib.metadata.PackageNotFoundError:
        raise MissingToolError("the converter pnnx is not installed", hint=_INSTALL) from None


def run_pnnx(
    model: Path, shapes: Sequence[tuple[int, ...]], *, hint: str, deadline_s: float = DEADLINE_S
) -> tuple[Path, Path]:
    """Convert a model with weights in float32; all output lands beside it.

    Args:
        model: A copy in a directory of its own.
        shapes: Static shape of every input, in the model's order.
        hint: What the user can do when the converter fails.

    Returns:
        The ``.param`` and the ``.bin`` file.

    Raises:
        ConversionError: The converter failed, took too long or wrote nothing; the message ends with its last lines.
    """
    listed = ",".join(f"[{','.join(str(size) for size in shape)}]f32" for shape in shapes)
    command = [str(pnnx_program()), model.name, f"inputshape={listed}", "fp16=0"]
    try:
        done = subprocess.run(
            command, cwd=model.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=deadline_s, check=False
        )
    except subprocess.TimeoutExpired as expired:
        tail = _tail(expired.stdout or b"")
        raise ConversionError(f"the converter did not finish in {deadline_s:g} s\n{tail}", hint=hint) from None
    except OSError as error:
        raise ConversionError(f"the converter does not start: {error}", hint=f"{_INSTALL} --force-reinstall") from error
    param, weights = (model.with_name(f"{model.stem}.ncnn.{kind}") for kind in ("param", "bin"))
    if done.returncode != 0 or not param.is_file() or not weights.is_file():
        message = f"the converter failed with status {done.returncode}\n{_tail(done.stdout)}"
        raise ConversionError(message.rstrip(), hint=hint)
    return param, weights


def _tail(output: bytes) -> str:
    text = _COLOR.sub("", output.decode("utf-8", errors="replace"))
    return "\n".join(text.strip().splitlines()[-TAIL_LINES:])
