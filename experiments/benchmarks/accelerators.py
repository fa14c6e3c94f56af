"""What the fused step takes on a CPU, a TPU and a GPU: compiled for them, not run on them.

XLA compiles for a chip that is not there from a description of it. So this says, of the NTK of 5
layers ``Conv(3), Relu()`` under ``GlobalAvgPool`` at 32×32 and of several numbers of lanes (right
images that meet one left image), what the optimised program says of itself:

- bytes: temporary ones beside the plan's (``engine/memory.py``), and of arguments and outputs;
- kernels that the loop over planes launches for a plane, and how many of them a layer adds;
- bytes that those kernels read and write (``optimised.py``), and of these the bytes off the chip;
- operations: the plan's, and the compiler's where it counts them. It counts a loop's body once, so
  they are multiplied by the planes, which counts what is done once an image too often.

**The milliseconds are an estimate, not measured**, a roofline:

    ms a pair = 1000 · max(operations / peak operations, bytes off the chip / bandwidth)

with published peaks (an H100's counts a multiply and add as two) and the compiler's operations
where it counts them. Fewer lanes than a vector has count as a whole one. On an H100 all bytes are
counted at its memory's bandwidth, though its cache of ``cache_bytes`` holds some, so it may be
faster than that. What launching costs is left out; ``launch_microseconds`` is the time for one
launch above which the launches are what bounds.

    python experiments/benchmarks/accelerators.py                  # of what is installed
    python experiments/benchmarks/accelerators.py --platforms tpu
    python experiments/benchmarks/accelerators.py --quick          # CPU, 8×8; writes nothing

Results are kept by platform, so that one file grows from several environments:
``pip install 'jax[tpu]'`` brings the compiler for TPUs, ``pip install 'jax[cuda13]'`` that for
GPUs (its plugin alone is enough: ``jax-cuda13-plugin jax-cuda13-pjrt``). No device is needed. The
record says with which versions it was made.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import jax
import tyro
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding
from measuring import network
from optimised import loop_kernels

import kernas.kernels as kk
from kernas.errors import MissingDependencyError
from kernas.kernels._compat import CUDA, INSTALL_GPU
from kernas.kernels.architecture import Layer
from kernas.kernels.engine import Blocking, Execution, kernel_plan, tile_shape
from kernas.kernels.engine.memory import step_bytes
from kernas.kernels.engine.steps import lowered_step
from kernas.kernels.program import lower
from kernas.kernels.program.planning import LocalStep, Plan, plan_pairs
from kernas.search.runs.environment import versions

RESULT = Path(__file__).with_suffix(".json")

Platform = Literal["cpu", "tpu", "cuda"]

PACKAGES = {"tpu": "libtpu", "cuda": f"jax_plugins.xla_{CUDA}"}
"""The module that brings a platform's compiler."""

LANES = (64, 128, 256, 512)


@dataclass(frozen=True)
class Chip:
    """Published figures of a chip.

    Attributes:
        name: of the chip.
        operations: float32 operations a second outside the matrix units.
        bandwidth: bytes a second of its memory.
        cache_bytes: of the vector memory, or of the cache that all multiprocessors share.
        vector: lanes of its vectors, which fewer pairs leave empty; 1 if pixels fill them too.
        source: of the figures.
    """

    name: str
    operations: float
    bandwidth: float
    cache_bytes: int
    vector: int
    source: str


CHIPS: dict[Platform, Chip] = {
    "tpu": Chip(
        "TPU v5e",
        8 * 128 * 4 * 1.5e9,
        819e9,
        128 * 2**20,
        128,
        "bandwidth: Google Cloud, TPU v5e; vector unit of 8 x 128 lanes and 4 operations a cycle, "
        "1.5 GHz, 128 MiB of vector memory: Austin et al. 2025, How to scale your model, TPUs",
    ),
    "cuda": Chip(
        "NVIDIA H100 SXM",
        66.9e12,
        3.35e12,
        50 * 10**6,
        1,
        "NVIDIA, H100 Tensor Core GPU architecture (white paper), and its data sheet",
    ),
}

