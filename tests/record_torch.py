"""Record small networks of PyTorch: what ``from_torch`` reads of them, images and their outputs.

    python tests/record_torch.py tests/recorded/torch_networks.npz

Needs torch; the tests of the mapping read the file, and need none.
"""

# pyright: reportMissingImports=false, reportOptionalMemberAccess=false

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch_models import IMAGES, small

from kernas.kernels.imports.torch_graph import calls_of, saved


def recorded() -> dict[str, np.ndarray]:
    """The arrays of the file; of each network its calls as a JSON text too."""
    arrays: dict[str, np.ndarray] = {}
    for name, shape in IMAGES.items():
        network = small(name)
        x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
        text, weights = saved(*calls_of(network))
        arrays |= {f"{name}/weights/{key}": array for key, array in weights.items()}
        arrays[f"{name}/calls"] = np.frombuffer(text.encode(), dtype=np.uint8)
        arrays[f"{name}/x"] = x
        arrays[f"{name}/y"] = outputs(network, x)
    return arrays


def outputs(network: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    """The network's outputs on images ``(n, height, width, channels)`` or vectors."""
    images = x.transpose(0, 3, 1, 2).copy() if x.ndim == 4 else x
    with torch.no_grad():
        return network(torch.from_numpy(images)).numpy()


if __name__ == "__main__":
    target = Path(sys.argv[1])
    np.savez_compressed(target, **recorded())  # pyright: ignore[reportArgumentType]
    print(json.dumps({"bytes": target.stat().st_size}))
