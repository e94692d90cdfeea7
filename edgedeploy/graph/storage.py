"""How a weight lies in a ``.bin`` file, and as what array it reads.

Source: ``ModelBinFromDataReader::load`` in the engine's src/modelbin.cpp (1.0.20261020). A tagged load starts with four
bytes that say the storage; an untagged one is float32, or whole bytes for block-quantized weights.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedeploy.errors import TruncatedWeightsError

TABLE_ENTRIES = 256
ALIGNMENT_BYTES = 4


class Storage(Enum):
    """What the payload is made of."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"
    RAW_FP32 = "raw-fp32"
    TABLE = "table"
    UNTAGGED = "untagged"
    PACKED = "packed"


TAGS = {
    Storage.FP32: 0,
    Storage.FP16: 0x01306B47,
    Storage.BF16: 0x01348B83,
    Storage.INT8: 0x000D4B38,
    Storage.RAW_FP32: 0x0002C056,
}
_STORAGE_OF_TAG = {tag: storage for storage, tag in TAGS.items()}
_ITEM_BYTES = {
    Storage.FP32: 4,
    Storage.RAW_FP32: 4,
    Storage.UNTAGGED: 4,
    Storage.FP16: 2,
    Storage.BF16: 2,
    Storage.INT8: 1,
    Storage.TABLE: 1,
    Storage.PACKED: 1,
}


@dataclass(frozen=True, kw_only=True)
class Weight:
    """One array of a layer's weights as it lies in the file.

    Args:
        name: From the layout table: ``weight``, ``bias``, ``weight_scales`` ...
        shape: In elements, outermost first; bytes for ``PACKED``.
        payload: Everything after the tag: values (or the table and its indices) with the padding to four bytes.
        tag: The four bytes in front as a little-endian number; None for untagged loads.
    """

    name: str
    shape: tuple[int, ...]
    storage: Storage
    payload: bytes
    tag: int | None = None

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def array(self) -> NDArray[Any]:
        """The values in ``shape``: float32, float16, int8, or uint8 for packed ones.

        bfloat16 and table storage are decoded to float32, exactly.
        """
        return self._flat().reshape(self.shape)

    def to_bytes(self) -> bytes:
        """Return the bytes of the file."""
        return self.payload if self.tag is None else struct.pack("<I", self.tag) + self.payload

    def with_array(self, array: NDArray[Any], storage: Storage | None = None) -> Weight:
        """Return a weight with new values.

        Args:
            array: Of ``elements`` elements; converted to the storage's type by rounding.
            storage: None keeps the storage, except that a table becomes plain float32.
        """
        kind = storage or (Storage.FP32 if self.storage is Storage.TABLE else self.storage)
        return make_weight(self.name, array, kind)

    def _flat(self) -> NDArray[Any]:
        count = self.elements
        match self.storage:
            case Storage.FP16:
                return np.frombuffer(self.payload, dtype="<f2", count=count)
            case Storage.BF16:
                upper = np.frombuffer(self.payload, dtype="<u2", count=count).astype(np.uint32)
                return (upper << np.uint32(16)).view(np.float32)
            case Storage.INT8:
                return np.frombuffer(self.payload, dtype=np.int8, count=count)
            case Storage.PACKED:
                return np.frombuffer(self.payload, dtype=np.uint8, count=count)
            case Storage.TABLE:
                table = np.frombuffer(self.payload, dtype="<f4", count=TABLE_ENTRIES)
                indices = np.frombuffer(self.payload, dtype=np.uint8, count=count, offset=table.nbytes)
                return table[indices]
            case _:
                return np.frombuffer(self.payload, dtype="<f4", count=count)


def make_weight(name: str, array: NDArray[Any], storage: Storage) -> Weight:
    """Return a weight of the array's shape in the given storage.

    Example:
        >>> make_weight("bias", np.zeros(3, np.float32), Storage.UNTAGGED).to_bytes().hex()
        '000000000000000000000000'

    Raises:
        KeyError: ``TABLE``: tables are read, never made.
    """
    values = np.ascontiguousarray(array)
    match storage:
        case Storage.FP16:
            payload = values.astype("<f2").tobytes()
        case Storage.BF16:
            payload = _round_to_bf16(values).tobytes()
        case Storage.INT8:
            payload = values.astype(np.int8).tobytes()
        case Storage.PACKED:
            payload = values.astype(np.uint8).tobytes()
        case _:
            payload = values.astype("<f4").tobytes()
    tag = None if storage in (Storage.UNTAGGED, Storage.PACKED) else TAGS[storage]
    return Weight(name=name, shape=values.shape, storage=storage, payload=_padded(payload), tag=tag)


class WeightReader:
    """Takes one weight after the other off the bytes of a ``.bin`` file."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    @property
    def remaining_bytes(self) -> int:
        return len(self._data) - self._offset

    def tagged(self, name: str, shape: tuple[int, ...], owner: str) -> Weight:
        """Read a weight whose first four bytes tell its storage."""
        (tag,) = struct.unpack("<I", self._take(4, name, owner))
        storage = _STORAGE_OF_TAG.get(tag, Storage.TABLE)
        size_bytes = _payload_bytes(storage, math.prod(shape))
        return Weight(name=name, shape=shape, storage=storage, payload=self._take(size_bytes, name, owner), tag=tag)

    def untagged(self, name: str, shape: tuple[int, ...], owner: str) -> Weight:
        """Read plain float32."""
        return self._plain(Storage.UNTAGGED, name, shape, owner)

    def packed(self, name: str, shape: tuple[int, ...], owner: str) -> Weight:
        """Read plain bytes, padded to four."""
        return self._plain(Storage.PACKED, name, shape, owner)

    def _plain(self, storage: Storage, name: str, shape: tuple[int, ...], owner: str) -> Weight:
        payload = self._take(_payload_bytes(storage, math.prod(shape)), name, owner)
        return Weight(name=name, shape=shape, storage=storage, payload=payload)

    def _take(self, size_bytes: int, name: str, owner: str) -> bytes:
        if size_bytes > self.remaining_bytes:
            raise TruncatedWeightsError(
                f"the weights end at byte {len(self._data)}, but {name} of {owner} needs {size_bytes} bytes "
                f"at {self._offset}",
                hint="the .bin is cut short or belongs to another .param; convert the model again",
            )
        start = self._offset
        self._offset += size_bytes
        return self._data[start : self._offset]


def _payload_bytes(storage: Storage, elements: int) -> int:
    size_bytes = elements * _ITEM_BYTES[storage]
    padded = -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    return padded + TABLE_ENTRIES * 4 if storage is Storage.TABLE else padded


def _padded(payload: bytes) -> bytes:
    return payload + b"\0" * (-len(payload) % ALIGNMENT_BYTES)


def _round_to_bf16(values: NDArray[Any]) -> NDArray[Any]:
    bits = values.astype("<f4").view(np.uint32)
    # Round half to even on the 16 bits that are dropped.
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype("<u2")
