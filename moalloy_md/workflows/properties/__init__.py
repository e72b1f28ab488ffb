"""``moalloy properties``: the crystal, its elasticity, defects, surfaces and phonons."""
