"""Damaged and hostile files of every format that snncc reads, thousands of them, through the command line.

``python -m tests.hostile --files 2000`` makes and reads 2,000; ``make test`` a share of them.
"""
