"""``edgedeploy`` in processes of its own, forked from one that has loaded it: loading takes longer than most commands.

The process takes one request a line, ``{"words", "directory", "stdout", "stderr"}``, and answers with the exit status.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from edgedeploy.cli.main import COMMANDS, run


class CommandServer:
    """Runs commands in one environment; it ends with this process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(environment),
            text=True,
            start_new_session=True,
        )

    def run(self, words: Sequence[str], *, directory: Path, deadline_s: float) -> subprocess.CompletedProcess[str]:
        """Run one command to its end, with nothing on its standard input."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with tempfile.TemporaryDirectory() as scratch:
            stdout, stderr = Path(scratch) / "stdout", Path(scratch) / "stderr"
            request = {"words": words, "directory": str(directory), "stdout": str(stdout), "stderr": str(stderr)}
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            if not select.select([self._process.stdout], [], [], deadline_s)[0]:
                os.killpg(self._process.pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(list(words), deadline_s)
            status = int(self._process.stdout.readline())
            return subprocess.CompletedProcess(
                list(words), status, stdout.read_text(encoding="utf-8"), stderr.read_text(encoding="utf-8")
            )


@cache
def _server(environment: tuple[tuple[str, str], ...]) -> CommandServer:
    return CommandServer(dict(environment))


def server_for(environment: Mapping[str, str]) -> CommandServer:
    """Return the server of an environment, started where there is none yet."""
    return _server(tuple(sorted(environment.items())))


def serve() -> None:
    """Answer requests until standard input ends; in a forked process, run the command and exit with its status."""
    for module in (*COMMANDS.values(), "edgedeploy.cli.board_probe"):
        import_module(module)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(request)
            _run_and_end()
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run_and_end() -> NoReturn:
    """Run the command; threads of libraries are not in a forked process, so their own ends would wait for them."""
    status = 1
    try:
        run()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _become(request: dict[str, list[str] | str]) -> None:
    os.chdir(str(request["directory"]))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        target = os.open(str(request[name]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(target, descriptor)
        os.close(target)
    os.close(nothing)
    sys.argv = ["edgedeploy", *request["words"]]


if __name__ == "__main__":
    serve()
