"""The published validation grid: every method against every kind of data.

``make validate-statistics`` simulates experiments whose truth is known, runs the engine
on them and writes to ``docs/validation`` how often each interval misses. It needs NumPy
and the engine only, no Django.

- ``laws``: the kinds of data, drawn as sufficient statistics where that is exact.
- ``methods``: the table of methods; adding one is one entry there.
- ``grid``: cells, simulations, tallies and bars.
- ``claims``: what is not a grid: looks, many metrics, allocation, prior, policies.
- ``page`` and ``picture``: what an analyst reads.
"""
