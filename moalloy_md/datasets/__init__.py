"""Datasets of labelled DFT cells: read, check, write and split them; the bundled set."""
