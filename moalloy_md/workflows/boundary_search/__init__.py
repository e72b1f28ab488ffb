"""``moalloy structures gb-search``: the structure of a grain boundary that has the lowest energy."""
