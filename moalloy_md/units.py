"""Unit conversions. Everything inside the package is in LAMMPS ``metal`` units.

Å, eV, eV/Å, ps, K, bar, g/mol. Reports use meV/atom, meV/Å and GPa.
"""

MEV_PER_EV = 1000.0

#: 1 eV/Å³ in GPa (CODATA 2018: 1 eV is 1.602176634e-19 J).
GPA_PER_EV_A3 = 160.2176634

#: 1 eV/Å² in J/m², of the same number.
J_PER_M2_PER_EV_A2 = 16.02176634

#: 1 nm² in Å².
ANGSTROM2_PER_NM2 = 100.0

#: 1 Da/Å³ in g/cm³ (CODATA 2018: 1 Da is 1.66053906660e-24 g).
G_PER_CM3_PER_DALTON_A3 = 1.66053906660

#: 1 eV/Å³ in bar as LAMMPS ``metal`` units define it (``force->nktv2p``; update.cpp of the
#: 22 Jul 2025 release). CODATA 2018 has 1.602176634e6: stresses that went through LAMMPS must
#: be converted back with LAMMPS's own number or they agree to 8e-8 only.
BAR_PER_EV_A3_LAMMPS = 1.6021765e6
