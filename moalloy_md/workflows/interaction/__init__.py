"""``moalloy simulate interaction``: binding energies of dopants."""
