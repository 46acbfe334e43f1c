"""What is forked from a loaded product is like what a command line starts, and ends like it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.stack.daemon import is_alive
from tests.stack.forkserver import KEPT, LOST, ForkServer, forkserver
from tests.stack.plugin import Stack
from tests.stack.processes import REPOSITORY, Process, resolved
from tests.stack.waiting import eventually

# One worker takes them all: they share what takes two seconds to load.
pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("forkserver")]

PICTURE = """
import gc, json, os, signal, sys, threading
sys.path.append(os.getcwd())
import django
django.setup()
sys.path.pop()
told = {
    "arguments": sys.argv, "name": __name__, "file": __file__, "path": sys.path, "directory": os.getcwd(),
    "environment": dict(os.environ), "leads": os.getsid(0) == os.getpgrp() == os.getpid(),
    "signals": {each.name: str(signal.getsignal(each)) for each in signal.valid_signals() if hasattr(each, "name")},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), "umask": os.umask(0),
    "threads": threading.active_count(), "collects": (gc.isenabled(), gc.get_threshold()),
    "descriptors": sorted(os.listdir("/proc/self/fd")), "input": os.readlink("/proc/self/fd/0"),
    "buffered": (sys.stdout.line_buffering, sys.stdout.write_through, sys.stderr.line_buffering),
    "recursion": sys.getrecursionlimit(), "flags": str(sys.flags),
}
print(json.dumps(told))
"""
SLEEPER = """
import os, signal, sys, time
if not os.fork():
    time.sleep(600)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("ready", flush=True)
while True:
    time.sleep(600)
"""


@dataclass(kw_only=True)
class Sleeper(Process):
    """Two processes in one group."""

    def is_ready(self) -> bool:
        return "ready" in self.latest_output()


@pytest.fixture
def environment(stack: Stack) -> dict[str, str]:
    """A product whose servers are all away: nobody asks them."""
    settings = stack.environment(database_url="postgres://amp@127.0.0.1:9/nowhere", redis_database=1)
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **settings}


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a program of Python in a child."""

    def run(program: str, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "program.py"
        script.write_text(program)
        command = resolved(("python", str(script), *arguments))
        return forkserver(environment).run(command, cwd=REPOSITORY, timeout=timeout)

    return run


@pytest.fixture
def sleeper(environment: dict[str, str], tmp_path: Path) -> Iterator[Sleeper]:
    """Not started."""
    script = tmp_path / "sleeper.py"
    script.write_text(SLEEPER)
    command = ("python", str(script))
    sleeper = Sleeper(name="sleeper", directory=tmp_path, arguments=command, environment=environment, is_cold=False)
    yield sleeper
    sleeper.kill()


def test_a_child_looks_like_what_the_command_line_starts(
    run: Callable[..., subprocess.CompletedProcess[str]], environment: dict[str, str], tmp_path: Path
) -> None:
    forked = run(PICTURE, "one", "two words")
    command = resolved(("python", str(tmp_path / "program.py"), "one", "two words"))
    cold = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    )
    assert (forked.returncode, forked.stderr) == (0, cold.stderr)
    assert json.loads(forked.stdout) == json.loads(cold.stdout)


def test_what_acts_while_it_is_imported_is_left_to_the_child(
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """The one looks at the database and settles the collector, the other takes a file of counts for its process."""
    program = (
        "import sys\n"
        "from django.db import connections\n"
        "print([name in sys.modules for name in ('django', 'amp.urls', 'amp.wsgi', 'amp.metrics.counting')])\n"
        "print([each.connection for each in connections.all(initialized_only=True)])"
    )
    modules, connections = run(program).stdout.splitlines()
    assert modules == "[True, True, False, False]"
    assert set(connections) <= set("[None, ]")


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("", 0),
        ("raise SystemExit(3)", 3),
        ("raise SystemExit('no')", 1),
        ("1 / 0", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -15),
        ("import atexit, os; atexit.register(lambda: os._exit(5))", 5),
    ],
)
def test_what_a_child_ends_with_is_told(
    run: Callable[..., subprocess.CompletedProcess[str]], program: str, code: int
) -> None:
    assert run(program).returncode == code


