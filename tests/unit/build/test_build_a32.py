"""32-bit ARM: the table of encodings, and the proof that nothing beyond NEON and VFPv3 runs unasked."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from arm32_programs import assembled, linked, start
from elftools.elf.elffile import ELFFile

from edgedeploy.build.a32 import features_of_words, patterns
from edgedeploy.build.baseline import Unguarded, unguarded_features
from edgedeploy.errors import BuildFailedError

# One instruction or more of each feature, as LLVM's assembler encodes them, and what is like them in ARMv7-A.
INSTRUCTIONS = {
    "vfpv4": [
        "vfma.f32 q0, q1, q2", "vfms.f32 d0, d1, d2", "vfma.f32 s0, s1, s2", "vfms.f64 d0, d1, d2",
        "vfnma.f32 s0, s1, s2", "vfnms.f64 d16, d1, d2", "vcvt.f16.f32 d0, q1", "vcvt.f32.f16 q8, d1",
        "vcvtb.f32.f16 s0, s1", "vcvtt.f16.f32 s0, s1",
    ],
    "idiva": ["sdiv r0, r1, r2", "udivne r0, r1, r2"],
    "armv8": [
        "vsdot.s8 q0, q1, q2", "vcmla.f32 q0, q1, q2, #90", "vfmal.f16 q0, d1, d2", "vseleq.f32 s0, s1, s2",
        "vmaxnm.f32 s0, s1, s2", "vminnm.f32 q0, q1, q2", "vrintn.f32 s0, s1", "vrinta.f32 q0, q1",
        "vcvta.s32.f32 s0, s1", "vcvtm.s32.f32 q0, q1", "lda r0, [r1]", "stl r0, [r1]", "ldaex r0, [r1]",
        "stlexb r0, r1, [r2]",
    ],
    "asimdrdm": ["vqrdmlah.s16 q0, q1, q2", "vqrdmlsh.s32 d0, d1, d2"],
    "aes": ["aese.8 q0, q1"],
    "sha1": ["sha256h.32 q0, q1, q2", "sha1h.32 q0, q1", "sha256su0.32 q0, q1"],
    "pmull": ["vmull.p64 q0, d1, d2"],
    "crc32": ["crc32b r0, r1, r2", "crc32cw r0, r1, r2"],
    "fphp": ["vadd.f16 s0, s1, s2", "vldr.16 s0, [r1]", "vcvt.s32.f16 s0, s1", "vmov.f16 s0, r1"],
    "asimdhp": [
        "vadd.f16 q0, q1, q2", "vfma.f16 q0, q1, q2", "vceq.f16 q0, q1, q2", "vmax.f16 q0, q1, q2",
        "vmul.f16 d0, d1, d2",
    ],
    "": [
        "vmla.f32 q0, q1, q2", "vmul.f32 q0, q1, d2[1]", "vadd.f32 q0, q1, q2", "vmax.f32 q0, q1, q2",
        "vrecps.f32 q0, q1, q2", "vrsqrts.f32 q0, q1, q2", "vcvt.s32.f32 q0, q1", "vcvt.f32.s32 q0, q1, #3",
        "vrecpe.f32 q0, q1", "vmlal.s16 q0, d1, d2", "vmull.p8 q0, d1, d2", "vqrdmulh.s16 q0, q1, q2",
        "vpadd.i32 d0, d1, d2", "vshll.s16 q0, d1, #16", "vmla.f64 d0, d1, d2", "vnmul.f32 s0, s1, s2",
        "vcvt.f64.f32 d0, s1", "vldmia r0!, {d0-d7}", "vld4.8 {d0, d1, d2, d3}, [r0]!", "ldrex r0, [r1]",
        "strexd r0, r2, r3, [r4]", "dmb ish", "pld [r0]", "qadd r0, r1, r2", "smlabb r0, r1, r2, r3",
        "smmul r0, r1, r2", "blx r0", "mul r0, r1, r2", "vcvtr.s32.f32 s0, s1", "vsqrt.f32 s0, s1",
        "vmov.f32 s0, #1.0", "bkpt #1", "mrc p15, 0, r0, c13, c0, 3", "vtbl.8 d0, {d1}, d2", "vext.8 q0, q1, q2, #3",
        "vceq.f32 q0, q1, #0", "vmov.i32 q0, #255", "vaddl.s8 q0, d1, d2",
    ],
}  # fmt: skip

FUSED = ".globl fused\n.type fused, %function\nfused:\n  vfma.f32 q0, q1, q2\n  bx lr\n.size fused, .-fused"


@pytest.mark.parametrize("feature", sorted(INSTRUCTIONS))
def test_encodings(feature: str, tmp_path: Path) -> None:
    source, object_file = tmp_path / "a.s", tmp_path / "a.o"
    lines = INSTRUCTIONS[feature]
    source.write_text("\n".join(lines) + "\n")
    extensions = "-mattr=+fullfp16,+fp16fml,+dotprod,+crypto,+neon,+crc,+aes,+sha2"
    command = ["llvm-mc-19", "-triple=armv8.6a-linux-gnueabihf", extensions, "-filetype=obj", "-o", object_file, source]
    subprocess.run(command, check=True, timeout=60)
    with object_file.open("rb") as stream:
        words = np.frombuffer(ELFFile(stream).get_section_by_name(".text").data(), dtype="<u4")
    assert len(words) == len(lines)
    found = features_of_words(words)
    for line, hits in zip(lines, zip(*found.values(), strict=True) if found else [()] * len(lines), strict=True):
        assert [name for name, hit in zip(found, hits, strict=True) if hit] == ([feature] if feature else []), line


def test_every_row_can_match() -> None:
    for pattern in patterns():
        assert pattern.value & ~pattern.mask == 0, pattern
        always = 0xE0000000 if not pattern.mask >> 28 else 0
        assert features_of_words(np.array([pattern.value | always], dtype=np.uint32)), pattern


def test_code_for_vfpv4_in_its_own_file_is_the_proof_and_data_counts_for_nothing(tmp_path: Path) -> None:
    program, archives = linked(
        tmp_path, start(tmp_path, "fused", body="  bx lr\n  .word 0xf2000c10"), assembled(tmp_path, "conv_vfpv4", FUSED)
    )
    assert unguarded_features(program, archives) == ()


def test_the_same_code_in_another_file_shows(tmp_path: Path) -> None:
    program, archives = linked(tmp_path, start(tmp_path, "fused"), assembled(tmp_path, "conv", FUSED))
    assert unguarded_features(program, archives) == (Unguarded(feature="vfpv4", function="fused"),)


def test_a_division_that_no_cortex_a8_has_shows(tmp_path: Path) -> None:
    program, archives = linked(tmp_path, start(tmp_path, body="  sdiv r0, r1, r2"))
    assert unguarded_features(program, archives) == (Unguarded(feature="idiva", function="_start"),)


def test_thumb_code_is_no_proof(tmp_path: Path) -> None:
    thumb = assembled(tmp_path, "short", ".globl short\n.type short, %function\n.thumb_func\n.thumb\nshort:\n  bx lr")
    program, archives = linked(tmp_path, start(tmp_path, "short"), thumb)
    with pytest.raises(BuildFailedError, match="has Thumb code"):
        unguarded_features(program, archives)
