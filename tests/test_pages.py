"""README and the site: every example runs, every command parses, every link leads somewhere."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import jax
import pytest
from onnx_models import small_onnx
from pages import PAGES, ROOT, blocks, commands
from sphinx.util.inventory import InventoryFile
from test_public_names import KERNELS, SEARCH

import kernas.kernels.regression
import kernas.kernels.theory
import kernas.search.testing
from kernas.search.cli.app import parse
from kernas.search.cli.commands import COMMANDS, PROGRAM, command_of

WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]
CALLS = [(page, call) for page in PAGES for call in commands(page, PROGRAM)]


def test_pages_and_their_examples_are_found() -> None:
    assert {"README.md", "docs/index.md", "docs/guides/kernels.md"} <= set(PAGES)
    assert len(WITH_PYTHON) > 12
    assert len(CALLS) > 40


def run(page: str, folder: Path, *, torch: bool) -> None:
    """Run the Python blocks of a page one after another, with what they read beside them."""
    (folder / "network.onnx").write_bytes(small_onnx().SerializeToString())
    names: dict[str, Any] = {"__name__": "page"}
    precision = jax.config.read("jax_enable_x64")
    try:
        for code in blocks(page, "python"):
            if ("import torch" in code) == torch:
                exec(compile(code, page, "exec"), names)
    finally:
        jax.config.update("jax_enable_x64", precision)  # not for the tests that follow


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_the_python_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: Any) -> None:
    """In the order of the page, in one namespace, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    run(page, tmp_path, torch=False)


@pytest.mark.torch
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("page", [p for p in WITH_PYTHON if "import torch" in PAGES[p]])
def test_the_torch_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    run(page, tmp_path, torch=True)


@pytest.mark.parametrize(("page", "call"), CALLS)
def test_a_command_of_a_page_parses(page: str, call: str) -> None:
    assert command_of(parse(shlex.split(call, comments=True)[1:])) in COMMANDS


def test_every_command_has_a_line_in_the_reference() -> None:
    page = PAGES["docs/reference/index.md"]
    listed = re.findall(rf"^\| `{PROGRAM} ([\w ]+)`", page, re.MULTILINE)
    assert sorted(listed) == sorted(command.name for command in COMMANDS)


def test_readme_is_short() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 130


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_links_to_are_there(page: str) -> None:
    """As the page is read in the repository; the site has a test of its own."""
    text = re.sub(r"```.*?```", "", PAGES[page], flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if urlsplit(target).scheme or target.startswith("#") or target == "genindex":
            continue
        path, _, anchor = target.partition("#")
        file = ((ROOT / page).parent / path).resolve()
        assert file.exists(), f"{page}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in headings}
            assert anchor in slugs, f"{page}: {target}"


class Page(HTMLParser):
    """What a page of the site links to, what it loads, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value}
        self.anchors.add(found.get("id", ""))
        if tag in {"script", "img", "iframe", "source"} and "src" in found:
            self.loaded.append(found["src"])
        elif tag == "link" and found.get("rel") in {"stylesheet", "preload", "icon"}:
            self.loaded.append(found["href"])
        elif tag == "a" and "href" in found:
            self.links.append(found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as CONTRIBUTING.md says; any warning ends it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-d", folder / "read", "docs"]
    built = subprocess.run(
        [*map(str, command), str(folder / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "html"


def test_the_site(site: Path) -> None:
    """Built once: its links and anchors, what it loads, and that it has every public name."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    assert len(pages) > 40
    for path, page in pages.items():
        for target in page.loaded:
            parts = urlsplit(target)
            assert not (parts.scheme or parts.netloc) or parts.scheme == "data", (path.name, target)
        for target in [*page.links, *page.loaded]:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert file.is_file(), (path.name, target)
            if parts.fragment and file in pages:
                assert unquote(parts.fragment) in pages[file].anchors, (path.name, target)

    stream: Any = io.BytesIO((site / "objects.inv").read_bytes())
    inventory = InventoryFile.load(stream, "", lambda base, uri: uri)
    listed = {name for kind in inventory for name in inventory[kind] if kind.startswith("py:")}
    top = KERNELS.split()  # what stands there too has its entry there
    rooms = {
        "kernas.kernels": top,
        "kernas.search": SEARCH.split(),
        **{
            room.__name__: [n for n in vars(room) if is_public(room, n) and n not in top]
            for room in (kernas.kernels.regression, kernas.kernels.theory, kernas.search.testing)
        },
    }
    expected = {f"{room}.{name}" for room, names in rooms.items() for name in names}
    assert not expected - listed


def is_public(room: Any, name: str) -> bool:
    """Whether a room re-exports it, and it is no module."""
    line = rf"^from \.\S+ import {name} as {name}$"
    return bool(re.search(line, Path(room.__file__).read_text(encoding="utf-8"), re.MULTILINE))