H100 = {
    "core_count": 132,
    "fpus_per_core": 128,
    "clock_rate_ghz": 1.98,
    "memory_bandwidth": 3_350_000_000_000,
    "device_memory_size": 80 * 10**9,
    "l2_cache_size": 50 * 10**6,
    "threads_per_warp": 32,
    "threads_per_block_limit": 1024,
    "threads_per_core_limit": 2048,
    "registers_per_block_limit": 2**16,
    "registers_per_core_limit": 2**16,
    "shared_memory_per_block": 48 * 2**10,
    "shared_memory_per_block_optin": 227 * 2**10,
    "shared_memory_per_core": 228 * 2**10,
    "block_dim_limit_x": 2**31 - 1,
    "block_dim_limit_y": 2**16 - 1,
    "block_dim_limit_z": 2**16 - 1,
}
"""NVIDIA's figures (white paper; CUDA programming guide, compute capability 9.0) by XLA's names."""


def h100_target() -> str:
    """XLA's description of an H100, as text."""
    figures = " ".join(f"{name}: {value}" for name, value in H100.items())
    return (
        f"gpu_device_info {{ {figures} cuda_compute_capability {{ major: 9 }} }}\n"
        'platform_name: "CUDA"\n'
        "dnn_version_info { major: 9 minor: 8 }\n"
        'device_description_str: "NVIDIA H100 80GB HBM3"\n'
    )


def installed(platform: Platform) -> bool:
    """Whether the platform's compiler is here."""
    try:
        return platform not in PACKAGES or find_spec(PACKAGES[platform]) is not None
    except ModuleNotFoundError:  # of the package around it
        return False


def target(platform: Platform) -> Any:
    """The device to compile for, as a sharding; ``None`` for the CPU at hand.

    Raises:
        MissingDependencyError: the platform's compiler is not installed.
    """
    if not installed(platform):
        install = {"tpu": "pip install 'jax[tpu]'", "cuda": INSTALL_GPU}[platform]
        raise MissingDependencyError(
            f"platform {platform!r}: no module {PACKAGES[platform]!r}, which compiles for it; "
            f"run {install}"
        )
    if platform == "cpu":
        return None
    jax.config.update("jax_platforms", "cpu")  # no device of the platform is looked for
    jax.devices()  # the plugins register with the backends
    if platform == "tpu":
        os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # there is no such machine to ask
        topology = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2")
    else:
        topology = topologies.get_topology_desc(
            "h100", "cuda", target_config=h100_target(), topology="1x1x1"
        )
    return SingleDeviceSharding(topology.devices[0])


def compiled_step(
    side: int, depth: int, lanes: int, sharding: Any = None, head: Layer | None = None
) -> tuple[Plan, LocalStep, Any]:
    """The plan of the network, its fused step, and that step's compiled program."""
    architecture = network(depth, head or kk.GlobalAvgPool())
    plan = plan_pairs(lower(architecture, (side, side, 3)), fused=True)
    (step,) = (s for s in plan.steps if isinstance(s, LocalStep) and s.body.planes > 1)
    lowered = lowered_step(plan, step, lanes, with_tangent=True, sharding=sharding)
    return plan, step, lowered.compile()


def measure(platform: Platform, side: int, depth: int, lanes: Sequence[int]) -> dict[str, Any]:
    """What the compiled programs of one platform say.

    Raises:
        MissingDependencyError: the platform's compiler is not installed.
    """
    sharding = target(platform)
    points = [_point(platform, side, depth, n, sharding) for n in lanes]
    chip = CHIPS.get(platform)
    return {
        "compiled_for": "this machine" if chip is None else chip.name,
        "measured": False,
        "lanes": points,
        "chip": None if chip is None else asdict(chip),
        "compiler": _compiler(platform),
    }


