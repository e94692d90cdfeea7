"""What becomes of nm's listing."""

from __future__ import annotations

from edgedeploy.build.symbols import symbol_lines

LISTING = """

Symbols from runner:

Name                  Value           Class        Type         Size             Line  Section

table               |0000000000a1ca48|   r  |            OBJECT|0000000000000018|     |.rodata
operator|(Flags, Flags)|0000000000000200|   T  |              FUNC|0000000000000010|     |.text
main                |0000000000000100|   T  |              FUNC|0000000000000054|     |.text.startup
_init               |0000000000000080|   T  |              FUNC|                |     |.init
memcpy              |0000000000000300|   i  | <OS specific>: 10|000000000000014c|     |.text
wmemcpy             |0000000000000400|   W  |              FUNC|0000000000000008|     |.text
__wmemcpy           |0000000000000400|   T  |              FUNC|0000000000000008|     |.text
data_start          |0000000000af0040|   W  |            NOTYPE|                |     |.data
"""


def test_functions_by_address_with_their_sizes() -> None:
    assert symbol_lines(LISTING) == [
        "0000000000000080 0000000000000080 _init",
        "0000000000000100 0000000000000054 main",
        "0000000000000200 0000000000000010 operator|(Flags, Flags)",
        "0000000000000300 000000000000014c memcpy",
        "0000000000000400 0000000000000008 __wmemcpy",
        "0000000000000400 0000000000000008 wmemcpy",
    ]


def test_a_stripped_program_has_none() -> None:
    assert symbol_lines("\n\nSymbols from runner:\n\n") == []
