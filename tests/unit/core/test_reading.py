"""Documents that would cost more than they are worth, each as the reader of its kind refuses it."""

from __future__ import annotations

import errno
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgedeploy.array_files import read_array, read_arrays, read_named_array
from edgedeploy.boards.load import read_board_file
from edgedeploy.bundle.manifest import MANIFEST_LIMIT_BYTES, parse_manifest
from edgedeploy.deploy.history import parse_history
from edgedeploy.deploy.lock import parse_owner
from edgedeploy.errors import (
    BoardFileError,
    BundleError,
    CalibrationTableError,
    MissingFileError,
    ParamSyntaxError,
    ProjectFileError,
    RunFileError,
    UnreadableInputError,
)
from edgedeploy.errors.root import LONGEST_TEXT
from edgedeploy.graph import parse_param, read_graph
from edgedeploy.graph.files import PARAM_LIMIT_BYTES
from edgedeploy.graph.weights import attach_weights
from edgedeploy.project import load_project
from edgedeploy.quantize.data_labels import read_labels
from edgedeploy.quantize.table import parse_table
from edgedeploy.reading import TOML_LIMIT_BYTES, load_json, read_limited, read_toml, require_modest_json, shown
from edgedeploy.runfile import RECORD_LIMIT_BYTES, parse_run, read_run

DEEP = 100_000


def _board(path: Path) -> None:
    read_board_file(path)


def _project(path: Path) -> None:
    load_project(path)


class TestToml:
    @pytest.mark.parametrize(("read", "error"), [(_board, BoardFileError), (_project, ProjectFileError)])
    @pytest.mark.parametrize(
        ("text", "named"),
        [
            ("a = " + "[" * 5000, "nested too deeply"),
            ("a." * 30_000 + "a = 1", "more than 32 parts"),
            ("x = 1\n[" + '"a" . ' * 40 + "b]", r"more than 32 parts \(at line 2\)"),
            ("a = " + "9" * 5000, "not valid TOML"),
            ("name = 0x" + "f" * 20_000, "a number of 80000 bits"),
            ("# " + "x" * TOML_LIMIT_BYTES, "longer than 262144 bytes"),
            ("".join(f"k{index} = 1\n" for index in range(2000)), r"and \d+ more"),
            ("".join(f"k{index} = 1\n" for index in range(20_000)), r"it has \d+ faults"),
        ],
        ids=["nested", "dotted", "quoted", "digits", "hexadecimal", "long", "faults", "more faults"],
    )
    def test_refused(
        self, text: str, named: str, read: Callable[[Path], None], error: type[Exception], tmp_path: Path
    ) -> None:
        path = tmp_path / "rk3399.toml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(error, match=named):
            read(path)

    def test_keys_of_many_parts_in_a_string_or_a_long_word_are_none(self, tmp_path: Path) -> None:
        path = tmp_path / "fine.toml"
        path.write_text("a.b.c = 'x. y. z.'\nd = \"" + "w" * 100_000 + '"\n', encoding="utf-8")
        assert read_toml(path)["a"] == {"b": {"c": "x. y. z."}}

    @pytest.mark.parametrize("number", ["nan", "inf", "1e400"])
    def test_preprocessing_has_finite_numbers(self, number: str, tmp_path: Path) -> None:
        path = tmp_path / "edgedeploy.toml"
        path.write_text(
            'samples = ["a"]\n[app]\nname = "a"\n[model]\nsource = "m"\n'
            '[[model.inputs]]\nname = "x"\nshape = [1, 1, 2, 2]\n'
            f'[model.inputs.preprocessing]\ncolor = "gray"\nmean = [{number}]\nscale = [1]\n',
            encoding="utf-8",
        )
        with pytest.raises(ProjectFileError, match=r"mean\.0: .*finite"):
            load_project(path)

    def test_a_directory_is_no_project_file(self, tmp_path: Path) -> None:
        with pytest.raises(ProjectFileError, match="cannot be read"):
            load_project(tmp_path)


class TestJson:
    @pytest.mark.parametrize("text", ["[" * DEEP, '{"a":' * DEEP, '{"schema":1' + "0" * 5000 + "}"])
    def test_damaged_records(self, text: str) -> None:
        with pytest.raises(RunFileError, match="not JSON that can be read"):
            parse_run(text, source="x")

    @pytest.mark.parametrize("item", ["[[]],", "{},", '"",', "1,"])
    def test_records_whose_tree_takes_gigabytes(self, item: str) -> None:
        text = '{"schema":1,"x":[' + item * 700_000 + "1]}"
        with pytest.raises(RunFileError, match="the most that are read"):
            parse_run(text, source="x")
        with pytest.raises(BundleError, match="the most that are read"):
            parse_manifest(text.encode(), origin="x")

    def test_a_record_of_a_benchmark_of_ten_thousand_runs_is_modest(self) -> None:
        sample = {"pre_us": 1.0, "inference_us": 2.0, "post_us": 3.0, "total_us": 6.0}
        require_modest_json(json.dumps([sample] * 10_000))
        require_modest_json(json.dumps([sample] * 10_000).encode())

    def test_long_files(self, tmp_path: Path) -> None:
        path = tmp_path / "run.json"
        path.write_bytes(b" " * (RECORD_LIMIT_BYTES + 1))
        with pytest.raises(RunFileError, match="longer than 16777216 bytes"):
            read_run(path)
        with pytest.raises(BundleError, match=f"{MANIFEST_LIMIT_BYTES} are the most"):
            parse_manifest(b" " * (MANIFEST_LIMIT_BYTES + 1), origin="x")

    def test_what_a_board_says_of_locks_and_history(self) -> None:
        note = {"token": "t", "who": "w", "machine": "m", "since": "s"}
        assert parse_owner(json.dumps({**note, "pid": 7})) is not None
        for pid in ("1e400", "-1", "0", "9999999999", "NaN"):
            assert parse_owner(json.dumps({**note, "pid": 0}).replace('"pid": 0', f'"pid": {pid}')) is None
        assert parse_owner("[" * DEEP) is None
        assert parse_history(["[" * DEEP]) == ()

    def test_nesting_is_a_value_error(self) -> None:
        with pytest.raises(ValueError, match="nested too deeply"):
            load_json("[" * DEEP)


