"""The machine as a QEMU command line. Pure: paths inside it are names in the twin's directory, which is QEMU's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgedeploy.artifacts import Clock
from edgedeploy.emulate.tools import tool
from edgedeploy.errors import UsageError

OVERLAY = "disk.qcow2"
INITRAMFS = "initramfs"
CONSOLE_LOG = "console.log"
QEMU_LOG = "qemu.log"
MONITOR_SOCKET = "qmp.sock"
CONTROL_SOCKET = "control.sock"
NETWORK = "n0"
KERNEL_ARGUMENTS = (
    "console=ttyAMA0 panic=-1 quiet loglevel=4 nokaslr norandmaps cryptomgr.notests kpti=off mitigations=off"
)
"""The guards between programs cost an emulated machine a sixth of its time, and on the twin all programs are ours.
Without norandmaps each process has its code elsewhere, and QEMU translates all of it anew: three times the cost.
The kernel's tests of its own ciphers take a third of its start."""

QEMU_PROGRAMS = {"aarch64": "qemu-system-aarch64", "armv7l": "qemu-system-arm"}
# Without highmem=off the devices lie beyond what the 32-bit kernel reaches.
_MACHINES = {"aarch64": "virt,gic-version=max", "armv7l": "virt,highmem=off"}

LEAST_MEMORY_MIB = 256
MOST_VCPUS = 64


@dataclass(frozen=True, kw_only=True)
class TwinSpec:
    """What a board's twin is.

    Args:
        board: The board definition's name.
        cpu: QEMU's name of the core type, such as ``cortex-a72`` or ``max``.
        vcpus: Virtual CPUs on the real clock; the instruction clock always has one.
        memory_mib: The guest's memory in MiB.
        architecture: ``aarch64`` or ``armv7l``, as ``uname -m`` says it in the guest.
    """

    board: str
    cpu: str
    vcpus: int
    memory_mib: int
    architecture: str = "aarch64"

    def __post_init__(self) -> None:
        if not 1 <= self.vcpus <= MOST_VCPUS:
            raise UsageError(f"a twin cannot have {self.vcpus} virtual CPUs", hint=f"1 to {MOST_VCPUS} are possible")
        if self.memory_mib < LEAST_MEMORY_MIB:
            raise UsageError(
                f"{self.memory_mib} MiB of memory are too little for a twin",
                hint=f"give it at least {LEAST_MEMORY_MIB}",
            )


def vcpus_on(spec: TwinSpec, clock: Clock) -> int:
    """Return how many virtual CPUs the twin gets: counting instructions is deterministic with one only."""
    return 1 if clock is Clock.INSTRUCTIONS else spec.vcpus


def qemu_command(spec: TwinSpec, *, clock: Clock, kernel: Path, program: str | None = None) -> list[str]:
    """Return the command line that boots a twin in the current directory.

    The SSH port is chosen by the system (host port 0) and asked for afterwards, so two twins never race for one.
    ``restrict=on`` cuts the guest off from every network; only the forwarded port, on 127.0.0.1, leads in.
    """
    # Without impdef, the emulated pointer authentication of `max` doubles the boot time.
    cpu = f"{spec.cpu},pauth-impdef=on" if spec.cpu == "max" else spec.cpu
    command = [program or tool(QEMU_PROGRAMS[spec.architecture]), "-nodefaults", "-no-user-config", "-no-reboot"]
    command += ["-display", "none", "-name", f"edgedeploy-{spec.board}"]
    command += ["-machine", _MACHINES[spec.architecture], "-cpu", cpu, "-m", str(spec.memory_mib)]
    command += ["-smp", str(vcpus_on(spec, clock))]
    command += _clock_options(clock)
    command += ["-kernel", str(kernel), "-initrd", INITRAMFS, "-append", KERNEL_ARGUMENTS]
    command += ["-serial", f"file:{CONSOLE_LOG}", "-qmp", f"unix:{MONITOR_SOCKET},server=on,wait=off"]
    command += ["-netdev", f"user,id={NETWORK},restrict=on,hostfwd=tcp:127.0.0.1:0-:22"]
    command += ["-device", f"virtio-net-pci,netdev={NETWORK},romfile="]
    command += ["-drive", f"if=none,id=root,file={OVERLAY},format=qcow2,discard=unmap"]
    command += ["-device", "virtio-blk-pci,drive=root", "-device", "virtio-rng-pci"]
    command += ["-chardev", f"socket,id=control,path={CONTROL_SOCKET},server=on,wait=off"]
    command += ["-device", "virtio-serial-pci", "-device", "virtconsole,chardev=control"]
    return command


def _clock_options(clock: Clock) -> list[str]:
    if clock is Clock.INSTRUCTIONS:
        # One instruction is one nanosecond of guest time. sleep=on keeps an idle guest's clock at host speed: without
        # it idle time leaps ahead by hours and logins time out. The RTC follows the same clock.
        return ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=on", "-rtc", "base=utc,clock=vm"]
    return ["-accel", "tcg,thread=multi", "-rtc", "base=utc"]
