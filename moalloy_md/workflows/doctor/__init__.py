"""``moalloy doctor``: what on this machine works, and how to mend what does not."""
