"""Which 32-bit ARM instructions (A32) are beyond ARMv7-A with NEON and VFPv3, by their encoding: a table of patterns.

Half-precision conversions count as VFPv4: Linux names no feature for the VFPv3 that has them.

Source: Arm Architecture Reference Manual for A-profile, DDI 0487, chapter F4 (A32 instruction set encoding).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgedeploy.build.a64 import Pattern, Words

# What every program is compiled for (toolchains/arm-linux-gnueabihf-zig.cmake), as /proc/cpuinfo names it.
BASELINE = ("neon", "vfpv3")

_ROWS = """
vfpv4     ff900f10 f2000c10   VFMA, VFMS, vectors
vfpv4     0fb00e10 0ea00a00   VFMA, VFMS
vfpv4     0fb00e10 0e900a00   VFNMA, VFNMS
vfpv4     ffbf0ed0 f3b60600   VCVT between half and single, vectors
vfpv4     0fbe0e50 0eb20a40   VCVTB, VCVTT
idiva     0fd0f0f0 0710f010   SDIV, UDIV
armv8     fe000800 fc000800   FCMLA, VSDOT, VFMAL
armv8     ff000800 fe000800   VSEL, VMAXNM, VRINT, VCVTA
armv8     ff800f10 f3000f10   VMAXNM, VMINNM, vectors
armv8     ffbf0c10 f3ba0400   VRINT, vectors
armv8     ffbf0c10 f3bb0000   VCVTA and its like, vectors
armv8     0f800ff0 01800c90   LDA, STL
armv8     0f800ff0 01800e90   LDAEX, STLEX
asimdrdm  ff800f10 f3000b10   VQRDMLAH
asimdrdm  ff800f10 f3000c10   VQRDMLSH
aes       ffbf0f10 f3b00300
sha1      fe800f50 f2000c40   SHA1, SHA256, three registers
sha1      ffbf0fd0 f3b902c0   SHA1H
sha1      ffbf0f90 f3ba0380   SHA1SU1, SHA256SU0
pmull     ffb00f50 f2a00e00   VMULL.P64
crc32     0f900df0 01000040
fphp      0f000f00 0e000900   half precision, one number
fphp      0f200f00 0d000900   VLDR, VSTR
asimdhp   ff900f10 f2100c10   VFMA, VFMS
asimdhp   fe900f00 f2100d00   VADD, VMLA and their like
asimdhp   fe900f00 f2100e00   VCEQ and its like
asimdhp   fe900f00 f2100f00   VMAX, VRECPS
"""
_UNCONDITIONAL = 0xF0000000


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
    conditional = (words & np.uint32(_UNCONDITIONAL)) != np.uint32(_UNCONDITIONAL)
    for pattern in patterns():
        hits = (words & np.uint32(pattern.mask)) == np.uint32(pattern.value)
        if not pattern.mask & _UNCONDITIONAL:
            hits &= conditional
        if hits.any():
            found[pattern.feature] = found.get(pattern.feature, np.zeros_like(hits)) | hits
    return found
