"""The command line ``kernas``."""

from .process import main as main
