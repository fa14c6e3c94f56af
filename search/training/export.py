"""A trained network as a folder that a few lines of flax read."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from kernas.errors import RunFolderError
from kernas.files import user_path, write_whole
from kernas.kernels import Dataset

from .trained import Trained

NETWORK, WEIGHTS, LOADER = "network.json", "weights.npz", "load.py"

SEPARATOR = "/"
"""Between the parts of an array's name: collection, layer, parameter."""

_LOADER = '''"""{title}.

    network, variables = load()
    logits = network.apply(variables, prepared(images))
"""

from pathlib import Path

import numpy as np
from flax.traverse_util import unflatten_dict

from kernas.kernels import Architecture, finite_network

HERE = Path(__file__).parent
CLASSES = {classes}
SHAPE = {shape}  # of an image
MEAN, SCALE = {mean}, {scale}  # the training images' channels were standardised by them


def load():
    """The flax module and its variables."""
    architecture = Architecture.from_json((HERE / "{network}").read_text(encoding="utf-8"))
    network = finite_network(
        architecture, {width}, outputs=len(CLASSES), parameterization="standard"
    )
    with np.load(HERE / "{weights}") as arrays:
        return network, unflatten_dict(dict(arrays), sep="{separator}")


def prepared(images):
    """Images (n, *SHAPE), bytes over 255, as the network takes them."""
    return ((np.asarray(images, np.float64) - MEAN) * SCALE).astype(np.float32)


if __name__ == "__main__":
    network, variables = load()
    print(network.apply(variables, prepared(np.zeros((1, *SHAPE)))))
'''


def export_network(
    trained: Trained,
    train_set: Dataset,
    width: int,
    folder: str | os.PathLike[str],
    *,
    seed: int | None = None,
    title: str = "A network trained by kernas",
) -> Path:
    """Write one of the trained networks into a new folder, which is there whole or not at all.

    ``network.json`` is the architecture, ``weights.npz`` has an array for each variable of its flax
    module, named ``params/Conv_1/kernel``, and ``load.py`` is the program that reads both.

    Args:
        trained: what :func:`train` returned.
        train_set: what it was trained on: shape, classes, and how images were standardised.
        width: of the recipe.
        folder: where; nothing may be there.
        seed: which of the networks, by default the first.
        title: what ``load.py`` says it is.

    Raises:
        ConfigurationError: there is no network of that seed.
        RunFolderError: something is there, or it cannot be written.
    """
    path = check_export(folder)
    variables = trained.variables_of(trained.seeds[0] if seed is None else seed)
    content = io.BytesIO()
    arrays: dict[str, Any] = {name: np.asarray(leaf) for name, leaf in _flat(variables).items()}
    np.savez(content, allow_pickle=False, **arrays)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        temporary.mkdir(parents=True)
        write_whole(temporary / NETWORK, trained.network.to_json().encode())
        write_whole(temporary / WEIGHTS, content.getvalue())
        write_whole(temporary / LOADER, _loader(train_set, width, title).encode())
        temporary.rename(path)
    except OSError as error:
        raise RunFolderError(
            f"{path} cannot be written ({error}): expected a new folder with free space; give "
            "another one"
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def check_export(folder: str | os.PathLike[str]) -> Path:
    """The path of an export, where nothing is yet.

    Raises:
        RunFolderError: something is there.
    """
    path = user_path(folder, "folder")
    if path.exists():
        raise RunFolderError(f"{path} exists: expected a new folder; remove it or choose another")
    return path


def _flat(variables: Any) -> dict[str, Any]:
    from flax.traverse_util import flatten_dict

    return flatten_dict(variables, sep=SEPARATOR)


def _loader(train_set: Dataset, width: int, title: str) -> str:
    fitted = train_set.standardization
    return _LOADER.format(
        title=title.replace("\\", "\\\\").replace('"', "'"),
        classes=train_set.classes,
        shape=train_set.input_shape,
        mean=0.0 if fitted is None else fitted.mean.tolist(),
        scale=1.0 if fitted is None else fitted.scale.tolist(),
        network=NETWORK,
        weights=WEIGHTS,
        separator=SEPARATOR,
        width=width,
    )
