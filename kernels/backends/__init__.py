"""Other libraries as the engine of a kernel: the same architecture, the same result."""
