"""Measure a release on a board: drive the runner, keep the runs."""
