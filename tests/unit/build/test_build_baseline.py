"""The proof that nothing beyond ARMv8.0-A runs unasked: its table of encodings, and programs that break the rule."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgedeploy.build.a64 import features_of_words, patterns
from edgedeploy.build.baseline import Unguarded, archive_members, unguarded_features
from edgedeploy.errors import BuildFailedError

GCC = "aarch64-linux-gnu-g++"

BASELINE = """
int dot_asimddp(const signed char*, const signed char*);
int counted(int* count);
int main(int count, char** words) {
  if (count > 3) return counted(&count);
  return count > 2 ? dot_asimddp((const signed char*)words[0], (const signed char*)words[1]) : 0;
}
"""
VARIANT = """
#include <arm_neon.h>
int dot_asimddp(const signed char* a, const signed char* b) {
  return vaddvq_s32(vdotq_s32(vdupq_n_s32(0), vld1q_s8(a), vld1q_s8(b)));
}
"""
SHARED = """
template <typename T> __attribute__((noinline)) T twice(T* a) { return __atomic_fetch_add(a, 1, __ATOMIC_RELAXED); }
int counted(int* count) { return twice(count); }
"""

# One instruction or more of each feature, as GNU's assembler encodes them, and what is like them in ARMv8.0-A.
INSTRUCTIONS = {
    "fphp": ["fadd h0, h1, h2", "fmadd h0, h1, h2, h3", "fcvtzs w0, h1", "fmov h0, w1", "fabd h0, h1, h2"],
    "asimdhp": [
        "fadd v0.8h, v1.8h, v2.8h", "fmla v0.8h, v1.8h, v2.h[7]", "fmaxnmv h0, v1.8h", "scvtf v0.8h, v1.8h",
        "fmov v0.8h, #1.0", "scvtf v0.4h, v1.4h, #3", "frintn v0.4h, v1.4h",
    ],
    "asimdfhm": ["fmlal v0.4s, v1.4h, v2.4h", "fmlal2 v0.4s, v1.4h, v2.h[3]", "fmlsl2 v0.2s, v1.2h, v2.2h"],
    "asimddp": ["sdot v0.4s, v1.16b, v2.16b", "udot v0.2s, v1.8b, v2.4b[1]"],
    "i8mm": ["smmla v0.4s, v1.16b, v2.16b", "usdot v0.4s, v1.16b, v2.16b", "sudot v0.4s, v1.16b, v2.4b[3]"],
    "bf16": ["bfdot v0.4s, v1.8h, v2.8h", "bfmmla v0.4s, v1.8h, v2.8h", "bfcvt h0, s1", "bfcvtn v0.4h, v1.4s"],
    "asimdrdm": ["sqrdmlah v0.4s, v1.4s, v2.4s", "sqrdmlsh v0.8h, v1.8h, v2.h[1]", "sqrdmlah h0, h1, h2"],
    "fcma": ["fcmla v0.4s, v1.4s, v2.4s, #90", "fcadd v0.4s, v1.4s, v2.4s, #270"],
    "atomics": ["ldadd w0, w1, [x2]", "cas x0, x1, [x2]", "casp x0, x1, x2, x3, [x4]", "swpal w0, w1, [x2]"],
    "crc32": ["crc32b w0, w1, w2", "crc32cx w0, w1, x2"],
    "aes": ["aese v0.16b, v1.16b"],
    "pmull": ["pmull v0.1q, v1.1d, v2.1d"],
    "sha2": ["sha256h q0, q1, v2.4s", "sha1h s0, s1"],
    "sha3": ["eor3 v0.16b, v1.16b, v2.16b, v3.16b"],
    "jscvt": ["fjcvtzs w0, d1"],
    "frint": ["frint32z s0, s1"],
    "lrcpc": ["ldapr w0, [x1]"],
    "ilrcpc": ["ldapur w0, [x1, #4]"],
    "flagm": ["rmif x1, #2, #3", "setf8 w0", "cfinv"],
    "paca": ["retaa", "braa x0, x1", "ldraa x0, [x1]"],
    "mte": ["irg x0, x1, x2", "stg x0, [x1]"],
    "sve": ["ptrue p0.b", "ld1b z0.b, p0/z, [x0]", "fmla z0.s, p0/m, z1.s, z2.s"],
    "": [
        "fcvt s0, h1", "fcvt d0, h1", "fcvt h0, s1", "fcvtl v0.4s, v1.4h", "smlal v0.4s, v1.4h, v2.4h", "ldxr w0, [x1]",
        "smull v0.8h, v1.8b, v2.8b", "fmla v0.4s, v1.4s, v2.s[1]", "mla v0.8h, v1.8h, v2.h[1]", "bti c", "paciasp",
        "pmull v0.8h, v1.8b, v2.8b", "sqrdmulh v0.4s, v1.4s, v2.s[1]", "fmov v0.4s, #1.0", "scvtf v0.4s, v1.4s, #3",
        "addv s0, v1.4s", "uaddlv h0, v1.16b", "saddlv s0, v1.8h", "lslv w0, w1, w2", "ldar w0, [x1]", "fmov s0, w1",
    ],
}  # fmt: skip


def compiled(directory: Path, name: str, text: str, *options: str) -> Path:
    source, object_file = directory / f"{name}.cpp", directory / f"{name}.cpp.o"
    source.write_text(text)
    subprocess.run([GCC, "-O2", *options, "-c", "-o", object_file, source], check=True, timeout=60)
    return object_file


def linked(directory: Path, *objects: Path) -> tuple[Path, list[Path]]:
    archive, program = directory / "libparts.a", directory / "program"
    subprocess.run(["aarch64-linux-gnu-ar", "rcs", archive, *objects[1:]], check=True, timeout=60)
    subprocess.run([GCC, "-static", "-o", program, objects[0], archive], check=True, timeout=60)
    return program, [archive]


@pytest.mark.parametrize("feature", sorted(INSTRUCTIONS))
def test_encodings(feature: str, tmp_path: Path) -> None:
    source, object_file, raw = tmp_path / "a.s", tmp_path / "a.o", tmp_path / "a.bin"
    lines = INSTRUCTIONS[feature]
    extensions = "+sve+crypto+sha3+bf16+i8mm+memtag+fp16fml"
    source.write_text(f".arch armv8.6-a{extensions}\n" + "\n".join(lines) + "\n")
    subprocess.run(["aarch64-linux-gnu-as", "-o", object_file, source], check=True, timeout=60)
    subprocess.run(["aarch64-linux-gnu-objcopy", "-O", "binary", object_file, raw], check=True, timeout=60)
    words = np.fromfile(raw, dtype="<u4")
    assert len(words) == len(lines)
    found = features_of_words(words)
    for line, hits in zip(lines, zip(*found.values(), strict=True) if found else [()] * len(lines), strict=True):
        assert [name for name, hit in zip(found, hits, strict=True) if hit] == ([feature] if feature else []), line


def test_every_row_can_match() -> None:
    for pattern in patterns():
        assert pattern.value & ~pattern.mask == 0, pattern
        assert features_of_words(np.array([pattern.value], dtype=np.uint32)), pattern


def test_a_variant_of_its_own_file_is_the_proof(tmp_path: Path) -> None:
    main = compiled(tmp_path, "main", BASELINE)
    variant = compiled(tmp_path, "dot_asimddp", VARIANT, "-march=armv8.2-a+dotprod")
    counted = compiled(tmp_path, "counted", SHARED)
    program, archives = linked(tmp_path, main, variant, counted)
    assert unguarded_features(program, archives) == ()


def test_a_flag_that_reached_another_file_shows(tmp_path: Path) -> None:
    main = compiled(tmp_path, "main", BASELINE)
    misnamed = compiled(tmp_path, "dot", VARIANT, "-march=armv8.2-a+dotprod")
    counted = compiled(tmp_path, "counted", SHARED)
    program, archives = linked(tmp_path, main, misnamed, counted)
    assert unguarded_features(program, archives) == (Unguarded(feature="asimddp", function="_Z11dot_asimddpPKaS0_"),)


def test_a_template_that_a_variant_compiled_for_all_shows(tmp_path: Path) -> None:
    main = compiled(tmp_path, "main", BASELINE)
    variant = compiled(tmp_path, "dot_asimddp", VARIANT, "-march=armv8.2-a+dotprod")
    counted = compiled(tmp_path, "counted_asimdhp", SHARED, "-march=armv8.2-a+fp16")
    program, archives = linked(tmp_path, main, variant, counted)
    found = unguarded_features(program, archives)
    assert found == (Unguarded(feature="atomics", function="_Z5twiceIiET_PS0_"),)


def test_a_program_without_symbols_is_no_proof(tmp_path: Path) -> None:
    program, archives = linked(
        tmp_path,
        compiled(tmp_path, "main", BASELINE),
        compiled(tmp_path, "dot_asimddp", VARIANT, "-march=armv8.2-a+dotprod"),
        compiled(tmp_path, "counted", SHARED),
    )
    subprocess.run(["aarch64-linux-gnu-strip", program], check=True, timeout=60)
    with pytest.raises(BuildFailedError, match="has no symbols"):
        unguarded_features(program, archives)


def test_archive_members_have_their_long_names(tmp_path: Path) -> None:
    long = compiled(tmp_path, "a_name_longer_than_a_header_has_room_for", "int f() { return 1; }")
    short = compiled(tmp_path, "b", "int g() { return 1; }")
    archive = tmp_path / "lib.a"
    subprocess.run(["aarch64-linux-gnu-ar", "rcs", archive, long, short], check=True, timeout=60)
    assert dict(archive_members(archive)) == {long.name: long.read_bytes(), short.name: short.read_bytes()}
    archive.write_bytes(b"something else")
    with pytest.raises(BuildFailedError, match="not a static library"):
        list(archive_members(archive))
