"""Serving keeps nothing in PostgreSQL."""
