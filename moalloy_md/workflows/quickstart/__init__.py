"""``moalloy quickstart``: fit, export and run a first model, with a report."""
