"""Read DFT output into datasets: one file a format, and what they share."""
