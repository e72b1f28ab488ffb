"""Statistics and structure analysis of trajectories: arrays in, dataclasses out."""
