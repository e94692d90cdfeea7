"""Networks, data and scores that the int8 benchmarks and tests measure on.

Import with ``benchmarks/`` on the path. Modules that define or train networks need torch; those that hand out data and
scores do not, so that worker processes start fast.
"""
