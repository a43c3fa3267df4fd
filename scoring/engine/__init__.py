"""Rankers and their offline evaluation: pure, no Django, no I/O."""
