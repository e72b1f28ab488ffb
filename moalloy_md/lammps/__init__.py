"""Find and start LAMMPS, read what it writes."""
