"""Checks of a dataset before anything is trained on it: one file a family of checks."""
