"""The command line in a process of its own, where what it loads can be seen."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

PROGRAM = """
import contextlib, io, json, sys
from kernas.search.cli.app import run

found = []
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            code = run(arguments)
        except SystemExit as end:  # help
            code = end.code
    found.append([code, out.getvalue()])
print(json.dumps(["jax" in sys.modules, found]))
"""


def printed_without_jax(*commands: Sequence[str]) -> list[tuple[Sequence[str], str]]:
    """What commands print that end well; all of them in one process, which never loads JAX."""
    program = [sys.executable, "-c", PROGRAM, json.dumps(commands)]
    result = subprocess.run(program, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    jax_is_loaded, found = json.loads(result.stdout)
    assert not jax_is_loaded
    assert [code for code, _ in found] == [0] * len(commands)
    return [(command, text) for command, (_, text) in zip(commands, found, strict=True)]
