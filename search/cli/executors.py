"""From the options to who computes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kernas.csv_text import csv_table
from kernas.errors import ConfigurationError
from kernas.files import write_whole

from .options import Device
from .printing import tell

if TYPE_CHECKING:
    from kernas.execution import Executor, WorkerRate

LOCAL, RAY = "local", "ray"

HEAD = ("node", "items", "seconds")

RATES = "workers.csv"
"""The file of a run that says which worker has done what, a row for each and every command."""


def executor_of(text: str, device: Device, workers: int = 1) -> Executor | None:
    """The executor of ``--executor`` and ``--workers``; ``None`` for this process alone.

    Args:
        text: ``local``, ``ray`` or ``ray:ADDRESS``.
        device: with ``"gpu"`` each worker of a cluster has a GPU of its own.
        workers: processes of this machine.

    Raises:
        ConfigurationError: the text is another, or a cluster is to have so many workers.
        MissingDependencyError: Ray is not installed.
    """
    name, _, address = text.partition(":")
    if name == LOCAL and not address:
        if workers == 1:
            return None
        from kernas.execution import Processes

        return Processes(workers)
    if name != RAY:
        raise ConfigurationError(
            f"--executor {text}: expected {LOCAL}, {RAY} or {RAY}:HOST:PORT, the address of a "
            "cluster"
        )
    if workers != 1:
        raise ConfigurationError(
            f"--workers {workers} with --executor {text}: a cluster has a worker for each core of "
            "its nodes, or for each GPU with --device gpu; leave --workers out"
        )
    from kernas.execution import RayExecutor

    return RayExecutor(address or None, gpus=int(device == "gpu"))


def tell_rates(executor: Executor | None, folder: Path | None = None) -> None:
    """Say on stderr what the workers of each node have done, and keep it in a run's folder.

    Args:
        executor: those of a cluster know it; of others nothing is said.
        folder: of the run, whose earlier workers stay in its file.

    Raises:
        OSError: the file cannot be written.
    """
    rates = [rate for rate in executor.rates if rate.items] if executor is not None else []
    if not rates:
        return
    nodes: dict[str, list[WorkerRate]] = {}
    for rate in rates:
        nodes.setdefault(rate.node, []).append(rate)
    for node, of in nodes.items():
        items, seconds = sum(rate.items for rate in of), sum(rate.seconds for rate in of)
        tell(f"{node}: workers: {len(of)}, items: {items:,}, seconds each: {seconds / items:.3g}")
    if folder is None:
        return
    path = folder / RATES
    before = path.read_text(encoding="utf-8") if path.exists() else csv_table([HEAD])
    rows = csv_table((rate.node, rate.items, round(rate.seconds, 3)) for rate in rates)
    write_whole(path, (before + rows).encode())
