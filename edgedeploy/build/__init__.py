"""The build stage: engine and ``csrc/`` cross-compiled for a board's triple, cached by the content of the inputs."""

from __future__ import annotations

from edgedeploy.build.choose import choose_toolchain
from edgedeploy.build.engine import ENGINE_VERSION, Engine, ensure_engine
from edgedeploy.build.plugin import build_plugin
from edgedeploy.build.runtime import build_runtime
from edgedeploy.build.toolchain import Toolchain, ToolchainFamily, known_triples
from edgedeploy.build.tools import missing_tools
from edgedeploy.build.wheel import build_wheel

__all__ = [
    "ENGINE_VERSION",
    "Engine",
    "Toolchain",
    "ToolchainFamily",
    "build_plugin",
    "build_runtime",
    "build_wheel",
    "choose_toolchain",
    "ensure_engine",
    "known_triples",
    "missing_tools",
]
