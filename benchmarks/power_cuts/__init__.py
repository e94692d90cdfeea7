"""Cutting a twin's power in the middle of flashes."""
