"""The coverage-guided fuzzer: atheris (libFuzzer for Python) on the readers that the hypothesis tests are about.

``make fuzz`` runs it. Each reader has a process of its own with at most 1 GB; what breaks a reader is left as a file in
``build/fuzz/findings/READER/``. What it learns stays in ``build/fuzz/corpus/READER/`` and the next run starts from it.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fuzz_guidance import REFUSALS, dictionary, mutate, refusal

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
KEPT = HERE / "corpus"
MEMORY_MB = 1000
LONGEST_INPUT_BYTES = 65536
INPUT_DEADLINE_S = 25
SLOWDOWN = 10
"""Seconds of the clock to one of CPU time, at most: a busy machine gets as many inputs as an idle one."""
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
        _fuzz(options.readers[0], options.seconds, options.arguments)
        return 0
    return _fuzz_each(options.readers, options.seconds, options.work)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fuzz the readers, guided by coverage.")
    parser.add_argument("readers", nargs="*", help="names as in fuzz_readers.py; all of them where none is named")
    parser.add_argument("--seconds", type=int, default=60, help="of CPU time for each reader")
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
        log = findings.with_suffix(".log")
        print(f"{name}: {len(new)} findings, status {status}, {figures(log)}, log {log}", flush=True)
        found += new or ([findings] if status else [])
    for path in found:
        print(f"found: {path}", file=sys.stderr)
    return 1 if found else 0


def _fuzz_one(name: str, seconds: int, findings: Path, corpus: Path) -> int:
    kept = [str(KEPT / name)] if (KEPT / name).is_dir() else []
    words = corpus.parent / "words.dict"
    words.write_text(dictionary(), encoding="ascii")
    command = [
        *(sys.executable, str(Path(__file__).resolve()), name, "--inside"),
        *("--seconds", str(seconds), f"-max_total_time={seconds * SLOWDOWN}"),
        *(f"-rss_limit_mb={MEMORY_MB}", f"-timeout={INPUT_DEADLINE_S}"),
        *(f"-max_len={LONGEST_INPUT_BYTES}", f"-artifact_prefix={findings}/", f"-dict={words}"),
        *("-print_final_stats=1", "-use_value_profile=1", str(corpus), *kept),
    ]
    log = findings.with_suffix(".log")
    with log.open("wb") as stream:
        try:
            return subprocess.run(
                command, check=False, stdout=stream, stderr=subprocess.STDOUT, timeout=seconds * SLOWDOWN + START_S
            ).returncode
        except subprocess.TimeoutExpired:
            return 1


def figures(log: Path) -> str:
    """Return what libFuzzer says it did: ``"52000 inputs, 130 branches reached, 80 kept"``."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    inputs = re.findall(r"number_of_executed_units: (\d+)", text)
    reached = re.findall(r" cov: (\d+) .* corp: (\d+)/", text)
    branches, kept = reached[-1] if reached else ("0", "0")
    return f"{inputs[-1] if inputs else 0} inputs, {branches} branches reached, {kept} kept"


def _fuzz(name: str, seconds: int, arguments: list[str]) -> None:
    """Become libFuzzer for so many seconds of CPU time; it ends the process."""
    import atheris  # noqa: PLC0415

    with atheris.instrument_imports(include=_INSTRUMENTED):
        from fuzz_readers import READERS, check  # noqa: PLC0415

    counters = [atheris._reserve_counter() for _ in range(REFUSALS)]  # what pydantic decides is not instrumented
    with tempfile.TemporaryDirectory(prefix="edgedeploy-fuzz-") as scratch:
        directory = Path(scratch)
        os.chdir(directory)

        end_s = time.process_time() + seconds

        def read(content: bytes) -> None:
            if time.process_time() > end_s:
                os.kill(os.getpid(), signal.SIGUSR1)
            error = check(READERS[name], content, directory)
            if error is not None:
                atheris._trace_branch(counters[refusal(error)])

        def mutated(content: bytes, most_bytes: int, seed: int) -> bytes:
            return mutate(bytes(content), most_bytes, seed, atheris.Mutate)

        atheris.Setup([sys.argv[0], *arguments], read, custom_mutator=mutated)
        atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
