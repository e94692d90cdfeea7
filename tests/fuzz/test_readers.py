"""Any bytes: every reader takes them or refuses them by a typed error, within 1 GB and seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz_bounds import TooSlowError, bounded
from fuzz_mutations import damaged
from fuzz_readers import READERS, Reader, check
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgedeploy.errors import InputError, ProjectFileError

CORPUS = Path(__file__).parent / "corpus"
MANY = pytest.mark.nightly
EXAMPLES = [50, pytest.param(500, marks=MANY)]
BYTES_EXAMPLES = [20, pytest.param(100, marks=MANY)]
NAMES = sorted(READERS)

# The same examples in every run: a failure is the change's, not the day's. The guided fuzzer looks for new ones.
_steady = settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))


def _corpus() -> list[Path]:
    return sorted(path for path in CORPUS.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", NAMES)
def test_the_seeds_are_of_the_format(name: str, tmp_path: Path) -> None:
    for seed in READERS[name].seeds():
        taken = check(READERS[name], seed, tmp_path) is None
        # Bundles have their files elsewhere: those readers go as far as the first that is missing.
        assert taken or name in {"bundle", "sources"}


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("name", NAMES)
def test_damaged_documents(name: str, examples: int, tmp_path: Path) -> None:
    reader = READERS[name]

    @settings(_steady, max_examples=examples)
    @given(damaged(reader.seeds()))
    def holds(content: bytes) -> None:
        check(reader, content, tmp_path)

    holds()


@pytest.mark.parametrize("examples", BYTES_EXAMPLES)
@pytest.mark.parametrize("name", NAMES)
def test_any_bytes(name: str, examples: int, tmp_path: Path) -> None:
    @settings(_steady, max_examples=examples)
    @given(st.binary(max_size=300))
    def holds(content: bytes) -> None:
        check(READERS[name], content, tmp_path)

    holds()


@pytest.mark.parametrize("path", _corpus(), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_before(path: Path, tmp_path: Path) -> None:
    check(READERS[path.parent.name], path.read_bytes(), tmp_path)


class TestTheJudge:
    def test_an_untyped_error_is_a_crash(self, tmp_path: Path) -> None:
        def read(_: bytes, __: Path) -> None:
            raise RecursionError

        with pytest.raises(RecursionError):
            check(Reader(read=read, seeds=tuple), b"", tmp_path)

    @pytest.mark.parametrize("error", [ProjectFileError("no hint"), InputError("no slug", hint="none")])
    def test_an_error_without_a_hint_or_a_slug_fails(self, error: InputError, tmp_path: Path) -> None:
        def read(_: bytes, __: Path) -> None:
            raise error

        with pytest.raises(AssertionError):
            check(Reader(read=read, seeds=tuple), b"", tmp_path)

    def test_too_much_memory_fails(self) -> None:
        with pytest.raises(MemoryError), bounded(memory_bytes=10_000_000):
            bytearray(2_000_000_000)

    def test_too_much_time_fails_even_where_it_is_caught(self) -> None:
        with pytest.raises(TooSlowError), bounded(cpu_s=0.05):
            try:
                while True:
                    pass
            except Exception:
                raise ProjectFileError("damaged", hint="mend it") from None
