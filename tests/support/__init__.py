"""What several tests need: models with random weights, cells without symmetry, runs of lmp."""
