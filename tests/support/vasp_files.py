"""vasprun.xml and OUTCAR as VASP writes them, around labelled cells of our own."""

import numpy as np

KBAR_PER_EV_A3 = 1602.176634
SCF_TO_SIGMA0 = 0.05  # energy(sigma->0) minus F, eV


def _rows(values, indent="   "):
    return "".join(
        f"{indent}<v>{''.join(f'{x:17.8f}' for x in row)} </v>\n" for row in np.asarray(values)
    )


def _structure(atoms, indent="  ", name=None):
    title = f' name="{name}"' if name else ""
    return (
        f"{indent}<structure{title} >\n{indent} <crystal>\n"
        f'{indent}  <varray name="basis" >\n{_rows(atoms.cell.array)}{indent}  </varray>\n'
        f"{indent} </crystal>\n"
        f'{indent} <varray name="positions" >\n{_rows(atoms.get_scaled_positions())}'
        f"{indent} </varray>\n{indent}</structure>\n"
    )


def _energy(free, pv=0.0):
    return (
        f'  <energy>\n   <i name="e_fr_energy">{free + pv:16.8f} </i>\n'
        f'   <i name="e_wo_entrp">{free + 0.1:16.8f} </i>\n'
        f'   <i name="e_0_energy">{free + SCF_TO_SIGMA0 + pv:16.8f} </i>\n  </energy>\n'
    )


def _tags(tags):
    return "".join(f'  <i name="{name}">  {value}</i>\n' for name, value in tags.items())


def _kinds(atoms):
    order = list(dict.fromkeys(atoms.symbols))
    assert list(atoms.symbols) == sorted(atoms.symbols, key=order.index), "sort by element"
    return {symbol: list(atoms.symbols).count(symbol) for symbol in order}


TAGS = {"ENCUT": 350.0, "ISPIN": 1, "NELM": 60, "NSW": 20, "IBRION": 2, "ISMEAR": 1, "SIGMA": 0.1}


def vasprun(steps, *, tags=None, loops=None, selective=None):
    """Text of a vasprun.xml: `steps` are Atoms with a calculator, `loops` electronic steps each."""
    tags = {**TAGS, **(tags or {})}
    first = steps[0]
    kinds = _kinds(first)
    numbers = {symbol: k + 1 for k, symbol in enumerate(kinds)}
    text = (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n <generator>\n'
        '  <i name="program" type="string">vasp </i>\n </generator>\n'
        f" <incar>\n{_tags(tags)} </incar>\n"
        ' <kpoints>\n  <generation param="Gamma">\n'
        '   <v type="int" name="divisions">       4        4        2 </v>\n  </generation>\n'
        '  <varray name="kpointlist" >\n   <v> 0.0 0.0 0.0 </v>\n  </varray>\n'
        '  <varray name="weights" >\n   <v> 1.0 </v>\n  </varray>\n </kpoints>\n'
        ' <parameters>\n  <separator name="electronic" >\n'
        '   <i name="ENMAX">    350.0</i>\n   <i type="string" name="GGA">PE</i>\n'
        "  </separator>\n </parameters>\n"
        f" <atominfo>\n  <atoms> {len(first)} </atoms>\n"
        '  <array name="atoms" >\n   <set>\n'
        + "".join(f"    <rc><c>{s:2s}</c><c> {numbers[s]}</c></rc>\n" for s in first.symbols)
        + '   </set>\n  </array>\n  <array name="atomtypes" >\n   <set>\n'
        + "".join(
            f"    <rc><c> {n}</c><c>{s:2s}</c><c> 95.9</c><c> 12.0</c>"
            f"<c>  PAW_PBE {s}_pv 04Feb2005 </c></rc>\n"
            for s, n in kinds.items()
        )
        + "   </set>\n  </array>\n </atominfo>\n"
    )
    initial = _structure(first, " ", "initialpos")
    if selective is not None:
        flags = "".join(
            f'   <v type="logical" > {" ".join("T" if x else "F" for x in row)} </v>\n'
            for row in selective
        )
        end = " </structure>\n"
        initial = (
            initial.removesuffix(end) + f'  <varray name="selective" >\n{flags}  </varray>\n{end}'
        )
    text += initial
    for k, atoms in enumerate(steps):
        text += _calculation(atoms, (loops or [5] * len(steps))[k], tags.get("PSTRESS", 0.0))
    return text + _structure(steps[-1], " ", "finalpos") + "</modeling>\n"


def _calculation(atoms, loops, pstress):
    free = atoms.get_potential_energy()
    kbar = -atoms.get_stress(voigt=False) * KBAR_PER_EV_A3
    pv = pstress * atoms.get_volume() / KBAR_PER_EV_A3
    text = " <calculation>\n"
    for _ in range(loops):
        text += f"  <scstep>\n{_energy(free)}  </scstep>\n"
    text += _structure(atoms)
    text += f'  <varray name="forces" >\n{_rows(atoms.get_forces())}  </varray>\n'
    text += f'  <varray name="stress" >\n{_rows(kbar)}  </varray>\n'
    # a block that is large in life and not wanted
    text += (
        _energy(free, pv)
        + "  <eigenvalues><array><set><r> 1.0 1.0 </r></set></array></eigenvalues>\n"
    )
    return text + " </calculation>\n"


