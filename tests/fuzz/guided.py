"""The coverage-guided fuzzer: atheris (libFuzzer for Python) on the readers that the hypothesis tests are about.

``make fuzz`` runs it. Each reader has a process of its own with at most 1 GB; what breaks a reader is left as a file in
``build/fuzz/findings/READER/``. What it learns stays in ``build/fuzz/corpus/READER/`` and the next run starts from it.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
KEPT = HERE / "corpus"
MEMORY_MB = 1000
LONGEST_INPUT_BYTES = 65536
INPUT_DEADLINE_S = 25
START_S = 600
"""To import and instrument the package, and to stop, on a busy machine."""
_INSTRUMENTED = ["edgedeploy", "tomllib", "json", "zipfile"]
_NO_ATHERIS = """error: atheris is not installed for this Python
hint: pip install -e '.[fuzz]'; it has wheels for CPython 3.11 to 3.13 on x86-64 Linux"""


def main() -> int:
    """Return 0 where nothing was found, 1 for findings, 2 where it cannot run."""
    options = _options()
    if importlib.util.find_spec("atheris") is None:
        print(_NO_ATHERIS, file=sys.stderr)
        return 2
    # The readers' module needs what the tests have on their path.
    sys.path[:0] = [str(ROOT), str(HERE), str(HERE.parent)]
    if options.inside:
        _fuzz(options.readers[0], options.arguments)
        return 0
    return _fuzz_each(options.readers, options.seconds, options.work)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fuzz the readers, guided by coverage.")
    parser.add_argument("readers", nargs="*", help="names as in fuzz_readers.py; all of them where none is named")
    parser.add_argument("--seconds", type=int, default=60, help="for each reader")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "fuzz", help="for findings and the corpus")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options, options.arguments = parser.parse_known_args()
    return options


def _fuzz_each(readers: list[str], seconds: int, work: Path) -> int:
    from fuzz_readers import READERS  # noqa: PLC0415  (after the path is set)

    unknown = sorted(set(readers) - set(READERS))
    if unknown:
        print(f"error: there is no reader {unknown[0]}\nhint: known: {', '.join(READERS)}", file=sys.stderr)
        return 2
    found: list[Path] = []
    for name in readers or list(READERS):
        findings, corpus = work / "findings" / name, work / "corpus" / name
        for directory in (findings, corpus):
            directory.mkdir(parents=True, exist_ok=True)
        for index, seed in enumerate(READERS[name].seeds()):
            (corpus / f"seed-{index}").write_bytes(seed)
        before = set(findings.iterdir())
        status = _fuzz_one(name, seconds, findings, corpus)
        new = sorted(set(findings.iterdir()) - before)
        print(f"{name}: {len(new)} findings, status {status}, log {findings.parent / name}.log", flush=True)
        found += new or ([findings] if status else [])
    for path in found:
        print(f"found: {path}", file=sys.stderr)
    return 1 if found else 0


def _fuzz_one(name: str, seconds: int, findings: Path, corpus: Path) -> int:
    kept = [str(KEPT / name)] if (KEPT / name).is_dir() else []
    command = [
        *(sys.executable, str(Path(__file__).resolve()), name, "--inside"),
        *(f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY_MB}", f"-timeout={INPUT_DEADLINE_S}"),
        *(f"-max_len={LONGEST_INPUT_BYTES}", f"-artifact_prefix={findings}/", f"-dict={_dictionary(corpus.parent)}"),
        *("-print_final_stats=1", str(corpus), *kept),
    ]
    log = findings.with_suffix(".log")
    with log.open("wb") as stream:
        try:
            return subprocess.run(
                command, check=False, stdout=stream, stderr=subprocess.STDOUT, timeout=seconds + START_S
            ).returncode
        except subprocess.TimeoutExpired:
            return 1


def _dictionary(directory: Path) -> Path:
    """Write the numbers and words of the mutations as libFuzzer's dictionary."""
    from fuzz_mutations import NUMBERS, WORDS  # noqa: PLC0415

    path = directory / "words.dict"
    words = [word for word in (*NUMBERS, *WORDS) if len(word) < 64]
    lines = ["".join(f"\\x{byte:02x}" for byte in word) for word in words]
    path.write_text("".join(f'"{line}"\n' for line in lines), encoding="ascii")
    return path


def _fuzz(name: str, arguments: list[str]) -> None:
    """Become libFuzzer; it ends the process."""
    import atheris  # noqa: PLC0415

    with atheris.instrument_imports(include=_INSTRUMENTED):
        from fuzz_readers import READERS, check  # noqa: PLC0415
    with tempfile.TemporaryDirectory(prefix="edgedeploy-fuzz-") as scratch:
        directory = Path(scratch)
        os.chdir(directory)
        atheris.Setup([sys.argv[0], *arguments], lambda content: check(READERS[name], content, directory) and None)
        atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
