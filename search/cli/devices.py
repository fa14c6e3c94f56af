"""Device and floating-point type of JAX, set before anything is computed."""

from __future__ import annotations

import os
import warnings
from types import ModuleType

from kernas.errors import ConfigurationError
from kernas.files import system_cache
from kernas.program_cache import keep_programs

from .options import Device, Dtype


def configure_jax(device: Device, dtype: Dtype, *, compilation_cache: bool) -> None:
    """Choose the platform, the precision and the cache of compiled programs for this process.

    Args:
        device: ``"auto"`` leaves the choice to JAX.
        dtype: ``"float64"`` turns JAX's x64 mode on.
        compilation_cache: whether JAX keeps compiled programs in the user's cache folder, if there
            is one; a folder that the user chose (``JAX_COMPILATION_CACHE_DIR``) stays.

    Raises:
        ConfigurationError: JAX has no such device here, or cannot use a variable of the
            environment.
    """
    jax = imported_jax()
    if not compilation_cache:
        jax.config.update("jax_enable_compilation_cache", False)
    elif "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        cache = system_cache()
        if cache is not None:
            keep_programs(cache / "programs")
    # What a process that was killed left half written is compiled again, and says nothing.
    warnings.filterwarnings("ignore", "Error reading persistent compilation cache entry")
    jax.config.update("jax_enable_x64", dtype == "float64")
    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    check_device(device)


def check_device(device: Device | None) -> None:
    """Refuse a device that JAX has not got here; errors as of :func:`configure_jax`.

    Args:
        device: ``None`` in a command that has no such option.
    """
    jax = imported_jax()
    from kernas.kernels._compat import INSTALL_GPU

    given = "" if device is None else f"--device {device}: "
    try:
        found = jax.devices()[0].platform
    except (RuntimeError, AssertionError) as error:  # the second one where a plugin is missing
        why = " ".join(str(error).split()) or "there is no plugin for it"
        wanted = os.environ.get("JAX_PLATFORMS")
        ways = [
            *([f"change JAX_PLATFORMS={wanted} in the environment"] if wanted else []),
            *(["use --device cpu"] if device not in (None, "cpu") else []),
            f"install the jax of your accelerator, for instance {INSTALL_GPU}",
        ]
        raise ConfigurationError(
            f"{given}JAX finds no device ({why}); {', or '.join(ways)}"
        ) from None
    if device not in (None, "auto", found):
        raise ConfigurationError(
            f"{given}JAX computes on {found!r} here; use --device {found}, or install the jax of "
            f"your accelerator, for instance {INSTALL_GPU}"
        )


def imported_jax() -> ModuleType:
    """JAX, which reads the environment when it is imported.

    Raises:
        ConfigurationError: it has a variable that JAX cannot use.
    """
    try:
        import jax
    except ValueError as error:
        raise ConfigurationError(
            f"JAX cannot use the environment: {error}; unset the variable, or correct it"
        ) from None
    return jax
