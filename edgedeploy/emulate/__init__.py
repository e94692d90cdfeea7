"""Virtual boards: one image for all, a QEMU machine for each, two kinds of clock.

``image`` and ``headers`` make what twins are built from, ``twin`` starts and stops them, ``recipe`` lists
what is inside.
This module stays empty: the keeper process imports the package and must start at once.
"""
