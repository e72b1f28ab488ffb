"""``moalloy simulate sro``: short-range order by hybrid Monte Carlo."""