def _point(platform: Platform, side: int, depth: int, lanes: int, sharding: Any) -> dict[str, Any]:
    plan, step, compiled = compiled_step(side, depth, lanes, sharding)
    memory = compiled.memory_analysis()
    kernels = loop_kernels(compiled.as_text())
    fewer = loop_kernels(compiled_step(side, depth - 1, lanes, sharding)[2].as_text())
    planes = step.body.planes
    planned = lanes * step_bytes(plan, step, with_tangent=True)
    counted = compiled.cost_analysis() or {}  # of a program for an absent GPU there is none
    point: dict[str, Any] = {
        "lanes": lanes,
        "planes": planes,
        "temporary_bytes": memory.temp_size_in_bytes,
        "argument_bytes": memory.argument_size_in_bytes,
        "output_bytes": memory.output_size_in_bytes,
        "planned_bytes": planned,
        "temporary_of_planned": memory.temp_size_in_bytes / planned,
        "kernels_a_plane": len(kernels),
        "kernels_a_layer": len(kernels) - len(fewer),
        "operations_a_pair": operations(side, depth),
        "operations_a_pair_by_compiler": _times(counted.get("flops"), planes / lanes),
        "bytes_a_pair_by_compiler": _times(counted.get("bytes accessed"), planes / lanes),
        "moved_bytes_a_pair": sum(k.moved for k in kernels) * planes / lanes,
        "moved_off_chip_bytes_a_pair": sum(k.moved_off_chip for k in kernels) * planes / lanes,
    }
    if platform not in CHIPS:
        return point
    ms, bound = estimate(CHIPS[platform], point)
    point["estimate_not_measured"] = {"ms_a_pair": ms, "bound": bound}
    if platform == "cuda":
        launches = len(kernels) * planes / lanes
        point |= {"launches_a_pair": launches, "launch_microseconds": 1e3 * ms / launches}
    return point


def operations(side: int, depth: int) -> int:
    """Floating-point operations for one pair, as the plan counts them."""
    program = lower(network(depth, kk.GlobalAvgPool()), (side, side, 3))
    blocking = Blocking("planes", lanes=1)
    tile = tile_shape(Execution(program, blocking, with_tangent=True), 2**30, 0)
    return kernel_plan(program, blocking, tile, with_tangent=True).operations


def estimate(chip: Chip, point: dict[str, Any]) -> tuple[float, str]:
    """The roofline's milliseconds a pair, and what bounds them."""
    count = point["operations_a_pair_by_compiler"] or point["operations_a_pair"]
    filled = -(-point["lanes"] // chip.vector) * chip.vector / point["lanes"]
    bounds = {
        "operations": 1e3 * count * filled / chip.operations,
        "bandwidth": 1e3 * point["moved_off_chip_bytes_a_pair"] / chip.bandwidth,
    }
    bound = max(bounds, key=lambda name: bounds[name])
    return bounds[bound], bound


def _times(count: float | None, factor: float) -> float | None:
    return None if count is None else count * factor


def _compiler(platform: Platform) -> dict[str, str]:
    cuda = (f"jax-{CUDA}-plugin", f"jax-{CUDA}-pjrt")
    packages = {"cpu": (), "tpu": ("libtpu",), "cuda": cuda}
    found = {"jaxlib": version("jaxlib")}
    for name in packages[platform]:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def merged(results: dict[str, Any]) -> dict[str, Any]:
    """The recorded results of other platforms, with these."""
    known = json.loads(RESULT.read_text())["platforms"] if RESULT.exists() else {}
    platforms = known | results
    return {name: platforms[name] for name in get_args(Platform) if name in platforms}


def main(quick: bool = False, platforms: tuple[Platform, ...] = ()) -> None:
    """Compile, print one JSON line, keep it with those of other platforms.

    Args:
        quick: small images on the CPU, to see it work; writes nothing.
        platforms: which ones; those that are installed if none is named.
    """
    side, depth, lanes = (8, 2, (16, 32)) if quick else (32, 5, LANES)
    chosen = platforms or tuple(p for p in get_args(Platform) if installed(p))
    if quick and not platforms:
        chosen = ("cpu",)
    for platform in chosen:
        target(platform)
    result: dict[str, Any] = {
        "network": {"layers": depth, "head": "GlobalAvgPool", "image_shape": [side, side, 3]},
        "kernel": "ntk",
        "platforms": {p: measure(p, side, depth, lanes) for p in chosen},
        "versions": versions(),
    }
    print(json.dumps(result))
    if not quick:
        result["platforms"] = merged(result["platforms"])
        RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
