"""Puts a release together on the host: golden arrays, manifest, and where every other file comes from.

A bundle's directory has ``manifest.json``, ``golden/*.npy`` and ``sources.json``. The last one stays on the host: it
maps the manifest's paths to the files of the caches (model, on-board program), which are not copied.
"""

from __future__ import annotations

import io
import math
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedeploy import __version__
from edgedeploy.artifacts import (
    BuiltRuntime,
    Bundle,
    ComparisonLimits,
    ConvertedModel,
    FloatArray,
    InputSpec,
    Postprocessing,
    Precision,
    Preprocessing,
    Resize,
    Sample,
    canonical_json,
)
from edgedeploy.bundle.load import SOURCES_FILE, load_bundle
from edgedeploy.bundle.manifest import MANIFEST_FILE, Manifest, parse_manifest, preprocessing_fingerprint
from edgedeploy.errors import BundleError
from edgedeploy.files import file_sha256

RUNNER_PATH = "bin/edgedeploy-runner"
PARAM_PATH = "model/model.param"
WEIGHTS_PATH = "model/model.bin"

# The on-board program with its libraries, buffers of the allocator included.
PROGRAM_BYTES = 32 << 20
# The file's bytes while it is read, ncnn's unpacked copy, and room for the transformed weights of 3x3 convolutions.
WEIGHT_COPIES = 4
# Activations alive at once, in units of the largest input or output; backbones hold several maps of that size.
ACTIVATION_COPIES = 24


def make_bundle(
    *,
    app: str,
    board_name: str,
    model: ConvertedModel,
    runtime: BuiltRuntime,
    sample: Sample,
    golden_outputs: Mapping[str, FloatArray],
    golden_limits: ComparisonLimits,
    postprocessing: Postprocessing,
    precision: Precision,
    directory: Path,
) -> Bundle:
    """Write a bundle and return it. The same inputs give the same digest, whatever the directory.

    Args:
        model: ``inputs`` carry ncnn's names and go into the manifest as such, ``source_inputs`` the user's.
        sample: The golden input, by the user's input names; ``raw`` is what is pushed.
        golden_outputs: ncnn's output name -> float32 in ncnn's shape.
        golden_limits: What the self-test on the board allows; of it, ``cosine`` and ``max_abs_error`` are pushed.
        directory: Where the bundle is to lie; replaced as a whole if there is one already.

    Raises:
        BundleError: Arrays that do not fit the model, a missing file, or a directory that is not a bundle's.
    """
    _check_replaceable(directory)
    golden_inputs = _golden_inputs(model, sample)
    golden_results = _golden_outputs(model, golden_outputs)
    with _replacing(directory) as scratch:
        input_files = _write_arrays(scratch, golden_inputs, "input")
        output_files = _write_arrays(scratch, golden_results, "output")
        arrays = (*input_files.values(), *output_files.values())
        sources = {RUNNER_PATH: runtime.runner, PARAM_PATH: model.param, WEIGHTS_PATH: model.weights}
        document: dict[str, Any] = {
            "schema": 1,
            "app": app,
            "board": board_name,
            "triple": runtime.triple,
            "versions": {
                "edgedeploy": __version__,
                "engine": runtime.engine_version,
                "converter": model.converter_version,
                "build_id": runtime.build_id,
            },
            "model": _model_part(model, precision),
            "postprocessing": postprocessing.to_json(),
            "preprocessing_fingerprint": preprocessing_fingerprint(_plain_inputs(model)),
            "golden": {
                "inputs": [{"name": name, "file": path} for name, path in input_files.items()],
                "outputs": [{"name": name, "file": path} for name, path in output_files.items()],
                "limits": {"cosine": golden_limits.cosine, "max_abs_error": golden_limits.max_abs_error},
            },
            "requirements": _requirements_part(model, runtime),
            "files": _file_parts({**sources, **{path: scratch / path for path in arrays}}),
        }
        manifest = parse_manifest(canonical_json(document), origin="the manifest to be written")
        _write_documents(scratch, manifest, sources)
    return load_bundle(directory)


