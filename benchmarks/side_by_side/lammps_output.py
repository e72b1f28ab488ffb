"""What LAMMPS and pair_style mace/native say of a run after it, picked out of the log."""

import re

LOOP = re.compile(
    r"Loop time of (?P<wall_s>\S+) on \d+ procs for (?P<steps>\d+) steps with (?P<atoms>\d+) atoms"
)
#: Neighbours of an atom in the list, within r_max and skin.
LISTED = re.compile(r"^Ave neighs/atom = (\S+)", re.MULTILINE)
#: The line of the pair style; neighbours are those within r_max.
STYLE = re.compile(
    r"us/atom/step on .*? (?P<communication_percent>\S+) % communication "
    r"\((?P<megabytes>\S+) MB a rank and step\), (?P<neighbours>\S+) neighbours an atom, "
    r"(?P<kilobytes>\S+) KB an atom"
)