class TestNetworks:
    @pytest.mark.parametrize("mark", ["e", ".x"])
    def test_a_number_of_a_million_digits(self, mark: str) -> None:
        digits = "1" * 1_000_000 + mark
        with pytest.raises(ParamSyntaxError, match="is not a number"):
            parse_param(f"7767517\n1 1\nInput x 0 1 x 0={digits}\n")
        with pytest.raises(CalibrationTableError, match="is no number"):
            parse_table(f"conv_param_0 {digits}\n")

    def test_a_shape_that_no_array_can_have(self) -> None:
        graph = parse_param("7767517\n1 1\nMemoryData m 0 1 m 0=2147483647 1=2147483647 11=0 2=0 21=1\n")
        with pytest.raises(ParamSyntaxError, match="more than any memory holds"):
            attach_weights(graph, b"")

    def test_a_long_param_and_one_that_is_no_file(self, tmp_path: Path) -> None:
        path = tmp_path / "net.param"
        path.write_bytes(b"7767517\n" + b" " * PARAM_LIMIT_BYTES)
        with pytest.raises(MissingFileError, match="longer than 8388608 bytes"):
            read_graph(path)

    def test_a_label_of_thousands_of_digits(self, tmp_path: Path) -> None:
        path = tmp_path / "labels.csv"
        path.write_text("a.png,0\nb.png," + "1" * 5000 + "\n", encoding="utf-8")
        with pytest.raises(UnreadableInputError, match="line 2 of"):
            read_labels(path)


class TestArrays:
    @pytest.mark.parametrize(
        "shape", ["(1099511627776,)", "(4294967296, 4294967296)", "(-1,)", "(" * 200 + "1" + ")" * 200]
    )
    def test_an_announced_shape_is_held_against_the_file(self, shape: str, tmp_path: Path) -> None:
        content = _npy(shape)
        (tmp_path / "a.npy").write_bytes(content)
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("x.npy", content)
        for name, read in (("a.npy", read_array), ("a.npz", read_arrays)):
            with pytest.raises(ValueError, match=r"\S") as caught:
                read(tmp_path / name)
            # A parser's own word on nesting; an array's size is refused before memory is asked for.
            assert "(((" in shape or not isinstance(caught.value.__cause__, MemoryError)

    def test_an_archive_that_unpacks_to_a_thousand_times_its_size(self, tmp_path: Path) -> None:
        np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros(80_000_000, np.float32))
        with pytest.raises(ValueError, match="unpacks to 3200"):
            read_named_array(tmp_path / "bomb.npz", "x")

    def test_named_arrays(self, tmp_path: Path) -> None:
        array = np.arange(3, dtype=np.float32)
        np.save(tmp_path / "a.npy", array)
        np.savez(tmp_path / "a.npz", x=array)
        assert np.array_equal(read_named_array(tmp_path / "a.npy", "x"), array)
        assert np.array_equal(read_named_array(tmp_path / "a.npz", "x"), array)
        with pytest.raises(ValueError, match="y"):
            read_named_array(tmp_path / "a.npz", "y")


class TestMessages:
    def test_what_cannot_be_printed_or_is_too_long_is_made_fit(self) -> None:
        assert ParamSyntaxError("layer \udcff", hint="\udcfe").to_json()["error"] == {
            "slug": "param-syntax", "message": "layer \\udcff", "hint": "\\udcfe", "exit_code": 24
        }  # fmt: skip
        message = ParamSyntaxError("x" * 1_000_000).message
        assert message.endswith(f" ... ({1_000_000 - LONGEST_TEXT} characters more)")

    def test_shown_is_short_whatever_the_value(self) -> None:
        deep: list[object] = []
        for _ in range(DEEP):
            deep = [deep]
        assert all(len(shown(value)) < 1000 for value in (deep, "x" * DEEP, 1 << 30_000, list(range(DEEP))))
        assert shown("../evil") == "'../evil'"

    def test_reading_stops_at_the_limit(self, tmp_path: Path) -> None:
        path = tmp_path / "f"
        path.write_bytes(b"12345")
        assert read_limited(path, 5) == b"12345"
        with pytest.raises(OSError, match="longer than 4 bytes") as caught:
            read_limited(path, 4)
        assert caught.value.errno == errno.EFBIG


def _npy(shape: str) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".ljust(1000).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(24)
