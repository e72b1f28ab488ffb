"""Stands for VASP: reads POSCAR, INCAR, KPOINTS, POTCAR; writes vasprun.xml, OUTCAR, CONTCAR.

The labels are Lennard-Jones's. As in VASP, the stress in vasprun.xml is in kbar and positive under
compression, and the energy without entropy differs from the free energy.
"""

import shutil
from pathlib import Path

from ase.calculators.lj import LennardJones
from ase.io import read
from ase.stress import voigt_6_to_full_3x3_stress
from ase.units import GPa

for name in ("POSCAR", "INCAR", "KPOINTS", "POTCAR"):
    assert Path(name).stat().st_size > 0, name
atoms = read("POSCAR")
atoms.calc = LennardJones(sigma=2.3, epsilon=0.4, rc=4.5, smooth=True)
free = atoms.get_potential_energy()
stress = voigt_6_to_full_3x3_stress(atoms.get_stress()) / (-0.1 * GPa)


def rows(array):
    return "".join("<v>" + " ".join(f"{x:.12f}" for x in row) + "</v>\n" for row in array)


species = "".join(f"<rc><c>{x}</c><c>1</c></rc>\n" for x in atoms.symbols)
structure = f"""<crystal><varray name="basis">{rows(atoms.cell.array)}</varray></crystal>
<varray name="positions">{rows(atoms.get_scaled_positions())}</varray>"""
energy = f"""<energy><i name="e_fr_energy">{free:.10f}</i>
<i name="e_wo_entrp">{free + 0.6:.10f}</i><i name="e_0_energy">{free + 0.3:.10f}</i></energy>"""
moments = "\n".join(
    f"{k + 1} 0.0 0.0 {0.1 * (k + 1):.3f} {0.1 * (k + 1):.3f}" for k in range(len(atoms))
)
spin = "ISPIN = 2" in Path("INCAR").read_text()
kpoint = "<set comment='kpoint 1'><r>0.0 1.0</r></set>"
spins = f"<set>{kpoint}</set><set>{kpoint}</set>" if spin else f"<set>{kpoint}</set>"
Path("vasprun.xml").write_text(f"""<?xml version="1.0"?>
<modeling>
<kpoints><varray name="kpointlist"><v>0 0 0</v></varray><varray name="weights"><v>1.0</v></varray>
</kpoints>
<parameters/>
<atominfo><array name="atoms"><set>{species}</set></array></atominfo>
<structure name="initialpos">{structure}</structure>
<calculation>
<scstep>{energy}</scstep>
<structure>{structure}</structure>
<varray name="forces">{rows(atoms.get_forces())}</varray>
<varray name="stress">{rows(stress)}</varray>
{energy}
<eigenvalues><array><set>{spins}</set></array></eigenvalues>
<dos><i name="efermi">0.0</i></dos>
</calculation>
</modeling>
""")
reached = (
    "not reached (unconverged)" if Path("unconverged").exists() else "because EDIFF is reached"
)
Path("OUTCAR").write_text(
    f" vasp.6.4.2\n aborting loop {reached}\n number of electron  12.0 magnetization 1.5\n"
    f" magnetization (x)\n\n# of ion s p d tot\n---\n{moments}\n"
)
shutil.copy("POSCAR", "CONTCAR")
