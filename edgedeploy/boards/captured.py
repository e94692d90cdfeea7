"""Pure parsers of what the probe script prints: text of one section in, facts out.

Every parser takes the section's text as it came from the board and raises ``ProbeError`` on what it cannot read.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from types import MappingProxyType

from edgedeploy.artifacts import CpuCore, ThermalZone
from edgedeploy.errors import ProbeError

HEADER = "edgedeploy-probe 1"
SECTION_MARK = "@@ "
END_SECTION = "end"

_PROBE_HINT = "run edgedeploy boards probe again; if it stays so, look at what the board's shell prints at login"


def split_sections(text: str) -> Mapping[str, str]:
    """Return the script's sections by name.

    What comes before the header (banners of a login shell) is skipped.

    Raises:
        ProbeError: No header, no end mark (cut short), or a section twice.
    """
    lines = text.splitlines()
    if HEADER not in lines:
        raise _fault("its answer does not start with the probe's header", text)
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines[lines.index(HEADER) + 1 :]:
        if line.startswith(SECTION_MARK):
            name = line.removeprefix(SECTION_MARK).strip()
            if name in sections:
                raise _fault(f"its answer has the section {name!r} twice", text)
            current = sections.setdefault(name, [])
        else:
            current.append(line)
    if END_SECTION not in sections:
        raise _fault("its answer is cut short", text)
    return MappingProxyType({name: "\n".join(content).strip() for name, content in sections.items()})


def parse_word(text: str, *, what: str) -> str:
    """Return the one word of a section such as ``uname -m``'s.

    Example:
        >>> parse_word("aarch64", what="machine")
        'aarch64'
    """
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise _fault(f"{what} is not one word", text)
    return text


def parse_os_release(text: str) -> str:
    """Return the system's name for people, ``unknown`` where the board has no os-release.

    Example:
        >>> parse_os_release('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"')
        'Debian GNU/Linux 12 (bookworm)'
    """
    values = {}
    for line in text.splitlines():
        key, separator, value = line.partition("=")
        if separator:
            values[key.strip()] = _unquote(value.strip())
    return values.get("PRETTY_NAME") or values.get("NAME") or "unknown"


def parse_libc(text: str) -> str | None:
    """Return the C library and its version, from ``getconf GNU_LIBC_VERSION`` or ``ldd --version``; None if unknown.

    Example:
        >>> parse_libc("glibc 2.36"), parse_libc("musl libc (aarch64)\\nVersion 1.2.4")
        ('glibc 2.36', 'musl 1.2.4')
    """
    if "musl" in text:
        version = re.search(r"Version (\d+(?:\.\d+)+)", text)
        return f"musl {version[1]}" if version else "musl"
    line = next((line for line in text.splitlines() if re.search(r"glibc|gnu libc|^ldd ", line, re.IGNORECASE)), "")
    # ldd repeats the version at the line's end, free of the distribution's suffixes.
    version = re.search(r"(\d+\.\d+(?:\.\d+)?)\s*$", line)
    return f"glibc {version[1]}" if version else None


def parse_cpuinfo(text: str) -> tuple[CpuCore, ...]:
    """Return the cores of /proc/cpuinfo, by index.

    Raises:
        ProbeError: No core, a core without part number, or a value that is no number.
    """
    cores = []
    for block in re.split(r"\n(?=processor\s*:)", text):
        fields = _fields(block)
        if "processor" not in fields:
            continue
        cores.append(_core(fields, block))
    if not cores:
        raise _fault("/proc/cpuinfo lists no core", text)
    if len({core.index for core in cores}) != len(cores):
        raise _fault("/proc/cpuinfo lists a core twice", text)
    return tuple(sorted(cores, key=lambda core: core.index))


def parse_meminfo(text: str) -> tuple[int, int]:
    """Return total and available memory in bytes.

    Kernels before 3.14 have no MemAvailable: free memory and page cache stand for it.

    Raises:
        ProbeError: No MemTotal, or a value that is not in kB.
    """
    values = {}
    for key in ("MemTotal", "MemAvailable", "MemFree", "Cached"):
        match = re.search(rf"^{key}:\s+(\d+) kB\s*$", text, re.MULTILINE)
        if match:
            values[key] = int(match[1]) * 1024
    total = values.get("MemTotal", 0)
    if total <= 0:
        raise _fault("/proc/meminfo has no MemTotal", text)
    available = values.get("MemAvailable", values.get("MemFree", 0) + values.get("Cached", 0))
    return total, available


def parse_cpufreq(text: str) -> tuple[dict[str, str], dict[str, int]]:
    """Return governors and highest frequencies (kHz) by core; what a core does not show is left out.

    Args:
        text: Lines ``cpu0 performance 1800000``; ``-`` stands for a missing value.

    Example:
        >>> parse_cpufreq("cpu0 schedutil 1416000")
        ({'cpu0': 'schedutil'}, {'cpu0': 1416000})
    """
    governors, frequencies = {}, {}
    for line in text.splitlines():
        words = line.split()
        if len(words) != 3 or not re.fullmatch(r"cpu\d+", words[0]) or not re.fullmatch(r"\d+|-", words[2]):
            raise _fault("a line about cpufreq cannot be read", line)
        cpu, governor, frequency = words
        if governor != "-":
            governors[cpu] = governor
        if frequency != "-":
            frequencies[cpu] = int(frequency)
    return governors, frequencies


def parse_thermal(text: str) -> tuple[ThermalZone, ...]:
    """Return the thermal zones in the order of their numbers.

    Args:
        text: Lines ``thermal_zone0 45312 cpu-thermal``; ``-`` stands for a sensor that cannot be read.
    """
    zones = []
    for line in text.splitlines():
        match = re.fullmatch(r"(thermal_zone\d+) (-?\d+|-) (.+)", line.strip())
        if match is None:
            raise _fault("a line about thermal zones cannot be read", line)
        name, temperature, kind = match.groups()
        zones.append(ThermalZone(name=name, kind=kind, millicelsius=None if temperature == "-" else int(temperature)))
    return tuple(sorted(zones, key=lambda zone: int(zone.name.removeprefix("thermal_zone"))))


def parse_python(text: str) -> str | None:
    """Return the version of python3, None where there is none.

    Example:
        >>> parse_python("Python 3.11.2")
        '3.11.2'
    """
    match = re.search(r"^Python (\d+\.\d+\S*)", text, re.MULTILINE)
    return match[1] if match else None


def parse_model(text: str) -> str | None:
    """Return the device tree's model; None where the board has none."""
    model = text.replace("\0", "").strip()
    return model or None


def _core(fields: Mapping[str, str], block: str) -> CpuCore:
    index, implementer, part = fields["processor"], fields.get("cpu implementer", ""), fields.get("cpu part", "")
    if not index.isdecimal():
        raise _fault("/proc/cpuinfo has a core whose number is none", block)
    if not re.fullmatch(r"0x[0-9a-fA-F]+", implementer) or not re.fullmatch(r"0x[0-9a-fA-F]+", part):
        raise _fault(f"/proc/cpuinfo gives no implementer and part number for core {index}", block)
    features = tuple(fields.get("features", "").split())
    return CpuCore(index=int(index), implementer=implementer.lower(), part=part.lower(), features=features)


def _fields(block: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in block.splitlines() if ":" in line)
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def _unquote(value: str) -> str:
    try:
        return " ".join(shlex.split(value))
    except ValueError:
        return value


def _fault(message: str, text: str) -> ProbeError:
    excerpt = text if len(text) <= 200 else text[:200] + " ..."
    return ProbeError(f"the board cannot be read: {message}: {excerpt!r}", hint=_PROBE_HINT)
