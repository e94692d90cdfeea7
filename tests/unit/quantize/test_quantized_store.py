"""The cache of int8 models: whole or not at all; and the hash over the data that its names depend on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from quantization_records import quantization_record
from random_nets import random_net

from edgedeploy.errors import CalibrationTableError, UnreadableInputError
from edgedeploy.quantfile import FilesRecord, QuantizationRecord
from edgedeploy.quantize import store
from edgedeploy.quantize.choices import Int8Model
from edgedeploy.quantize.data_digest import read_all
from edgedeploy.quantize.items import Item

pytestmark = pytest.mark.usefixtures("own_directories")

KEY = "k" * 32


@pytest.fixture
def model() -> Int8Model:
    net = random_net("Input in0 0 1 in0", "InnerProduct fc 1 1 in0 out0 0=2 1=1 2=8")
    return Int8Model(graph=net, layers=(), encodings={})


def make_record(files: FilesRecord) -> QuantizationRecord:
    return quantization_record(files=files)


def test_an_entry_comes_back_with_its_files(model: Int8Model) -> None:
    made = store.add_entry(KEY, model, model.graph, make_record)
    assert store.find_entry(KEY) == made
    assert made.record.files.param.size_bytes == made.param.stat().st_size
    assert store.find_entry("o" * 32) is None
    assert sorted(path.name for path in store.quantized_dir().iterdir()) == [KEY], "no scratch is left"
    assert store.add_entry(KEY, model, model.graph, make_record) == made, "who comes second takes what is there"


@pytest.mark.parametrize("name", ["model.param", "model.bin", "quantization.json"])
def test_a_damaged_entry_is_removed(model: Int8Model, name: str) -> None:
    path = store.add_entry(KEY, model, model.graph, make_record).directory / name
    path.write_bytes(path.read_bytes()[:-2])
    assert store.find_entry(KEY) is None
    assert not path.parent.exists()


def test_a_failure_leaves_nothing(model: Int8Model) -> None:
    def fail(_: FilesRecord) -> QuantizationRecord:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.add_entry(KEY, model, model.graph, fail)
    assert list(store.quantized_dir().iterdir()) == []


def test_keys_differ_with_everything(model: Int8Model) -> None:
    base = {"model": ["a"], "seed": 0}
    assert store.quantization_key(base) == store.quantization_key(dict(reversed(base.items())))
    assert store.quantization_key(base) != store.quantization_key({**base, "seed": 1})


def test_without_scales_there_is_no_table(model: Int8Model) -> None:
    with pytest.raises(CalibrationTableError, match="no layer is in int8"):
        _ = store.add_entry(KEY, model, model.graph, make_record).table


@dataclass(frozen=True)
class Listed:
    """Items from memory; None cannot be read."""

    items: tuple[Item | None, ...]

    def __len__(self) -> int:
        return len(self.items)

    def item(self, index: int) -> Item:
        found = self.items[index]
        if found is None:
            raise UnreadableInputError(f"file {index} is broken")
        return found


def item(name: str, value: float = 0.0, label: int | None = None) -> Item:
    return Item(name=name, tensors={"in0": np.full((1, 2), value, np.float32)}, label=label)


def test_the_hash_is_of_names_labels_and_values() -> None:
    data = Listed((item("a"), item("b", 1.0, 3)))
    found = read_all(data, range(2))
    assert (found.names, found.labelled) == (("a", "b"), 1)
    assert read_all(data, range(2)) == found
    for other in (item("c", 1.0, 3), item("b", 1.5, 3), item("b", 1.0, 4), item("b", 1.0)):
        assert read_all(replace(data, items=(data.items[0], other)), range(2)).sha256 != found.sha256
    assert read_all(data, (1, 0)).sha256 != found.sha256


def test_every_item_that_cannot_be_read_is_listed() -> None:
    data = Listed((None, item("a"), *([None] * 60)))
    with pytest.raises(UnreadableInputError, match="61 of 62 items") as caught:
        read_all(data, range(62))
    assert "file 0 is broken" in caught.value.message
    assert "and 11 more" in caught.value.message


def test_paths_are_below_the_cache(own_directories: Path) -> None:
    assert own_directories in store.quantized_dir().parents
