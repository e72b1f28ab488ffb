"""``moalloy analyze``: trajectories through pipelines of OVITO, tables, plots and comparisons."""
