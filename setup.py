"""Builds the extension module ``edgedeploy_ops._native`` with CMake and packs the sources that boards are built from.

Metadata and tool settings live in pyproject.toml.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pybind11
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent.resolve()
RESOURCES = ("boards", "csrc", "examples", "toolchains", "CMakeLists.txt")
NOT_RESOURCES = shutil.ignore_patterns("__pycache__", "*.so", "*.pyc", "build", "out", ".edgedeploy")


class CMakeBuild(build_ext):
    """Builds the extension by the top CMakeLists.txt."""

    def build_extension(self, ext: Extension) -> None:
        """Configure, build, and leave the module where setuptools wants it.

        The module goes through a directory of the build first, so that an editable install gets the module alone
        beside its sources.
        """
        target = Path(self.get_ext_fullpath(ext.name)).resolve()
        build_dir = Path(self.build_temp).resolve() / "cmake"
        output_dir = build_dir / "module"
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        build_type = "Debug" if self.debug else "Release"
        configure = [
            "cmake",
            "--fresh",  # an isolated build's CMake and Ninja are gone by the next build, a kept cache still names them
            *("-S", str(ROOT)),
            *("-B", str(build_dir)),
            *_generator(),
            f"-DCMAKE_BUILD_TYPE={build_type}",
            "-DEDGEDEPLOY_PYTHON=ON",
            f"-DEDGEDEPLOY_PYTHON_INCLUDE={_python_include()}",
            f"-DEDGEDEPLOY_PYTHON_SUFFIX={suffix}",
            f"-DEDGEDEPLOY_PYBIND11_INCLUDE={pybind11.get_include()}",
            f"-DEDGEDEPLOY_PYTHON_OUTPUT={output_dir}",
        ]
        subprocess.run(configure, check=True)
        jobs = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", str(os.cpu_count() or 1))
        subprocess.run(["cmake", "--build", str(build_dir), "--parallel", jobs], check=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(output_dir / f"_native{suffix}", target)


class BuildPyWithResources(build_py):
    """Copies what ``edgedeploy.paths.resource_dir`` promises; an editable install reads the checkout."""

    def run(self) -> None:
        """Copy the modules, then the resources, into a directory without leftovers of an earlier build."""
        if self.editable_mode:
            super().run()
            return
        package = Path(self.build_lib) / "edgedeploy"
        shutil.rmtree(package, ignore_errors=True)
        super().run()
        destination = package / "_resources"
        destination.mkdir(parents=True)
        for name in RESOURCES:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, destination / name, ignore=NOT_RESOURCES)
            else:
                shutil.copy2(source, destination / name)


def _generator() -> tuple[str, ...]:
    """Return CMake's arguments for Ninja where it is there; Make otherwise."""
    return ("-G", "Ninja") if shutil.which("ninja") and "CMAKE_GENERATOR" not in os.environ else ()


def _python_include() -> str:
    """Return the directory of Python.h, or stop with the command that installs it."""
    include = Path(sysconfig.get_path("include"))
    if not (include / "Python.h").is_file():
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        message = f"Python.h is not in {include}: install Python's headers (Debian: apt install python{version}-dev)"
        raise SystemExit(message)
    return str(include)


setup(
    ext_modules=[Extension("edgedeploy_ops._native", sources=[])],
    cmdclass={"build_ext": CMakeBuild, "build_py": BuildPyWithResources},
)
