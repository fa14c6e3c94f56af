"""The subcommand ``kernas report``."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from kernas.quantities import size

from .exit_codes import DONE
from .folders import write_in_run
from .options import ReportOptions
from .printing import messages_aside, say, say_json, tell
from .space import space_of

PAGE = "report.html"


def run_report(options: ReportOptions) -> int:
    """Write the page, say where it is, and return the exit code."""
    from ..report.page import page_of, parts_of, write_pictures

    with messages_aside(options.json):
        space = None if options.space is None else space_of(options)
        parts = parts_of(options.runs, space)
        output = _output(options)
        content = page_of(parts).encode()
        output.parent.mkdir(parents=True, exist_ok=True)
        write_in_run(output, content)
        pictures = [] if options.pictures is None else write_pictures(parts, options.pictures)
        if options.open and not webbrowser.open(output.absolute().as_uri()):
            tell(f"no browser was found: open {output} yourself")
    found = {
        "output": str(output),
        "bytes": len(content),
        "parts": [{"kind": part.kind, "title": part.title, "notes": part.notes} for part in parts],
        "pictures": [str(path) for path in pictures],
    }
    if options.json:
        say_json(found)
    else:
        notes = [f"{part.title}: {note}" for part in parts for note in part.notes]
        also = f"; {len(pictures)} pictures in {options.pictures}" if pictures else ""
        say("\n".join([*notes, f"written in {output}, {size(len(content))}{also}"]))
    return DONE


def _output(options: ReportOptions) -> Path:
    """Beside what it is about, where that is one folder."""
    if options.output is not None:
        return options.output
    first = options.runs[0]
    return first / PAGE if len(options.runs) == 1 and first.is_dir() else Path(PAGE)
