"""Chromium without a window, for tests and measurements of pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")

PHONE, DESK = (390, 800), (1280, 900)
"""Widths and heights in pixels."""

FIGURES = "[...document.querySelectorAll('figure[data-chart]')]"

DRAWN = f"{FIGURES}.length > 0 && {FIGURES}.every((figure) => figure.dataset.drawn)"


def chromium_path() -> str:
    """Where it is; ``CHROMIUM`` of the environment comes first.

    Raises:
        FileNotFoundError: it is nowhere.
    """
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        raise FileNotFoundError("no Chromium: apt install chromium, or name it by CHROMIUM")
    return path


@contextmanager
def browser() -> Iterator[Any]:
    """A browser of playwright."""
    from playwright.sync_api import sync_playwright  # pyright: ignore[reportMissingImports]

    with sync_playwright() as own:
        found = own.chromium.launch(executable_path=chromium_path(), args=["--no-sandbox"])
        try:
            yield found
        finally:
            found.close()


def opened(found: Any, path: Path, size: tuple[int, int] = DESK, scheme: str = "light") -> Any:
    """A page, whose ``kernas_messages`` are what its console said, dialogs and requests."""
    page = found.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    messages: list[str] = []
    page.kernas_messages = messages
    page.on("console", lambda one: messages.append(f"{one.type}: {one.text}"))
    page.on("pageerror", lambda error: messages.append(f"error: {error}"))
    page.on(
        "dialog", lambda dialog: (messages.append(f"dialog: {dialog.message}"), dialog.dismiss())
    )
    page.on("request", lambda one: _note(messages, one.url))
    page.goto(path.absolute().as_uri())
    return page


def all_drawn(page: Any) -> None:
    """Scroll to every picture, and wait until it is there."""
    for figure in page.locator("figure[data-chart]").all():
        figure.scroll_into_view_if_needed()
    page.wait_for_function(DRAWN)


def _note(messages: list[str], address: str) -> None:
    if not address.startswith(("file:", "data:", "blob:")):
        messages.append(f"request: {address}")
