"""The documentation site: ``python -m sphinx -W -n docs site``."""

import re
from pathlib import Path

from docutils import nodes
from docutils.utils.math import latex2mathml

import kernas

ROOT = Path(__file__).resolve().parents[1]
SOURCES = "".join(
    path.read_text(encoding="utf-8")
    for folder in ("kernels", "search", "src/kernas")
    for path in (ROOT / folder).rglob("*.py")
)

project = "kernas"
author = "The kernas developers"
copyright = author
release = kernas.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["**/.ipynb_checkpoints"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # docs/execute_notebooks.py runs them; what it wrote is shown

autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    # scikit-learn gives these to every estimator, with links into its own pages
    "exclude-members": "get_metadata_routing, set_fit_request, set_output, set_predict_request, "
    "set_score_request",
}
autodoc_class_signature = "mixed"
autodoc_typehints = "none"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_attr_annotations = False
nitpick_ignore_regex = [("py:.*", r"(collections|numpy|flax|optuna|sklearn)\b.*")]
default_role = "literal"  # docstrings write `name` as Markdown does
nitpicky = True

html_theme = "furo"
html_math_renderer = "mathml"
html_title = "kernas"


def names_with_their_own_text(app, what, name, obj, options, lines):
    """Napoleon would take what stands before the first colon of a property's text for its type."""
    if what in {"attribute", "data", "property"}:
        lines[:0] = ["..", ""]  # an empty comment, which has no colon


def by_last_name(app, env, node, contnode):
    """Docstrings name what is public by its last name; what is not documented stays as text.

    A name that kernas does not have remains a warning.
    """
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    name = target.rpartition(".")[2]
    python = env.domains["py"]
    found = {path for path in python.objects if path.rpartition(".")[2] == name}
    if len(found) == 1:
        (path,) = found
        role = python.objects[path].objtype
        return python.resolve_xref(env, node["refdoc"], app.builder, role, path, node, contnode)
    defined = rf"^ *(?:class|def) {name}\b|^{name}\b"
    room = ROOT / target.removeprefix("kernas.").replace(".", "/")
    known = (
        re.search(defined, SOURCES, re.MULTILINE)
        or room.is_dir()
        or room.with_suffix(".py").is_file()
    )
    return contnode if known else None


def inline_formula(translator, node):
    """MathML, which browsers draw themselves: a page loads nothing from elsewhere."""
    translator.body.append(latex2mathml.tex2mathml(node.astext()))
    raise nodes.SkipNode


def formula(translator, node):
    translator.body.append(latex2mathml.tex2mathml(node.astext(), as_block=True))
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (inline_formula, None), (formula, None))
    app.connect("autodoc-process-docstring", names_with_their_own_text, priority=400)
    app.connect("missing-reference", by_last_name)
