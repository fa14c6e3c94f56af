"""Device and floating-point type of JAX, set before anything is computed."""

from __future__ import annotations

import os

from kernas.errors import ConfigurationError

from .options import Device, Dtype


def configure_jax(device: Device, dtype: Dtype, *, compilation_cache: bool) -> None:
    """Choose the platform, the precision and the cache of compiled programs for this process.

    Args:
        device: ``"auto"`` leaves the choice to JAX.
        dtype: ``"float64"`` turns JAX's x64 mode on.
        compilation_cache: whether JAX keeps compiled programs in the user's cache folder; a folder
            that the user chose (``JAX_COMPILATION_CACHE_DIR``) stays.

    Raises:
        ConfigurationError: JAX has no such device here.
    """
    import jax
    import platformdirs

    if not compilation_cache:
        jax.config.update("jax_enable_compilation_cache", False)
    elif "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = platformdirs.user_cache_path("kernas") / "programs"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        # JAX would keep only what took a second to compile, which few of the engine's programs do.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    jax.config.update("jax_enable_x64", dtype == "float64")
    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    try:
        found = jax.devices()[0].platform
    except RuntimeError as error:
        raise ConfigurationError(
            f"--device {device}: JAX finds no device ({' '.join(str(error).split())}); use "
            "--device cpu, and look at the variable JAX_PLATFORMS"
        ) from None
    if device not in ("auto", found):
        raise ConfigurationError(
            f"--device {device}: JAX computes on {found!r} here; use --device {found}, or install "
            "the jax of your accelerator, e.g. jax[cuda13]"
        )