def test_output_and_errors_go_where_they_belong(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    told = run("import os, sys\nprint('out')\nos.system('echo below')\nprint('err', file=sys.stderr)\n1 / 0")
    assert told.stdout.splitlines() == ["below", "out"], "to a file Python writes at the end, also after a fork"
    assert told.stderr.startswith("err\nTraceback")
    assert told.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_children_draw_random_numbers_of_their_own(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    program = (
        "import random, secrets, tempfile, uuid\n"
        "from django.utils.crypto import get_random_string\n"
        "print(random.random(), secrets.token_hex(), tempfile.mktemp(), uuid.uuid4(), get_random_string(20))"
    )
    one, other = run(program).stdout.split(), run(program).stdout.split()
    assert len(one) == len(other) == 5
    assert not set(one) & set(other)


def test_a_command_that_takes_too_long_is_killed(
    run: Callable[..., subprocess.CompletedProcess[str]], environment: dict[str, str]
) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run("import time; time.sleep(600)", timeout=0.05)
    eventually(forkserver(environment).is_idle, what="its end")


def test_a_process_is_stopped_started_again_and_killed_with_its_group(sleeper: Sleeper) -> None:
    sleeper.start()
    first = sleeper.pid
    assert os.getpgid(first) == os.getsid(first) == first
    [below] = sleeper.children()
    sleeper.pause()
    eventually(lambda: _state(first) == _state(below) == "T", what="both frozen")
    assert sleeper.process is not None
    with pytest.raises(subprocess.TimeoutExpired):
        sleeper.process.wait(0.01)
    sleeper.resume()
    sleeper.stop()
    assert (sleeper.process.returncode, sleeper.is_running) == (7, False)
    eventually(lambda: not is_alive(below), what="the end of its group")
    sleeper.process.send_signal(signal.SIGTERM)  # to nobody
    sleeper.start()
    assert sleeper.pid != first
    [below] = sleeper.children()
    sleeper.kill()
    assert sleeper.process.returncode == -signal.SIGKILL
    eventually(lambda: not is_alive(below), what="the end of its group")
    assert sleeper.output() == "ready\n" * 2


def test_each_environment_has_a_server_that_equal_ones_share(
    run: Callable[..., subprocess.CompletedProcess[str]], environment: dict[str, str]
) -> None:
    program = "import django; django.setup(); from django.conf import settings; print(settings.BASE_URL)"
    shared = forkserver(dict(environment))
    assert shared is forkserver(dict(reversed(environment.items())))
    assert run(program).stdout == "http://testserver\n"
    environment["AMP_BASE_URL"] = "http://elsewhere"
    assert run(program).stdout == "http://elsewhere\n"
    assert forkserver(environment) is not shared


def test_a_server_that_dies_takes_nobody_along_and_is_replaced(
    sleeper: Sleeper, run: Callable[..., subprocess.CompletedProcess[str]], environment: dict[str, str]
) -> None:
    sleeper.start()
    dead = forkserver(environment)
    dead.process.kill()
    dead.process.wait()
    assert run("print('new')").stdout == "new\n"
    assert sleeper.process is not None
    assert sleeper.is_running
    sleeper.process.send_signal(signal.SIGTERM)
    assert sleeper.process.wait(30) == LOST


def test_servers_that_nobody_needs_end_and_one_with_a_child_stays(
    sleeper: Sleeper, environment: dict[str, str]
) -> None:
    sleeper.start()
    used = forkserver(environment)
    others = [forkserver(environment | {"AMP_BASE_URL": f"http://{number}"}) for number in range(KEPT + 1)]
    assert [_runs(each) for each in others] == [False] * 2 + [True] * (KEPT - 1)
    assert _runs(used)
    assert sleeper.is_running
    sleeper.kill()
    last = forkserver(environment | {"AMP_BASE_URL": "http://last"})
    assert (_runs(used), _runs(last)) == (False, True)


def test_a_product_that_cannot_be_loaded_says_why(
    run: Callable[..., subprocess.CompletedProcess[str]], environment: dict[str, str]
) -> None:
    environment["AMP_MODE"] = "nonsense"
    with pytest.raises(RuntimeError, match="Set AMP_MODE to production, test or demo"):
        run("")


def test_neither_server_nor_child_outlives_a_run_that_is_killed(environment: dict[str, str], tmp_path: Path) -> None:
    sleeping = tmp_path / "sleeping.py"
    sleeping.write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)")
    script = f"""
from pathlib import Path
from tests.stack.forkserver import forkserver
server = forkserver({environment!r})
with Path({str(tmp_path / "log")!r}).open("wb") as log:
    child = server.popen({resolved(("python", str(sleeping)))!r}, cwd=Path(), stdout=log, stderr=log)
print(server.process.pid, child.pid, flush=True)
child.wait()
"""
    run = subprocess.Popen([sys.executable, "-c", script], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    ids = [int(each) for each in run.stdout.readline().split()]
    assert [is_alive(each) for each in ids] == [True, True]
    run.kill()
    run.wait()
    run.stdout.close()
    eventually(lambda: not any(is_alive(each) for each in ids), what="the end of both")


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _runs(server: ForkServer) -> bool:
    return server.process.poll() is None
