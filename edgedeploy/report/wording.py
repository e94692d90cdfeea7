"""Numbers and names as people read them. The one rule for times: an emulator's never stand there without saying so."""

from __future__ import annotations

from edgedeploy.artifacts import Clock, Provenance
from edgedeploy.latency_stats import Interval
from edgedeploy.runfile import RunRecord

EMULATED_UNIT = "emulated ms"


def number(value: float) -> str:
    """Return a number with three to four significant digits.

    Example:
        >>> number(212.44), number(3.14159), number(0.0123)
        ('212.4', '3.14', '0.0123')
    """
    magnitude = abs(value)
    if magnitude >= 1000:
        return f"{value:,.0f}"
    if magnitude >= 100:
        return f"{value:.1f}"
    if magnitude >= 1:
        return f"{value:.2f}"
    return f"{value:.3g}"


def milliseconds(value_us: float, *, emulated: bool) -> str:
    """Return ``12.30 ms``, or ``12.30 emulated ms`` where the clock is an emulator's."""
    return f"{number(value_us / 1000)} {EMULATED_UNIT if emulated else 'ms'}"


def millisecond_range(interval: Interval, *, emulated: bool) -> str:
    """Return ``12.10 to 12.40 ms``."""
    return f"{number(interval.low / 1000)} to {milliseconds(interval.high, emulated=emulated)}"


def percent(share: float) -> str:
    """Return a share as a percentage: one decimal below ten, and never 0 for something."""
    value = share * 100
    if 0 < value < 0.1:
        return "< 0.1 %"
    return f"{value:.1f} %"


def change(ratio: float) -> str:
    """Return a ratio as a signed percentage.

    Example:
        >>> change(0.885), change(1.02)
        ('−11.5 %', '+2.0 %')
    """
    value = (ratio - 1) * 100
    return f"{'−' if value < 0 else '+'}{abs(value):.1f} %"


def signed(value: float, digits: int) -> str:
    """Return a number with its sign.

    Example:
        >>> signed(3.14, 1), signed(-0.5, 2), signed(-0.001, 2)
        ('+3.1', '−0.50', '0.00')
    """
    shown = f"{abs(value):.{digits}f}"
    if not float(shown):
        return shown
    return f"{'−' if value < 0 else '+'}{shown}"


def mebibytes(size_bytes: int) -> str:
    """Return ``59.4 MiB``."""
    return f"{size_bytes / 2**20:,.1f} MiB"


def gibibytes(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.2f} GiB"


def shape(dimensions: tuple[int, ...]) -> str:
    """Return ``3 × 192 × 384``."""
    return " × ".join(str(item) for item in dimensions) or "scalar"


def shapes(items: tuple[tuple[int, ...], ...]) -> str:
    """Return shapes with equal neighbours counted: ``4 of 24 × 48 × 96``."""
    if len(items) > 1 and len(set(items)) == 1:
        return f"{len(items)} of {shape(items[0])}"
    return ", ".join(shape(item) for item in items) or "none"


def cpu_list(cpus: tuple[int, ...]) -> str:
    """Return ``core 4`` or ``cores 4, 5``."""
    return f"core{'s' if len(cpus) != 1 else ''} {', '.join(str(cpu) for cpu in cpus)}"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def emulator_name(record: RunRecord) -> str:
    """Return what the run was emulated by."""
    names = {
        Provenance.QEMU_SYSTEM: "QEMU full-system emulation",
        Provenance.QEMU_USER: "QEMU user-mode emulation",
        Provenance.HARDWARE: "no emulator",
    }
    return names[record.provenance]


def clock_name(record: RunRecord) -> str:
    """Return what a second of the run's clock was."""
    if record.clock is Clock.INSTRUCTIONS:
        return "clock counts instructions"
    return "host's clock" if record.clock is Clock.REAL else "board's own clock"


def precision(name: str) -> str:
    """Say what a release's precision means.

    Example:
        >>> precision("fp32")
        'fp32'
    """
    meanings = {
        "fp16-storage": "fp16 storage where the CPU has it, fp32 arithmetic",
        "fp16": "fp16 storage and arithmetic where the CPU has them",
    }
    return meanings.get(name, name)