def estimate_memory_bytes(model: ConvertedModel) -> int:
    """Return about how much memory running the model on a board takes: an estimate, made without running it.

    The program, four times the weights (file, unpacked, and what the engine keeps transformed), and 24 float32 maps as
    large as the largest input or output. PP-OCRv4 detection at 192x384 in float32 is estimated at 61 MiB; it was
    measured at 56 MiB under user-mode emulation, the emulator's own memory included. The preflight compares the
    estimate with what the board has free; the benchmark measures the real figure.
    """
    shapes = [item.shape for item in model.inputs] + [item.shape for item in model.outputs]
    elements = [math.prod(shape) for shape in shapes]
    activations = ACTIVATION_COPIES * 4 * max(elements, default=0)
    return PROGRAM_BYTES + WEIGHT_COPIES * model.weights.stat().st_size + activations


def _plain_inputs(model: ConvertedModel) -> tuple[InputSpec, ...]:
    """Return the user's inputs with every number as the float it is in JSON: 1 and 1.0 are one fingerprint."""
    return tuple(
        InputSpec(
            name=item.name,
            shape=tuple(int(extent) for extent in item.shape),
            preprocessing=item.preprocessing
            and Preprocessing(
                color=item.preprocessing.color,
                resize=item.preprocessing.resize,
                mean=tuple(float(value) for value in item.preprocessing.mean),
                scale=tuple(float(value) for value in item.preprocessing.scale),
            ),
        )
        for item in model.source_inputs
    )


def _model_part(model: ConvertedModel, precision: Precision) -> dict[str, Any]:
    return {
        "param": PARAM_PATH,
        "weights": WEIGHTS_PATH,
        "precision": precision.value,
        "inputs": [
            {
                "name": own.name,
                "source_name": source.name,
                "shape": list(source.shape),
                "preprocessing": source.preprocessing.to_json() if source.preprocessing else None,
            }
            for own, source in zip(model.inputs, _plain_inputs(model), strict=True)
        ],
        "outputs": [
            {"name": item.name, "source_name": item.source_name, "shape": list(item.shape)} for item in model.outputs
        ],
    }


def _requirements_part(model: ConvertedModel, runtime: BuiltRuntime) -> dict[str, Any]:
    needs = runtime.requirements
    part: dict[str, Any] = {
        "architecture": needs.architecture,
        "isa": sorted(needs.isa),
        "glibc": needs.glibc,
        "memory_bytes": estimate_memory_bytes(model),
    }
    if needs.glibc_symbol is not None:
        part["glibc_symbol"] = needs.glibc_symbol
    return part


