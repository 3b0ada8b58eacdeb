"""The chaos suite: real processes, a bad network between them, and readers that keep account of all they are told.

`python -m chaos.run` with `tests` on PYTHONPATH (`make chaos`) runs it for long; `test_chaos.py` runs a little of it.
"""
