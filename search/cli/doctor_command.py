"""The subcommand ``kernas doctor``: what is installed and there, and whether kernels come out."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from kernas.arrays import memory_bytes
from kernas.files import nearest_folder, system_cache
from kernas.quantities import size

from .exit_codes import DONE, FAILED
from .options import DoctorOptions
from .printing import say, say_json

EXTRAS = {"optuna": "kernas[search]", "neural-tangents": "kernas[neural-tangents]"}
"""Libraries that some commands need, and what installs them."""

LITTLE_ROOM = 1e9
"""Bytes; with less free, a Gram store or a run may not fit."""


def run_doctor(options: DoctorOptions) -> int:
    """Look at this installation, print what was found, and return the exit code."""
    found = examined()
    if options.json:
        say_json(found)
    else:
        say(_told(found))
    return FAILED if found["problems"] else DONE


def examined() -> dict[str, Any]:
    """All that is looked at, as JSON values; ``problems`` are what stands in the way of work,
    ``notes`` what may."""
    from kernas.kernels.self_test import self_test

    from ..runs.environment import device, versions

    problems: list[str] = []
    notes: list[str] = []
    libraries = {**versions(), **_other_versions()}
    for name, extra in EXTRAS.items():
        if libraries[name] is None:
            notes.append(f"{name} is not installed: pip install '{extra}'")
    where = device()
    if where["platform"] == "cpu" and _has_nvidia():
        from kernas.kernels._compat import INSTALL_GPU

        notes.append(f"there is an NVIDIA GPU that JAX does not see: {INSTALL_GPU}")
    test = [asdict(outcome) for outcome in self_test()]
    for outcome in test:
        if not outcome["ok"]:
            problems.append(
                f"self-test: {outcome['title']} in {outcome['dtype']} differs by "
                f"{outcome['difference']:.1e} from what is stored: kernels of this installation "
                "are wrong; try another version of jax and jaxlib, or --device cpu"
            )
    return {
        "versions": libraries,
        "device": where,
        "machine": {"cores": _cores(), "memory_bytes": memory_bytes()},
        "folders": _folders(problems, notes),
        "data": _data(problems, notes),
        "self_test": test,
        "notes": notes,
        "problems": problems,
    }


def _other_versions() -> dict[str, str | None]:
    def of(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    return {name: of(name) for name in ("flax", "optax", "zarr", "matplotlib", *EXTRAS)}


def _has_nvidia() -> bool:
    return Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi") is not None


def _cores() -> int:
    """Those that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def _folders(problems: list[str], notes: list[str]) -> list[dict[str, Any]]:
    """The current folder and that of the cache: whether they can be written, and what is free."""
    cache = system_cache()
    if cache is None:
        notes.append("no home folder is known: compiled programs are not kept (set HOME)")
    known = {"current folder": Path.cwd(), **({"cache of programs": cache} if cache else {})}
    found: list[dict[str, Any]] = []
    for what, folder in known.items():
        reason = _unwritable(folder)
        if reason is not None:
            problems.append(f"the {what}, {folder}, cannot be written: {reason}")
        free = shutil.disk_usage(nearest_folder(folder)).free
        if free < LITTLE_ROOM:
            notes.append(f"{size(free)} are free for the {what}, {folder}")
        found.append(
            {
                "what": what,
                "path": str(folder),
                "writable": reason is None,
                "free_bytes": free,
                "bytes": _bytes_in(folder) if what == "cache of programs" else None,
            }
        )
    return found


def _unwritable(folder: Path) -> str | None:
    """Why no file can be made in a folder, or in the one where it would be made; the file is gone
    when this returns."""
    try:
        with tempfile.TemporaryFile(dir=nearest_folder(folder)):
            return None
    except OSError as error:
        return error.strerror or str(error)


def _bytes_in(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*") if folder.is_dir() else ():
        try:
            total += file.stat().st_size if file.is_file() else 0
        except OSError:  # gone meanwhile: others clear caches too
            continue
    return total


def _data(problems: list[str], notes: list[str]) -> list[dict[str, str | None]]:
    """Where each known data set is, without reading it."""
    named = os.environ.get("KERNAS_DATA")
    if named and not Path(named).expanduser().is_dir():
        notes.append(f"KERNAS_DATA={named} is no folder")
    from kernas.errors import KernasError
    from kernas.kernels.data.known import DATASETS, find_known

    found: list[dict[str, str | None]] = []
    for name, known in DATASETS.items():
        try:
            place = find_known(name)
        except KernasError as error:
            problems.append(str(error))
            break
        where = "in the package" if known.embedded else place and str(place[1])
        found.append({"name": name, "where": where})
    return found


def _told(found: dict[str, Any]) -> str:
    """What a person reads."""
    device, machine = found["device"], found["machine"]
    libraries = [f"{name} {number}" for name, number in found["versions"].items() if number]
    lines = [
        f"versions  {', '.join(libraries)}",
        f"device    {device['count']} × {device['kind']} ({device['platform']}); "
        f"{machine['cores']} cores, {size(machine['memory_bytes'])} of memory",
    ]
    for folder in found["folders"]:
        kept = "" if folder["bytes"] is None else f", {size(folder['bytes'])} in it"
        state = "" if folder["writable"] else ", cannot be written"
        lines.append(
            f"folder    {folder['path']} ({folder['what']}): {size(folder['free_bytes'])} free"
            f"{kept}{state}"
        )
    there = [one["name"] for one in found["data"] if one["where"]]
    absent = [one["name"] for one in found["data"] if not one["where"]]
    lines.append(
        f"data      {', '.join(there)}"
        + (f"; not there: {', '.join(absent)} (kernas data verify says how)" if absent else "")
    )
    for outcome in found["self_test"]:
        lines.append(
            f"self-test {'ok' if outcome['ok'] else 'WRONG'}: {outcome['title']}, "
            f"{outcome['dtype']}, {outcome['difference']:.0e} from what is stored, "
            f"{outcome['seconds']:.1f} s"
        )
    lines += [f"note      {note}" for note in found["notes"]]
    lines += [f"PROBLEM   {problem}" for problem in found["problems"]]
    lines.append("ready" if not found["problems"] else "not ready")
    return "\n".join(lines)
