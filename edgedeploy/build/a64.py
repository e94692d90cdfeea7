"""Which 64-bit ARM instructions are beyond ARMv8.0-A, by their encoding: a table of bit patterns.

Every instruction is one 32-bit word, so no disassembler is needed. Hints (BTI, PAC on x30) are left out: older cores
take them for NOP.

Source: Arm Architecture Reference Manual for A-profile, DDI 0487, chapter C4 (A64 instruction set encoding).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """Words that belong to an extension: those where ``word & mask == value``. ``feature`` as in /proc/cpuinfo."""

    feature: str
    mask: int
    value: int


# Conversions between half and single or double precision are ARMv8.0-A's; their encodings lie among those of fp16.
_BASELINE_CONVERSIONS = (0x1EE24000, 0x1EE2C000)
_CONVERSION_MASK = 0xFFFFFC00

_ROWS = """
fphp      7fc00000 1ec00000   scalar, type 11
fphp      ffc00000 1fc00000   fused multiply-add, type 11
fphp      df60c400 5e400400   scalar three same
fphp      df7e0c00 5e780800   scalar two-register
fphp      dfc03400 5f001000   scalar by element
fphp      dff0fc00 5f10e400   scalar from fixed point
fphp      dff0fc00 5f10fc00   scalar to fixed point
asimdhp   9f60c400 0e400400   three same
asimdhp   9f7e0c00 0e780800   two-register
asimdhp   bf3fcc00 0e30c800   across lanes
asimdhp   9fc03400 0f001000   by element
asimdhp   bff8fc00 0f00fc00   FMOV immediate
asimdhp   9ff0fc00 0f10e400   from fixed point
asimdhp   9ff0fc00 0f10fc00   to fixed point
asimdfhm  bf60fc00 0e20ec00   FMLAL, FMLSL
asimdfhm  bf60fc00 2e20cc00   FMLAL2, FMLSL2
asimdfhm  bfc0b400 0f800000   FMLAL by element
asimdfhm  bfc0b400 2f808000   FMLAL2 by element
asimddp   9fe0fc00 0e809400   SDOT, UDOT
asimddp   9fc0f400 0f80e000   by element
i8mm      dfe0fc00 4e80a400   SMMLA, UMMLA
i8mm      ffe0fc00 4e80ac00   USMMLA
i8mm      bfe0fc00 0e809c00   USDOT
i8mm      bfc0f400 0f80f000   USDOT by element
i8mm      bfc0f400 0f00f000   SUDOT by element
bf16      bfe0fc00 2e40fc00   BFDOT
bf16      bfc0f400 0f40f000   BFDOT by element
bf16      ffe0fc00 6e40ec00   BFMMLA
bf16      bfe0fc00 2ec0fc00   BFMLALB, BFMLALT
bf16      bfc0f400 0fc0f000   by element
bf16      bffffc00 0ea16800   BFCVTN
bf16      fffffc00 1e634000   BFCVT
asimdrdm  bf20f400 2e008400   SQRDMLAH, SQRDMLSH
asimdrdm  ff20f400 7e008400   scalar
asimdrdm  bf00d400 2f00d000   by element
asimdrdm  ff00d400 7f00d000   scalar by element
fcma      bf20e400 2e00c400   FCMLA
fcma      bf20ec00 2e00e400   FCADD
fcma      bf009400 2f001000   FCMLA by element
atomics   3fa07c00 08a07c00   CAS
atomics   bfa07c00 08207c00   CASP
atomics   3b200c00 38200000   LDADD and its like, SWP
crc32     7fe0e000 1ac04000
aes       ff3e0c00 4e280800
pmull     bfe0fc00 0ee0e000   64 bits wide
sha2      ff208c00 5e000000   SHA1, SHA256, three registers
sha2      ff3e0c00 5e280800   two registers
sha3      ff000000 ce000000   SHA3, SHA512, SM3, SM4
jscvt     fffffc00 1e7e0000
frint     ffbe7c00 1e284000   FRINT32, FRINT64
ilrcpc    3b200c00 19000000   LDAPUR, STLUR
mops      3b200c00 19000400   CPY, SET
flagm     ffe07c10 ba000400   RMIF
flagm     ffffbc1f 3a00080d   SETF
flagm     fffff0ff d500401f   CFINV
paca      fffffbff d65f0bff   RETAA, RETAB
paca      fe9ff800 d61f0800   BRAA, BLRAA
paca      ff200400 f8200400   LDRAA
mte       ff200000 d9200000
mte       ffe0f800 9ac01000   IRG, GMI
sve       1e000000 04000000
sme       9e000000 80000000
"""
# LDAPR lies among the atomics.
_LDAPR = (0x3FFFFC00, 0x38BFC000)


def patterns() -> Iterator[Pattern]:
    """Yield every row of the table."""
    for line in _ROWS.strip().splitlines():
        feature, mask, value = line.split()[:3]
        yield Pattern(feature=feature, mask=int(mask, 16), value=int(value, 16))


def features_of_words(words: Words) -> dict[str, NDArray[np.bool_]]:
    """Return for each feature beyond the baseline which words need it; features that none needs are left out.

    Args:
        words: Instructions, uint32, any shape.
    """
    found: dict[str, NDArray[np.bool_]] = {}
    conversion = np.isin(words & np.uint32(_CONVERSION_MASK), np.array(_BASELINE_CONVERSIONS, dtype=np.uint32))
    ldapr = (words & np.uint32(_LDAPR[0])) == np.uint32(_LDAPR[1])
    for pattern in patterns():
        hits = (words & np.uint32(pattern.mask)) == np.uint32(pattern.value)
        if pattern.feature == "fphp":
            hits &= ~conversion
        if pattern.feature == "atomics":
            hits &= ~ldapr
        if hits.any():
            found[pattern.feature] = found.get(pattern.feature, np.zeros_like(hits)) | hits
    if ldapr.any():
        found["lrcpc"] = ldapr
    return found
