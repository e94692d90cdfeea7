"""Boards that a lab lends: acquired, used, released."""
