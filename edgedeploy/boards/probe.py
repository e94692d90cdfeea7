"""Reads a live board in one round trip, and says where it differs from its definition."""

from __future__ import annotations

from edgedeploy.artifacts import BoardFacts
from edgedeploy.boards import captured
from edgedeploy.boards.compare import Difference, Severity, differences
from edgedeploy.errors import ProbeError
from edgedeploy.transport.protocol import Transport

__all__ = ["Difference", "Severity", "differences", "parse_probe", "probe", "python_version"]

PROBE_DEADLINE_S = 60.0

# POSIX sh and the applets of a small busybox; every command that may be missing is allowed to fail. On a slow board a
# program takes as long as a hundred lines of the shell's own, which therefore reads short files itself.
PROBE_SCRIPT = rf"""
LC_ALL=C; export LC_ALL
show() {{ while IFS= read -r line || [ -n "$line" ]; do printf '%s\n' "$line"; done <"$1"; }}
section() {{ printf '\n{captured.SECTION_MARK}%s\n' "$1"; }}
value() {{ v=; IFS= read -r v 2>/dev/null <"$1"; v=${{v:--}}; }}
printf '\n{captured.HEADER}\n'
set -- $(uname -r -m)
section machine; printf '%s\n' "$2"
section kernel; printf '%s\n' "$1"
section os-release
for f in /etc/os-release /usr/lib/os-release; do [ -r "$f" ] && show "$f" && break; done
section libc; getconf GNU_LIBC_VERSION 2>/dev/null || ldd --version 2>&1 | head -n 3
section loaders
for f in /lib/ld-linux*.so.* /lib64/ld-linux*.so.* /lib/ld-musl-*.so.*; do [ -e "$f" ] && printf '%s\n' "$f"; done
section cpuinfo; show /proc/cpuinfo
section meminfo
while IFS= read -r line; do
  printf '%s\n' "$line"
  case $line in Cached:*) break ;; esac
done </proc/meminfo
section cpufreq
for d in /sys/devices/system/cpu/cpu[0-9]*/cpufreq; do
  [ -d "$d" ] || continue
  c=${{d%/cpufreq}}
  value "$d/scaling_governor"; governor=$v
  value "$d/cpuinfo_max_freq"
  printf '%s %s %s\n' "${{c##*/}}" "$governor" "$v"
done
section thermal
for d in /sys/class/thermal/thermal_zone[0-9]*; do
  [ -d "$d" ] || continue
  value "$d/temp"; temperature=$v
  value "$d/type"
  printf '%s %s %s\n' "${{d##*/}}" "$temperature" "$v"
done
section model; value /proc/device-tree/model; if [ "$v" != - ]; then printf '%s\n' "$v"; fi
section {captured.END_SECTION}
"""


def probe(transport: Transport) -> BoardFacts:
    """Return what the board says about itself; costs one round trip.

    Raises:
        ProbeError: The answer cannot be read: no Linux, no ARM cores, or cut short.
        RemoteCommandError, DeadlineError, ConnectionLostError: As ``Transport.run``.
    """
    result = transport.run(PROBE_SCRIPT, deadline_s=PROBE_DEADLINE_S, check=False)
    return parse_probe(result.stdout)


def python_version(transport: Transport) -> str | None:
    """Return the version of the board's python3, None where it has none; costs one round trip.

    No part of the probe: starting it takes a slow board longer than all that the probe asks.

    Raises:
        DeadlineError, ConnectionLostError: As ``Transport.run``.
    """
    result = transport.run("python3 --version", deadline_s=PROBE_DEADLINE_S, check=False)
    return captured.parse_python(result.stdout)


def parse_probe(text: str) -> BoardFacts:
    """Return the facts out of the probe script's output.

    Raises:
        ProbeError: A section is missing or cannot be read.
    """
    sections = captured.split_sections(text)
    missing = [name for name in ("machine", "kernel", "cpuinfo", "meminfo") if not sections.get(name)]
    if missing:
        raise ProbeError(
            f"the board's answer to the probe lacks: {', '.join(missing)}",
            hint="the board needs a Linux with /proc mounted",
        )
    total, available = captured.parse_meminfo(sections["meminfo"])
    governors, frequencies = captured.parse_cpufreq(sections.get("cpufreq", ""))
    return BoardFacts(
        architecture=captured.parse_word(sections["machine"], what="machine"),
        kernel=captured.parse_word(sections["kernel"], what="kernel"),
        os_name=captured.parse_os_release(sections.get("os-release", "")),
        libc=captured.parse_libc(sections.get("libc", "")),
        cores=captured.parse_cpuinfo(sections["cpuinfo"]),
        memory_total_bytes=total,
        memory_available_bytes=available,
        governors=governors,
        max_frequencies_khz=frequencies,
        thermal_zones=captured.parse_thermal(sections.get("thermal", "")),
        loaders=tuple(sections.get("loaders", "").split()),
        model=captured.parse_model(sections.get("model", "")),
    )
