"""Frames as our LAMMPS inputs write them."""


def write_dump(atoms, path, *, step=0):
    """Write a LAMMPS dump of one frame, of an orthogonal cell; return its path."""
    cell, kinds = atoms.cell.lengths(), sorted(set(atoms.symbols))
    lines = [f"ITEM: TIMESTEP\n{step}", f"ITEM: NUMBER OF ATOMS\n{len(atoms)}"]
    lines += ["ITEM: BOX BOUNDS pp pp pp", *(f"0 {length:.10g}" for length in cell)]
    lines += ["ITEM: ATOMS id type element x y z"]
    for k, atom in enumerate(atoms):
        lines.append(
            f"{k + 1} {kinds.index(atom.symbol) + 1} {atom.symbol} "
            + " ".join(f"{x:.10g}" for x in atom.position)
        )
    path.write_text("\n".join(lines) + "\n")
    return path
