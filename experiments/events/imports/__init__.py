"""Logs and catalogues that a shop already has, taken in at bulk speed."""
