"""Preparing ncnn graphs for int8: cross-layer equalisation."""
