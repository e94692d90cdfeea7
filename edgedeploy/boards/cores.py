"""What is the same on every board: core types with their part numbers, feature names, and what QEMU's cores have.

Source:
    Part numbers: the MIDR_EL1 tables of Arm's technical reference manuals. Feature names: the hwcap strings of Linux,
    arch/arm64/kernel/cpuinfo.c and arch/arm/kernel/setup.c. QEMU's features: AT_HWCAP as qemu-aarch64 7.2 reports it
    with each ``-cpu``; those of the Cortex-A7 as the twin's /proc/cpuinfo shows them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

ARM_IMPLEMENTER = "0x41"

# Triple -> what `uname -m` says.
ARCHITECTURES = MappingProxyType({"aarch64-linux-gnu": "aarch64", "arm-linux-gnueabihf": "armv7l"})

CORE_PARTS = MappingProxyType(
    {
        "cortex-a7": "0xc07",
        "cortex-a35": "0xd04",
        "cortex-a53": "0xd03",
        "cortex-a55": "0xd05",
        "cortex-a57": "0xd07",
        "cortex-a72": "0xd08",
        "cortex-a73": "0xd09",
        "cortex-a75": "0xd0a",
        "cortex-a76": "0xd0b",
        "cortex-a77": "0xd0d",
        "cortex-a78": "0xd41",
        "neoverse-n1": "0xd0c",
    }
)

Feature = Literal[
    "fp", "asimd", "evtstrm", "aes", "pmull", "sha1", "sha2", "crc32", "atomics", "fphp", "asimdhp", "cpuid",
    "asimdrdm", "jscvt", "fcma", "lrcpc", "dcpop", "sha3", "sm3", "sm4", "asimddp", "sha512", "sve", "asimdfhm",
    "dit", "uscat", "ilrcpc", "flagm", "ssbs", "sb", "paca", "pacg", "dcpodp", "sve2", "sveaes", "svepmull",
    "svebitperm", "svesha3", "svesm4", "flagm2", "frint", "svei8mm", "svef32mm", "svef64mm", "svebf16", "i8mm",
    "bf16", "dgh", "rng", "bti", "mte", "ecv", "afp", "rpres", "mte3",
    # 32-bit ARM's: arch/arm/kernel/setup.c.
    "half", "thumb", "fastmult", "vfp", "edsp", "neon", "vfpv3", "vfpv3d16", "tls", "vfpv4", "idiva", "idivt",
    "vfpd32", "lpae", "thumbee",
]  # fmt: skip

# The kernel's own services, which come and go with its version and say nothing about the instruction set.
KERNEL_SERVICES = frozenset({"evtstrm", "cpuid", "ssbs"})

QemuCore = Literal[
    "cortex-a7", "cortex-a35", "cortex-a53", "cortex-a57", "cortex-a72", "cortex-a76", "neoverse-n1", "max"
]

_ARMV7_A7 = frozenset(
    {
        "half", "thumb", "fastmult", "vfp", "edsp", "neon", "vfpv3", "tls", "vfpv4", "idiva", "idivt", "vfpd32", "lpae",
        "thumbee",
    }
)  # fmt: skip
_ARMV8_0 = frozenset({"fp", "asimd", "aes", "pmull", "sha1", "sha2", "crc32"})
_ARMV8_2 = _ARMV8_0 | {"atomics", "fphp", "asimdhp", "asimdrdm", "lrcpc", "dcpop", "asimddp"}

# "max" is left out on purpose: its features grow with every release of QEMU, so there is nothing to compare with.
QEMU_FEATURES = MappingProxyType(
    {
        "cortex-a7": _ARMV7_A7,
        "cortex-a35": _ARMV8_0,
        "cortex-a53": _ARMV8_0,
        "cortex-a57": _ARMV8_0,
        "cortex-a72": _ARMV8_0,
        "cortex-a76": _ARMV8_2,
        "neoverse-n1": _ARMV8_2,
    }
)


def core_name(part: str) -> str:
    """Return the core type of an Arm part number, or the number itself where it is not known.

    Example:
        >>> core_name("0xd08")
        'cortex-a72'
    """
    return next((name for name, known in CORE_PARTS.items() if known == part), part)
