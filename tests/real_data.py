"""Tests on real data run where ``KERNAS_DATA`` names its folder, as CI does."""

from __future__ import annotations

import os

import pytest

needs_data = pytest.mark.skipif(
    not os.environ.get("KERNAS_DATA"),
    reason="KERNAS_DATA does not name the folder with cifar10_10k_2k.npz and fashion_mnist.npz",
)
