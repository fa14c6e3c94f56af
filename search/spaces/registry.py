"""Spaces by their names: one text for each, on the command line and in records."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from kernas.errors import ConfigurationError, KernasError
from kernas.fields import format_fields, nearest, parse_fields

from .base import Space, in_a_line
from .graph_space import GraphSpace
from .macro import MacroSpace
from .nasbench101 import NasBench101
from .nasbench201 import NasBench201
from .nats_size import NatsSize
from .nds import AmoebaNetSpace, DartsSpace, EnasSpace, NasNetSpace, PnasSpace
from .recipes import BETWEEN, RecipeSpace, recipe_space, recipes_of_settings, recipes_text

SPACES: Mapping[str, type[Space]] = {
    "nasbench101": NasBench101,
    "nasbench201": NasBench201,
    "nats-size": NatsSize,
    "macro": MacroSpace,
    "graph": GraphSpace,
    "darts": DartsSpace,
    "enas": EnasSpace,
    "pnas": PnasSpace,
    "nasnet": NasNetSpace,
    "amoebanet": AmoebaNetSpace,
}
"""The spaces that have a name."""


def space_from_text(text: str) -> Space:
    """The space of ``name``, ``name:field=value,field=value`` or ``module:attribute``, and behind
    `` @ `` what is chosen of its candidates' training.

    Args:
        text: a name that ``kernas spaces`` lists, with those of its fields that are not to be as by
            default; or the module and the name in it of a user's own space or of a class of them,
            whose fields follow after another colon. A :class:`RecipeSpace` of any of them has
            `` @ learning_rate=0.01..0.3,batch_size=32|64,epochs=1|3|9`` behind it, or some of
            these.

    Raises:
        ConfigurationError: the space, a field or a value is unknown; the module cannot be imported
            or has no such space.

    >>> space_from_text("nasbench201:cells=1,reduction=pool").text
    'nasbench201:cells=1,reduction=pool'
    """
    network, between, recipe = str(text).partition(BETWEEN)
    if between:
        return recipe_space(space_from_text(network), recipe)
    name, _, rest = (part.strip() for part in str(text).partition(":"))
    if name in SPACES:
        return _made(SPACES[name], rest, text)
    attribute, _, own_fields = rest.partition(":")
    if attribute and "=" not in attribute:
        found = _imported(name, attribute, text)
        if isinstance(found, type) and issubclass(found, Space):
            return _made(found, own_fields, text)
        if isinstance(found, Space) and not own_fields:
            return found
        raise ConfigurationError(
            f"space {text!r}: {attribute} of {name} is {found!r:.60}, expected a Space, or a class "
            "of them with its fields behind it"
        )
    raise ConfigurationError(
        f"unknown space {name!r}{nearest(name, SPACES)}, expected {', '.join(SPACES)}, or "
        "module:attribute of your own; kernas spaces lists their fields"
    )


def space_from_settings(settings: Mapping[str, Any]) -> Space:
    """The space whose ``settings()`` a record has.

    Args:
        settings: the name, and the fields.

    Raises:
        ConfigurationError: it is none of the spaces that have a name.
    """
    if isinstance(settings.get("space"), Mapping):
        return RecipeSpace(space_from_settings(settings["space"]), **recipes_of_settings(settings))
    own = {name: tuple(of) if isinstance(of, list) else of for name, of in settings.items()}
    kind = SPACES.get(str(own.pop("name", "")))
    try:
        made = None if kind is None else kind(**own)
    except TypeError:
        made = None
    if made is None:
        raise ConfigurationError(
            f"the space {settings.get('name')!r} of the run has no text: give it, module:attribute"
        )
    return made


def text_of(space: Space) -> str:
    """What :func:`space_from_text` makes the space of again.

    Of a user's own space that is an object of a module, ``module:attribute``; where it is in none,
    its name, which cannot be read back.
    """
    kind = type(space)
    if isinstance(space, RecipeSpace):
        other = text_of(space.space)
        has_none = other == space.space.name and other not in SPACES
        return space.name if has_none else f"{other}{BETWEEN}{recipes_text(space)}"
    for name, known in SPACES.items():
        if kind is known:
            return _joined(name, format_fields(space))
    for module in dict.fromkeys((space_module(space), kind.__module__)):
        for attribute, value in vars(sys.modules.get(module, object)).items():
            if value is space or (isinstance(value, kind) and value == space):
                return f"{module}:{attribute}"
    if kind.__module__.startswith("kernas.") or "." in kind.__qualname__:
        return space.name
    return _joined(f"{kind.__module__}:{kind.__qualname__}", format_fields(space))


def space_module(space: Space) -> str:
    """The module in which a space may stand: that of the function that builds its networks."""
    return getattr(getattr(space, "build", None), "__module__", type(space).__module__)


def _joined(name: str, changed: str) -> str:
    return f"{name}:{changed}" if changed else name


def _made(kind: type[Space], text: str, whole: str) -> Space:
    values = parse_fields(kind, text, whole)
    try:
        return kind(**values)
    except KernasError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"space {whole!r} cannot be made ({in_a_line(error)}); give a class whose "
            "arguments have defaults, or an object"
        ) from error


def _imported(module: str, attribute: str, whole: str) -> Any:
    try:
        return getattr(import_module(module), attribute)
    except AttributeError:
        known = vars(sys.modules[module]) if module in sys.modules else {}
        raise ConfigurationError(
            f"space {whole!r}: module {module} has no {attribute!r}{nearest(attribute, known)}"
        ) from None
    except Exception as error:  # a module of the user's may raise anything
        raise ConfigurationError(
            f"space {whole!r}: cannot import {module} ({in_a_line(error)}); give the "
            f"name of a space{nearest(module, SPACES)}, or a module that Python finds"
        ) from error
