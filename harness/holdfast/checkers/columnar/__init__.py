"""Checkers for histories in columns: what takes a loop elsewhere is a sort here, over all keys at once.

Each module has one ``check`` that takes `holdfast.history.columns.Columns` and gives a `Result`. They are pure. People
use them through `holdfast.check`, which also reads files. Rules that all keep:

- Intervals are closed: an operation that began the moment another ended is concurrent with it.
- ``ok`` happened, ``fail`` did not, ``unknown`` may have, at any time from its beginning on.
- Uncertain clocks widen every interval: that can hide a violation, and never invents one.
- A history of which a part is missing can be violated, but it never holds.
"""
