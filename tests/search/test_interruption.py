"""Signals at any moment: the exit code says which, and nothing but one line is printed."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kernas.search.cli import interruption

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals between processes")

UNIGNORED = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
"""A shell's background job ignores the signal, and so would what a test starts in one."""

AS_PROGRAM = "runpy.run_module('kernas', run_name='__main__')"

BEGIN = """
import sys, time, types
from kernas.search.cli import interruption
from kernas.search.cli.process import main

def run(arguments):
    print("begun", flush=True)
    {work}

sys.modules["kernas.search.cli.app"] = types.SimpleNamespace(run=run)
{before}
main([])
"""

SLEEP = "time.sleep(60)"
SWALLOWED = """
    class Loop:
        def __del__(self):
            print("inside", flush=True)
            time.sleep(60)
    Loop()
    time.sleep(60)
"""
TRANSLATED = """
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        raise ImportError("as some extensions do")
"""
WITHOUT_END = """
    import hashlib
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)  # in C, like a program that XLA compiles
"""
BAR = """
    print("50%", end="", file=sys.stderr, flush=True)
    time.sleep(60)
"""


def started(work: str, before: str = "") -> subprocess.Popen:
    """A process of the command line whose command does some work; it has begun."""
    program = UNIGNORED + BEGIN.format(work=work.strip(), before=before)
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    wait_for("begun", process)
    return process


def wait_for(line: str, process: subprocess.Popen) -> None:
    """Read what a process prints up to a line."""
    assert process.stdout is not None
    assert process.stdout.readline() == f"{line}\n"


def ended(process: subprocess.Popen, number: int) -> tuple[int, list[str]]:
    process.send_signal(number)
    _, messages = process.communicate(timeout=30)
    return process.returncode, messages.splitlines()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_each_signal_has_its_code(number, code):
    assert ended(started(SLEEP), number) == (code, ["kernas: interrupted"])


@pytest.mark.parametrize("work", [TRANSLATED, WITHOUT_END])
def test_what_the_main_thread_does_does_not_matter(work):
    """Nothing is raised in it that something else could be made of, and nothing waits for it."""
    assert ended(started(work), signal.SIGINT) == (130, ["kernas: interrupted"])


def test_inside_a_destructor():
    process = started(SWALLOWED)
    wait_for("inside", process)
    assert ended(process, signal.SIGINT) == (130, ["kernas: interrupted"])


def test_the_line_is_its_own_below_a_bar():
    process = started(BAR)
    time.sleep(0.3)
    assert ended(process, signal.SIGTERM) == (143, ["50%", "kernas: interrupted"])


def test_it_comes_while_modules_are_loaded():
    """Before there is a thread for it."""
    before = "interruption.watch_signals = lambda: None"
    assert ended(started(SLEEP, before), signal.SIGINT)[0] == 130


def test_a_signal_that_was_ignored_at_the_start_stays_so():
    process = started("time.sleep(0.5)", "import signal; signal.signal(1, signal.SIG_IGN)")
    assert ended(process, signal.SIGHUP) == (0, [])


def test_the_advice_is_that_of_the_work():
    with (
        pytest.raises(KeyboardInterrupt, match="do so"),
        interruption.way_on("do something"),
        interruption.way_on("do so"),
    ):
        raise KeyboardInterrupt
    assert interruption._advice == [""]


def takes_signals(process: subprocess.Popen) -> bool:
    """Whether a process has a handler of SIGTERM, which Python itself has not."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = int(status.split("SigCgt:")[1].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says what is handled")
def test_twenty_interruptions_while_a_ranking_starts_and_compiles(tmp_path):
    """From the first moment on; ten of them where XLA compiles, as nothing is kept for it."""
    drawn = random.Random(0)
    moments = [0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.2, 1.8, 2.5, 3.5]
    moments += [drawn.uniform(0.5, 40) for _ in range(10)]
    ends = []
    for i, moment in enumerate(moments):
        output = tmp_path / f"run{i}"
        command = [
            *(sys.executable, "-c", UNIGNORED + "import runpy\n" + AS_PROGRAM),
            *("rank", "--sample", "100", "--n-train", "12"),
            *("--n-validation", "10", "--no-compilation-cache", "--output", str(output)),
        ]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        with process:
            while not takes_signals(process) or (i >= 10 and not (output / "config.json").exists()):
                time.sleep(0.002)
            time.sleep(moment)
            process.send_signal(signal.SIGINT)
            asked = time.monotonic()
            _, messages = process.communicate(timeout=60)
        ends.append(process.returncode)
        assert process.returncode == 130, (moment, messages)
        assert "Traceback" not in messages, (moment, messages)
        assert messages.splitlines()[-1].startswith("kernas: interrupted"), (moment, messages)
        assert time.monotonic() - asked < 30, moment
    assert ends == [130] * 20
