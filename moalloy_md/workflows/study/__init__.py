"""``moalloy study``: the matrix of trainings of the paper, and its tables."""
