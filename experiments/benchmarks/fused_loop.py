"""The exact kernel of one network as a hand-fused C loop on one core: a yardstick.

NNGP and NTK of ``serial(*[Conv(3, W_std=√2), Relu()] * L, GlobalAvgPool(), Dense())`` in float32,
by planes of displacement whose layers run while the plane is in cache (``fused_loop.c``). Run as a
script it times, on CIFAR-10 images, the best loop known to us, sixteen pairs innermost (eight
without AVX-512), and the plain one, a pair and a plane at a time.

    python experiments/benchmarks/fused_loop.py            # 32×32, 5 layers; half a minute
    python experiments/benchmarks/fused_loop.py --quick    # 8×8, 2 layers; writes nothing

Needs a C compiler: that of the variable ``CC``, else ``cc``.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import tyro
from measuring import alternating, cifar10, environment, per_pair, report, timed

import kernas.kernels as kk
from kernas.errors import MissingDependencyError
from kernas.kernels.covariance.activations import correlation

SOURCE = Path(__file__).with_suffix(".c")
RESULT = Path(__file__).with_suffix(".json")

Variant = Literal["lanes", "simple"]
"""Sixteen pairs innermost, or a pair and a plane at a time."""

FLAGS = ("-O3", "-march=native", "-ffast-math", "-fPIC")
X86_FLAGS = ("-mprefer-vector-width=512",)

STENCIL = {"lanes": 7.0, "simple": 16.0}
"""Additions of the two sums of nine: in lanes, columns of three are summed once for two rows
(1.5 each) and then two additions along the row; in the simple loop eight each."""
DUAL = 41
"""1/√(vv') ρ and √(vv'): 4; 1 − |ρ| and its root: 2; two polynomials of degree 7: 28; the angle: 2;
the covariance: 3; the tangent kernel: 2. A fused multiply-add counts two, a comparison none."""


def operations(height: int, width: int, channels: int, depth: int, variant: Variant) -> float:
    """Floating-point operations for one pair of images, its per-image records left out.

    ``(height · width)²`` pairs of pixels meet; each takes ``2 · channels`` operations at the input,
    ``STENCIL + DUAL`` a layer, and 2 in the readout. In lanes the first layer has one sum of nine.
    """
    saved = STENCIL["lanes"] / 2 if variant == "lanes" else 0
    each = 2 * channels + depth * (STENCIL[variant] + DUAL) - saved + 2
    return (height * width) ** 2 * each


@cache
def library() -> ctypes.CDLL:
    """The compiled loops.

    Raises:
        MissingDependencyError: there is no C compiler, or it cannot compile the loops.
    """
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(compiler[0]) is None:
        raise MissingDependencyError(
            f"no C compiler {compiler[0]!r}: install one, for instance gcc, or name it in CC"
        )
    arccos, sine = correlation._ARCCOS, correlation._SINE
    numbers = {"ARCCOS": arccos, "SINE": sine}
    defined = [f"-D{n}={','.join(f'{c:.9e}f' for c in cs)}" for n, cs in numbers.items()]
    flags = [*FLAGS, *(X86_FLAGS if platform.machine() in ("x86_64", "AMD64") else ())]
    with tempfile.TemporaryDirectory() as folder:
        compiled, linked = f"{folder}/loop.o", f"{folder}/loop.so"
        # Linking with -ffast-math would flush subnormal numbers in the whole process.
        for command in (
            [*compiler, *flags, *defined, "-c", str(SOURCE), "-o", compiled],
            [*compiler, "-shared", compiled, "-o", linked, "-lm"],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise MissingDependencyError(
                    f"{compiler[0]} cannot compile {SOURCE.name}: {done.stderr.strip()}"
                )
        return ctypes.CDLL(linked)


def fused_loop(
    x1: np.ndarray, x2: np.ndarray, depth: int, variant: Variant = "lanes"
) -> kk.Kernels:
    """NNGP and NTK of all pairs, on one core, the work on each image by itself included.

    Args:
        x1: images ``(n1, height, width, channels)``.
        x2: images ``(n2, height, width, channels)``; "lanes" takes sixteen at a time (eight
            without AVX-512), so that other numbers waste the rest.
        depth: number L of convolutions, >= 1.
        variant: which loop.

    Raises:
        MissingDependencyError: see :func:`library`.
        ValueError: shapes differ, or the depth is not positive.
        MemoryError: the loop got no memory.
    """
    if x1.ndim != 4 or x1.shape[1:] != x2.shape[1:] or depth < 1:
        raise ValueError(
            f"images {x1.shape} and {x2.shape}, depth={depth}: expected two sets of images "
            "(n, height, width, channels) of equal shape, and a depth >= 1"
        )
    left, right = (np.ascontiguousarray(x, np.float32) for x in (x1, x2))
    K, T = (np.empty((len(x1), len(x2)), np.float32) for _ in range(2))
    numbers = map(ctypes.c_int, (*x1.shape[1:], depth))
    run = getattr(library(), f"fused_{variant}")
    failed = run(
        _address(left), ctypes.c_int(len(x1)), _address(right), ctypes.c_int(len(x2)),
        *numbers, _address(K), _address(T),
    )  # fmt: skip
    if failed:
        raise MemoryError(f"no memory for images of {x1.shape[1:]} and {depth} layers")
    return kk.Kernels(nngp=K, ntk=T)


def _address(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def measure(side: int, depth: int, rows: int, repetitions: int) -> dict[str, Any]:
    """Milliseconds a pair and GFLOP/s of both loops."""
    compile_seconds, _ = timed(library)
    images = cifar10(rows + 16, side)
    variants: tuple[Variant, ...] = get_args(Variant)
    calls = {v: partial(fused_loop, images[:rows], images[rows:], depth, v) for v in variants}
    result: dict[str, Any] = {
        "images": {"dataset": "cifar10", "shape": list(images.shape[1:])},
        "depth": depth,
        "pairs": rows * 16,
        "compile_seconds": round(compile_seconds, 2),
    }
    for call in calls.values():
        call()
    for variant, seconds in alternating(calls, repetitions).items():
        times = per_pair(seconds, rows * 16)
        flop = operations(side, side, images.shape[-1], depth, variant)
        result[variant] = times | {
            "flop_per_pair": flop,
            "gflop_per_second": flop / times["median_ms"] / 1e6,
        }
    return result | environment()


def main(quick: bool = False) -> None:
    """Measure, print one JSON line, keep it.

    Args:
        quick: small images, to see it work; writes nothing.
    """
    result = measure(8, 2, 2, 2) if quick else measure(32, 5, 4, 7)
    report(result, None if quick else RESULT)


if __name__ == "__main__":
    tyro.cli(main)
