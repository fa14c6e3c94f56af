"""Parts as one page of HTML that stands by itself, and pictures as files.

Everything that a user named is escaped by Jinja, in texts, attributes and the JSON that the scripts
read; a policy within the page forbids it to load anything. The scripts of Vega are those that
vl-convert carries.
"""

from __future__ import annotations

import json
import math
import os
import shlex
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernas import __version__
from kernas.errors import RunFolderError
from kernas.files import write_whole

from ...spaces import Space
from .charts import DATA
from .comparing import COMPARISON, overview
from .contents import Part, Picture, Values
from .reading import parts_of

if TYPE_CHECKING:
    from jinja2 import Environment

WIDTH = 640
"""Pixels of a picture as a file."""

MOST = 200
"""Rows of a table that are laid out at first; a reader asks for the rest."""

SCALE = 2.0
"""Pixels of a PNG for one of them."""


def report_page(
    runs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], *, space: Space | None = None
) -> str:
    """One page of HTML about runs: what came out, in tables and pictures, and what was run.

    The page needs no network and no other file. Equal runs give equal pages.

    Args:
        runs: the folder of a ranking, a search, a training or a model, a table of predictions, or
            several of these.
        space: of the candidates, for their drawings, where a run does not name it.

    Returns:
        The HTML.

    Raises:
        RunFolderError, ModelFolderError, DataError: one cannot be read; the message says which.
        ConfigurationError: none is given, or one twice.
    """
    return page_of(parts_of([runs] if isinstance(runs, str | os.PathLike) else runs, space))


def page_of(parts: Sequence[Part]) -> str:
    """The page of some parts."""
    environment = _environment()
    columns, charts = _numbered(parts)
    runs = [part for part in parts if part.kind != COMPARISON]
    single = len(parts) == 1
    return environment.get_template("page.html").render(
        title=parts[0].title if single else f"{len(runs)} runs",
        overview=None if single else overview(runs),
        parts=parts,
        data={"columns": columns, "charts": charts},
        style=_own("page.css"),
        script=_own("page.js"),
        vega=_vega(),
        most=MOST,
        version=__version__,
        svg=_inline,
        shell=shlex.join,
    )


def write_pictures(parts: Sequence[Part], folder: str | os.PathLike[str]) -> list[Path]:
    """Every picture as ``PART-NAME.svg`` and ``PART-NAME.png``.

    Args:
        parts: of a page.
        folder: is made if it is not there; files of these names are replaced.

    Returns:
        The files.

    Raises:
        RunFolderError: one cannot be written.
    """
    import vl_convert

    place = Path(folder)
    written: list[Path] = []
    try:
        place.mkdir(parents=True, exist_ok=True)
        for number, part in enumerate(parts, start=1):
            for picture in part.pictures:
                chart = json.dumps(_standing(picture))
                stem = f"{picture.name}" if len(parts) == 1 else f"{number}-{picture.name}"
                svg = vl_convert.vegalite_to_svg(chart)
                png = vl_convert.vegalite_to_png(chart, scale=SCALE)
                for suffix, content in ((".svg", svg.encode()), (".png", png)):
                    written.append(place / f"{stem}{suffix}")
                    write_whole(written[-1], content)
    except OSError as error:
        raise RunFolderError(
            f"cannot write into {place} ({error.strerror}); make room, or choose another folder"
        ) from None
    return written


def _standing(picture: Picture) -> dict[str, Any]:
    """A chart with its data and a width of its own."""
    names = list(picture.columns)
    columns = [map(_finite, values) for values in picture.columns.values()]
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    chart = {**picture.chart, "datasets": {DATA: rows}, "background": "white"}
    return chart | {"width": WIDTH, "title": {"text": picture.title, "anchor": "start"}}


def _numbered(parts: Sequence[Part]) -> tuple[list[Values], list[dict[str, Any]]]:
    """The columns of all pictures, equal ones once, and charts that name theirs by number."""
    columns: dict[tuple[Any, ...], int] = {}
    charts: list[dict[str, Any]] = []
    for part in parts:
        for picture in part.pictures:
            places = {
                field: columns.setdefault(tuple(map(_finite, values)), len(columns))
                for field, values in picture.columns.items()
            }
            selections = [
                {"choices": [choice.changes for choice in selection.choices]}
                for selection in picture.selections
            ]
            charts.append(
                {
                    "name": picture.name,
                    "says": picture.says,
                    "chart": picture.chart,
                    "columns": places,
                    "selections": selections,
                }
            )
    return [list(values) for values in columns], charts


def _finite(value: float | int | str | None) -> float | int | str | None:
    """A value that JSON has."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__ or "", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "separators": (",", ":"),
                                                 "ensure_ascii": False}  # fmt: skip
    return environment


def _own(name: str) -> Any:
    """A file of ours, as it is."""
    from markupsafe import Markup

    return Markup((files(__package__ or "") / "templates" / name).read_text("utf-8"))


def _vega() -> Any:
    from markupsafe import Markup
    from vl_convert import javascript_bundle

    script = javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return Markup(script.replace("</script", "<\\/script"))


def _inline(document: str) -> Any:
    """An SVG document of ours within a page; its texts are escaped."""
    from markupsafe import Markup

    return Markup(document)