def _golden_inputs(model: ConvertedModel, sample: Sample) -> dict[str, NDArray[Any]]:
    """Return ncnn's input name -> the array that the on-board program reads.

    Raises:
        BundleError: An input without a sample, or one of another type or shape than the contract has.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for own, source in zip(model.inputs, model.source_inputs, strict=True):
        array = sample.raw.get(source.name)
        if array is None:
            raise BundleError(
                f"the sample {sample.name} has no input {source.name!r}; it has {sorted(sample.raw)}",
                hint="every input of the model needs a sample",
            )
        wanted = _misfit(array, source)
        if wanted is not None:
            raise BundleError(
                f"the sample {sample.name} has {array.dtype} {array.shape} for input {source.name!r}, not {wanted}",
                hint="see preprocessing in edgedeploy.toml: images need it, tensors must not have it",
            )
        arrays[own.name] = array
    return arrays


def _misfit(array: NDArray[Any], spec: InputSpec) -> str | None:
    """Return what the on-board program wants for an input where the array is something else, None where it fits."""
    if spec.preprocessing is None:
        return None if array.shape == spec.shape and array.dtype == np.float32 else f"float32 {spec.shape}"
    is_image = array.ndim == 3 and array.shape[2] == 3 and array.size > 0 and array.dtype == np.uint8
    if spec.preprocessing.resize is Resize.BILINEAR:
        return None if is_image else "uint8 (height, width, 3)"
    height, width = spec.shape[-2:]
    return None if is_image and array.shape[:2] == (height, width) else f"uint8 {(height, width, 3)}"


def _golden_outputs(model: ConvertedModel, outputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Return the outputs in the model's order.

    Raises:
        BundleError: Other names than the model's, another shape, or values that no self-test could match.
    """
    names = [item.name for item in model.outputs]
    if sorted(names) != sorted(outputs):
        raise BundleError(f"golden outputs {sorted(outputs)} are not the model's {sorted(names)}", hint="convert again")
    for item in model.outputs:
        array = outputs[item.name]
        if array.shape != item.shape or array.dtype != np.float32:
            raise BundleError(
                f"golden output {item.name} is {array.dtype} {array.shape}, the model's is float32 {item.shape}",
                hint="convert the model again",
            )
        if not np.isfinite(array).all():
            raise BundleError(
                f"golden output {item.name} has values that are not finite",
                hint="choose a sample that the model answers with finite numbers, or look at its last layers",
            )
    return {name: outputs[name] for name in names}


def _write_arrays(scratch: Path, arrays: Mapping[str, NDArray[Any]], kind: str) -> dict[str, str]:
    """Write ``golden/*.npy`` and return array name -> path in the release."""
    (scratch / "golden").mkdir(exist_ok=True)
    paths = {}
    for index, (name, array) in enumerate(arrays.items()):
        path = f"golden/{name}.npy"
        if not re.fullmatch(r"[A-Za-z0-9_]{1,64}", name) or (scratch / path).exists():
            path = f"golden/{kind}-{index}.npy"
        (scratch / path).write_bytes(_npy_bytes(array))
        paths[name] = path
    return paths


def _npy_bytes(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    np.lib.format.write_array(stream, plain, version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def _file_parts(files: Mapping[str, Path]) -> list[dict[str, Any]]:
    parts = []
    for path in sorted(files):
        source = files[path]
        if not source.is_file():
            raise BundleError(f"{source}, which is {path} in the release, does not exist", hint="run the command again")
        mode = "755" if path.startswith("bin/") else "644"
        parts.append({"path": path, "sha256": file_sha256(source), "size_bytes": source.stat().st_size, "mode": mode})
    return parts


def _write_documents(scratch: Path, manifest: Manifest, sources: Mapping[str, Path]) -> None:
    (scratch / MANIFEST_FILE).write_bytes(manifest.to_bytes())
    places = {path: str(source.absolute()) for path, source in sources.items()}
    (scratch / SOURCES_FILE).write_bytes(canonical_json(places))


def _check_replaceable(directory: Path) -> None:
    if not directory.exists():
        return
    if not directory.is_dir() or (any(directory.iterdir()) and not (directory / MANIFEST_FILE).is_file()):
        raise BundleError(
            f"{directory} exists and is not a bundle, so it is not replaced",
            hint="name another directory, or remove it",
        )


@contextmanager
def _replacing(directory: Path) -> Iterator[Path]:
    """Give a scratch directory beside ``directory`` that takes its place when the block ends well, and goes if not.

    Raises:
        BundleError: One of the two cannot be written.
    """
    parent, prefix = directory.parent, f".{directory.name}."
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as name:
            scratch = Path(name) / "new"
            scratch.mkdir()
            yield scratch
            if directory.exists():
                directory.rename(Path(name) / "old")
            scratch.rename(directory)
    except OSError as error:
        raise BundleError(
            f"the bundle {directory} cannot be written: {error}",
            hint="check the free disk space, and that you may write there",
        ) from error
