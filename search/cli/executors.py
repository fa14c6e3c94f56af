"""From the options to who computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernas.errors import ConfigurationError

from .options import Device

if TYPE_CHECKING:
    from kernas.execution import Executor

LOCAL, RAY = "local", "ray"


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
