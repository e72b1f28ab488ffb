"""``moalloy simulate thermal``: what a dopant does to the crystal when it gets hot."""
