"""The one place that says which Windsock this is."""

__version__ = "0.1.0"
