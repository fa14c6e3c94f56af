"""The documents that people read, and the examples in them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
    ]
}
"""README, CONTRIBUTING and every page of the site by its path in the repository."""


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page that are written in a language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGES[page], re.MULTILINE | re.DOTALL)


def example(page: str, word: str) -> str:
    """The one Python block of a page that has a word."""
    (code,) = (code for code in blocks(page, "python") if word in code)
    return code


def commands(page: str, program: str) -> list[str]:
    """What the shell blocks of a page call of a program; a backslash at the end of a line joins it
    with the next."""
    lines = [
        line for code in blocks(page, "sh") for line in re.sub(r"\\\n *", "", code).splitlines()
    ]
    return [line for line in lines if line.startswith(f"{program} ")]
