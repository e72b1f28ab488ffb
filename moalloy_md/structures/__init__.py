"""Structures to simulate: hosts, substitutions, defects."""
