"""``python -m kernas`` is the command ``kernas``."""

from kernas.search.cli import main

if __name__ == "__main__":
    main()
