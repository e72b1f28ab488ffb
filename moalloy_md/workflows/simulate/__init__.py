"""What every simulation with LAMMPS has in common: settings, runs, costs, jobs, watching."""
