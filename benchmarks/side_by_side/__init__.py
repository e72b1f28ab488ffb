"""Contenders in processes of their own that take turns: what the benchmarks here share."""
