"""MACE models: load, train, evaluate, export. The only folder that imports torch."""
