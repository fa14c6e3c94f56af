"""Device and floating-point type of JAX, set before anything is computed."""

from __future__ import annotations

from kernas.errors import ConfigurationError

from .options import Device, Dtype


def configure_jax(device: Device, dtype: Dtype) -> None:
    """Choose the platform and the precision for this process.

    Args:
        device: ``"auto"`` leaves the choice to JAX.
        dtype: ``"float64"`` turns JAX's x64 mode on.

    Raises:
        ConfigurationError: JAX has no such device here.
    """
    import jax

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
