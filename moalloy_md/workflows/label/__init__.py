"""``moalloy dataset label``: energies and forces of cells by DFT or another potential."""
