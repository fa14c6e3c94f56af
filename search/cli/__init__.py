"""The command line ``kernas``."""

from .app import main as main
