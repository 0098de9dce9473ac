"""Programs as processes that are ready at once: forks of a Python that has imported what they need.

A new Python takes a second to import the packages that a command works with. `run` asks a server,
one for each process of tests, that has done so and forks: a process of its own, with the folder,
arguments, environment, files and exit code that `subprocess.run` would give it. Only what is read
while Python starts or imports, such as ``PYTHONIOENCODING`` or ``XDG_CACHE_HOME``, is that of the
server; what needs it otherwise takes a new Python.
"""

import atexit
import importlib
import os
import pickle
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).resolve().parent.parent


class Call(NamedTuple):
    """What a fork becomes: ``python -m program`` or, where it is a file, ``python program``."""

    program: str
    arguments: list[str]
    cwd: str
    env: dict[str, str]

    def command(self):
        start = [self.program] if self.program.endswith(".py") else ["-m", self.program]
        return [sys.executable, *start, *self.arguments]


def run(program, *arguments, cwd, env):
    """Run a program to its end; returns what `subprocess.run` does.

    Parameters
    ----------
    program : str
        A file that ends in ``.py``, or the name of a module with a function ``main``.
    """
    arguments = [os.fsdecode(part) if isinstance(part, bytes) else str(part) for part in arguments]
    call = Call(program, arguments, str(cwd), dict(env))
    if not hasattr(os, "fork"):
        return subprocess.run(
            call.command(), cwd=cwd, env=env, capture_output=True, text=True, check=False
        )
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        link, replies = _server(os.getpid())
        socket.send_fds(link, [b"!"], [out.fileno(), errors.fileno()])
        link.sendall(pickle.dumps(tuple(call)))
        code = int(replies.readline())
        out.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(call.command(), code, out.read(), errors.read())


@cache
def _server(_process):
    mine, its = socket.socketpair()
    server = subprocess.Popen(
        [sys.executable, "-P", __file__, str(its.fileno())], pass_fds=[its.fileno()],
        stdin=subprocess.DEVNULL, cwd=CHECKOUT, env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    its.close()
    replies = mine.makefile("rb")

    def end():
        replies.close()
        mine.close()
        server.wait()

    atexit.register(end)
    return mine, replies


def _serve(link):
    """Fork for each call that comes, and say the exit code; return in the fork, with its call."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    calls = link.makefile("rb")
    while True:
        _, files, _, _ = socket.recv_fds(link, 1, 2)
        if not files:
            sys.exit()
        call = Call(*pickle.load(calls))
        fork = os.fork()
        if fork == 0:
            for number, file in enumerate(files, start=1):
                os.dup2(file, number)
        for file in files:
            os.close(file)
        if fork == 0:
            calls.close()
            link.close()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            return call
        _, status = os.waitpid(fork, 0)
        link.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _become(call):
    os.chdir(call.cwd)
    os.environ.clear()
    os.environ.update(call.env)
    sys.argv = [call.program, *call.arguments]
    if call.program.endswith(".py"):
        sys.path.insert(0, str(Path(call.program).resolve().parent))
        runpy.run_path(call.program, run_name="__main__")
    else:
        sys.path.insert(0, call.cwd)
        sys.exit(importlib.import_module(call.program).main())


if __name__ == "__main__":
    import spikefab

    for module in pkgutil.walk_packages(spikefab.__path__, "spikefab."):
        importlib.import_module(module.name)
    with socket.socket(fileno=int(sys.argv[1])) as _link:
        _call = _serve(_link)
    _become(_call)
