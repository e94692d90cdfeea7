"""Every reader of files that others may have written or damaged, and what each must hold for any bytes.

The hypothesis tests and the coverage-guided fuzzer share them: ``check`` is the one judge.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import fuzz_seeds as seeds
from fuzz_bounds import bounded

from edgedeploy.artifacts import InputSpec
from edgedeploy.bench.documents import parse_active_release
from edgedeploy.bench.documents import parse_selftest as parse_bench_selftest
from edgedeploy.boards.load import read_board_file
from edgedeploy.bundle.keys import read_public_key
from edgedeploy.bundle.load import SOURCES_FILE, load_bundle
from edgedeploy.bundle.manifest import MANIFEST_FILE, parse_manifest, preprocessing_fingerprint
from edgedeploy.cli.health_pages import health_rows
from edgedeploy.cyclesfile import read_cycles
from edgedeploy.deploy.gate import health_error
from edgedeploy.deploy.history import kept_releases, parse_history, succession
from edgedeploy.deploy.lock import is_dead, parse_owner
from edgedeploy.deploy.release import parse_status
from edgedeploy.deploy.selftest import parse_selftest
from edgedeploy.deploy.signature import parse_verdict
from edgedeploy.deploy.survey import Survey, parse_survey
from edgedeploy.deploy.trust import check_changed, parse_trusted_keys
from edgedeploy.elffile import read_elf
from edgedeploy.errors import EdgedeployError, InternalError, TrustError
from edgedeploy.fleet.waves import wave_counts
from edgedeploy.fleetfile import load_fleet
from edgedeploy.graph import format_param, parse_param, read_graph
from edgedeploy.graph.check import check_graph
from edgedeploy.graph.weights import weights_bytes
from edgedeploy.healthfile import parse_health
from edgedeploy.lab.leases import parse_note
from edgedeploy.preprocessing import load_sample
from edgedeploy.project import PROJECT_FILE, load_project
from edgedeploy.quantfile import read_quantization
from edgedeploy.quantize.data_files import open_files
from edgedeploy.quantize.data_inputs import Inputs
from edgedeploy.quantize.data_labels import read_labels
from edgedeploy.quantize.table import format_table, parse_table, read_table
from edgedeploy.runfile import dump_record, parse_measurement, read_run
from edgedeploy.transport.local import LocalTransport
from edgedeploy.transport.protocol import CommandResult

SPEC = InputSpec(name=seeds.NAME, shape=seeds.SHAPE)


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One reader.

    Args:
        read: Takes the bytes and a directory for files of its own; raises what the reader raises, and
            ``AssertionError`` where what was read is not what the bytes say.
        seeds: Valid documents.
    """

    read: Callable[[bytes, Path], None]
    seeds: Callable[[], tuple[bytes, ...]]


def check(reader: Reader, content: bytes, directory: Path) -> EdgedeployError | None:
    """Read the bytes; return None where they were taken, else the typed error that refused them.

    Raises:
        AssertionError: The error is of no kind, says nothing, or cannot be shown; or the bounds were broken.
        Exception: Whatever else the reader raised: it crashed.
    """
    try:
        with bounded():
            reader.read(content, directory)
    except EdgedeployError as error:
        assert not isinstance(error, InternalError), error
        assert error.slug != EdgedeployError.slug, f"{type(error).__name__} has no slug of its own"
        assert error.message and error.hint, error
        assert len(f"{error.message}{error.hint}".encode()) < 1_000_000
        assert json.dumps(error.to_json())
        return error
    return None


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="surrogateescape")


def _said(content: bytes) -> CommandResult:
    """What a board said; behind the mark it is on stderr."""
    out, _, err = content.partition(seeds.STDERR_MARK)
    return CommandResult(command="script", exit_status=0, stdout=_text(out), stderr=_text(err), seconds=0.0)


def _file(directory: Path, name: str, content: bytes) -> Path:
    path = directory / name
    path.write_bytes(content)
    return path


def _param(content: bytes, _: Path) -> None:
    text = _text(content)
    assert format_param(parse_param(text)) == text


def _network(content: bytes, directory: Path) -> None:
    param, _, weights = content.partition(seeds.WEIGHTS_MARK)
    graph = read_graph(_file(directory, "net.param", param), _file(directory, "net.bin", weights))
    assert weights_bytes(graph) == weights
    for layer in graph.layers:
        for weight in layer.weights:
            assert weight.array.shape == weight.shape
    check_graph(graph)


def _manifest(content: bytes, _: Path) -> None:
    manifest = parse_manifest(content, origin="fuzz")
    assert parse_manifest(manifest.to_bytes(), origin="again") == manifest


def _bundle(content: bytes, directory: Path) -> None:
    _file(directory, MANIFEST_FILE, content)
    load_bundle(directory)


def _sources(content: bytes, directory: Path) -> None:
    _file(directory, MANIFEST_FILE, seeds.manifests()[0])
    _file(directory, SOURCES_FILE, content)
    load_bundle(directory)


def _run(content: bytes, directory: Path) -> None:
    dump_record(read_run(_file(directory, "run.json", content)))


def _measurement(content: bytes, _: Path) -> None:
    dump_record(parse_measurement(_text(content)))


def _quantization(content: bytes, directory: Path) -> None:
    dump_record(read_quantization(_file(directory, "quantization.json", content)))


def _cycles(content: bytes, directory: Path) -> None:
    dump_record(read_cycles(_file(directory, "cycles.json", content)))


def _board(content: bytes, directory: Path) -> None:
    read_board_file(_file(directory, f"{seeds.BOARD}.toml", content))


