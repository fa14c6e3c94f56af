"""Runs: what is asked, what came of it, and the folder that keeps both."""
