"""``docs/coming_from/neural_tangents.md``: its table has every name of stax."""

from __future__ import annotations

import re

from pages import PAGES

from kernas.kernels._compat import import_neural_tangents


def test_the_table_has_every_name_of_stax_and_no_others() -> None:
    _, table = PAGES["docs/coming_from/neural_tangents.md"].split("## Every name of stax")
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    stax = import_neural_tangents().stax
    assert sorted(listed) == sorted({n for n in dir(stax) if not n.startswith("_")} | {"stax"})