def _project(content: bytes, directory: Path) -> None:
    project = load_project(_file(directory, PROJECT_FILE, content))
    assert preprocessing_fingerprint(project.input_specs)
    assert project.postprocessing_spec


def _fleet(content: bytes, directory: Path) -> None:
    fleet = load_fleet(_file(directory, "fleet.toml", content))
    assert sum(wave_counts(fleet.waves.sizes, len(fleet.boards))) == len(fleet.boards)


def _table(content: bytes, directory: Path) -> None:
    table = read_table(_file(directory, "net.table", content))
    assert parse_table(format_table(table)) == table


def _labels(content: bytes, directory: Path) -> None:
    assert all(label >= 0 for label in read_labels(_file(directory, "labels.csv", content)).values())


def _arrays(suffix: str) -> Callable[[bytes, Path], None]:
    def read(content: bytes, directory: Path) -> None:
        path = _file(directory, f"item{suffix}", content)
        try:
            data = open_files(directory, Inputs(specs=(SPEC,), engine_names=("in0",)), None)
            assert data.item(0).tensors["in0"].size == 6
        finally:
            assert load_sample(path, (SPEC,)).tensors[SPEC.name].shape == SPEC.shape

    return read


def _active_release(content: bytes, _: Path) -> None:
    parse_active_release(_text(content))


def _selftest(content: bytes, _: Path) -> None:
    try:
        parse_selftest(_said(content))
    finally:
        parse_bench_selftest(_text(content))


def _owner(content: bytes, _: Path) -> None:
    owner = parse_owner(_text(content))
    if owner is not None:
        is_dead(owner)


def _lease(content: bytes, _: Path) -> None:
    note = parse_note(_text(content))
    assert note is None or isinstance(note.is_of(1.5), bool)


def _health(content: bytes, _: Path) -> None:
    health = parse_health(_text(content))
    if health is not None:
        assert json.dumps(health.to_json(), allow_nan=False)
        assert health_rows(health)
        assert str(health_error(health, now="nothing is active"))


def _history(content: bytes, _: Path) -> None:
    history = parse_history(_text(content).splitlines())
    succession(history, current=seeds.DIGEST, present=(seeds.DIGEST,))
    kept_releases(history)
    assert all(item.describe() for item in history)


def _survey(content: bytes, _: Path) -> None:
    found = parse_survey(_said(content))
    if isinstance(found, Survey):
        assert found.free_disk_bytes + found.free_memory_bytes + len(found.releases) >= 0
        assert found.recovered is None or found.recovered.describe()


def _status(content: bytes, _: Path) -> None:
    found = parse_status(LocalTransport(), "toy", _said(content))
    assert found.store_bytes >= 0
    assert found.unfinished is None or found.unfinished.describe()


def _verdict(content: bytes, _: Path) -> None:
    key = parse_verdict(_said(content))
    assert key is None or key.fingerprint.startswith("SHA256:")


def _changed(content: bytes, _: Path) -> None:
    check_changed(_said(content))


def _trusted_keys(content: bytes, _: Path) -> None:
    text = _text(content)
    try:
        trusted = parse_trusted_keys(text)
    except ValueError as error:
        raise TrustError("no list", hint="as the reader's caller says it") from error
    assert trusted.to_bytes().decode("ascii") == text


def _public_key(content: bytes, directory: Path) -> None:
    key = read_public_key(_file(directory, "fuzz.pub", content))
    assert key.name and key.fingerprint


def _elf(content: bytes, directory: Path) -> None:
    facts = read_elf(_file(directory, "program", content))
    assert facts.architecture
    assert (facts.glibc is None) == (facts.glibc_symbol is None)


READERS = {
    "param": Reader(read=_param, seeds=seeds.params),
    "network": Reader(read=_network, seeds=seeds.networks),
    "manifest": Reader(read=_manifest, seeds=seeds.manifests),
    "bundle": Reader(read=_bundle, seeds=seeds.manifests),
    "sources": Reader(read=_sources, seeds=lambda: (b'{"model/m.param":"/nowhere/m.param"}',)),
    "run": Reader(read=_run, seeds=seeds.runs),
    "measurement": Reader(read=_measurement, seeds=seeds.measurements),
    "quantization": Reader(read=_quantization, seeds=seeds.quantizations),
    "cycles": Reader(read=_cycles, seeds=seeds.cycles),
    "board": Reader(read=_board, seeds=seeds.boards),
    "project": Reader(read=_project, seeds=seeds.projects),
    "fleet": Reader(read=_fleet, seeds=seeds.fleets),
    "table": Reader(read=_table, seeds=seeds.tables),
    "labels": Reader(read=_labels, seeds=seeds.label_files),
    "npy": Reader(read=_arrays(".npy"), seeds=seeds.arrays),
    "npz": Reader(read=_arrays(".npz"), seeds=seeds.archives),
    "active-release": Reader(read=_active_release, seeds=seeds.active_releases),
    "selftest": Reader(read=_selftest, seeds=seeds.selftests),
    "owner": Reader(read=_owner, seeds=seeds.owners),
    "lease": Reader(read=_lease, seeds=seeds.leases),
    "health": Reader(read=_health, seeds=seeds.healths),
    "elf": Reader(read=_elf, seeds=seeds.programs),
    "history": Reader(read=_history, seeds=seeds.histories),
    "survey": Reader(read=_survey, seeds=seeds.surveys),
    "status": Reader(read=_status, seeds=seeds.statuses),
    "verdict": Reader(read=_verdict, seeds=seeds.verdicts),
    "changed": Reader(read=_changed, seeds=seeds.changes),
    "trusted-keys": Reader(read=_trusted_keys, seeds=seeds.lists_of_keys),
    "public-key": Reader(read=_public_key, seeds=seeds.public_keys),
}
