"""A small world around the real parts: stores that forget, links that fail, clients that believe nothing."""