def outcar(steps, *, tags=None, loops=None, unconverged=()):
    """Text of an OUTCAR with the same content."""
    tags = {**TAGS, **(tags or {})}
    first = steps[0]
    kinds = _kinds(first)
    titles = [f"PAW_PBE {symbol}_pv 04Feb2005" for symbol in kinds]
    text = " vasp.6.3.0 20Jan22 (build Feb 16 2022) complex\n\n"
    text += "".join(f" POTCAR:    {title}\n" for title in titles) * 2
    for symbol, title in zip(kinds, titles, strict=True):
        text += f"   VRHFIN ={symbol}: 4p5s4d\n   LEXCH  = PE\n   TITEL  = {title}\n"
    text += " generate k-points for:    4    4    2\n"
    text += "   k-points           NKPTS =      1   k-points in BZ     NKDIM =      1   number of bands    NBANDS=     24\n"
    text += " k-points in reciprocal lattice and weights: x\n   0.00000000  0.00000000  0.00000000       1.000\n\n"
    text += f"   ions per type =            {'   '.join(map(str, kinds.values()))}\n"
    text += (
        f"   ISPIN  = {tags['ISPIN']:6d}    spin polarized calculation?\n"
        f"   ENCUT  = {tags['ENCUT']:6.1f} eV  22.05 Ry    4.70 a.u.\n"
        f"   NELM   = {tags['NELM']:6d};   NELMIN=  6; NELMDL=-17     # of ELM steps\n"
        f"   NSW    = {tags['NSW']:6d}    number of steps for IOM\n"
        f"   IBRION = {tags['IBRION']:6d}    ionic relax: 0-MD 1-quasi-New 2-CG\n"
        f"   PSTRESS= {tags.get('PSTRESS', 0.0):6.1f} pullay stress\n"
        f"   ISMEAR = {tags['ISMEAR']:6d};   SIGMA  = {tags['SIGMA']:6.2f}  broadening in eV\n"
        "   GGA     =    --    GGA type\n   LEXCH   =     8    internal setting\n"
    )
    for k, atoms in enumerate(steps):
        n = (loops or [5] * len(steps))[k]
        text += _ionic_step(atoms, k, n, k not in unconverged)
    return text


def _ionic_step(atoms, k, loops, converged):
    free = atoms.get_potential_energy()
    stress = -atoms.get_stress(voigt=False) * KBAR_PER_EV_A3
    order = [(0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0)]
    text = ""
    for n in range(1, loops + 1):
        text += f"----------------------------------------- Iteration {k + 1:4d}({n:4d})  ------\n"
        text += f"  free energy    TOTEN  = {free - 1:20.8f} eV\n"
    reached = "because EDIFF is reached" if converged else "EDIFF was not reached (unconverged)"
    text += f"------------------------ aborting loop {reached} ------------------------\n"
    text += "  FORCE on cell =-STRESS in cart. coord.  units (eV):\n"
    text += f"  in kB  {''.join(f'{stress[i, j]:12.5f}' for i, j in order)}\n"
    text += "  external pressure =        0.00 kB  Pullay stress =        0.00 kB\n"
    text += " VOLUME and BASIS-vectors are now :\n"
    text += "      direct lattice vectors                 reciprocal lattice vectors\n"
    inverse = np.linalg.inv(atoms.cell.array).T
    for one, other in zip(atoms.cell.array, inverse, strict=True):
        # as in life: no blank before a long negative number
        text += (
            "   "
            + "".join(f"{x:13.9f}" for x in one)
            + "  "
            + "".join(f"{x:13.9f}" for x in other)
            + "\n"
        )
    text += " POSITION                                       TOTAL-FORCE (eV/Angst)\n"
    text += " -----------------------------------------------------------------------------------\n"
    for position, force in zip(atoms.positions, atoms.get_forces(), strict=True):
        text += (
            "".join(f"{x:13.5f}" for x in position)
            + "    "
            + "".join(f"{x:14.6f}" for x in force)
            + "\n"
        )
    text += " -----------------------------------------------------------------------------------\n"
    text += (
        "    total drift:                               -0.000001     -0.000000      0.000002\n\n"
    )
    text += "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)\n"
    text += "  ---------------------------------------------------\n"
    text += f"  free  energy   TOTEN  = {free:18.8f} eV\n\n"
    text += (
        f"  energy  without entropy= {free + 0.1:18.8f}  energy(sigma->0) = "
        f"{free + SCF_TO_SIGMA0:18.8f}\n"
    )
    return text
