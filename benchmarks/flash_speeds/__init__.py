"""Flashing against rsync and scp: releases, programs, a link that counts."""
