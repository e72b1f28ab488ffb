#include "pair_mace_base.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "group.h"
#include "lammps.h"
#include "memory.h"
#include "neighbor.h"
#include "update.h"
#include "utils.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

using namespace LAMMPS_NS;

namespace
{

constexpr std::array<const char *, 118> SYMBOLS = {
    "H",  "He", "Li", "Be", "B",  "C",  "N",  "O",  "F",  "Ne", "Na", "Mg", "Al", "Si", "P",
    "S",  "Cl", "Ar", "K",  "Ca", "Sc", "Ti", "V",  "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn",
    "Ga", "Ge", "As", "Se", "Br", "Kr", "Rb", "Sr", "Y",  "Zr", "Nb", "Mo", "Tc", "Ru", "Rh",
    "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I",  "Xe", "Cs", "Ba", "La", "Ce", "Pr", "Nd",
    "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W",  "Re",
    "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Th",
    "Pa", "U",  "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr", "Rf", "Db",
    "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og"};

}  // namespace

PairMACEBase::PairMACEBase(LAMMPS *lmp, const char *style) : Pair(lmp), style(style)
{
  single_enable = 0;
  restartinfo = 0;
  one_coeff = 1;
  manybody_flag = 1;
  no_virial_fdotr_compute = 1;
  // message passing: the energy of an atom has no unique share in its neighbours' heat flux
  centroidstressflag = CENTROID_NOTAVAIL;
}

PairMACEBase::~PairMACEBase()
{
  if (!allocated) return;
  memory->destroy(setflag);
  memory->destroy(cutsq);
}

void PairMACEBase::allocate()
{
  allocated = 1;
  const int n = atom->ntypes + 1;
  memory->create(setflag, n, n, "pair:setflag");
  memory->create(cutsq, n, n, "pair:cutsq");
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) setflag[i][j] = 0;
}

void PairMACEBase::check_coeff(int narg, char **arg, int n_files, const std::string &files)
{
  if (narg < 3 || strcmp(arg[0], "*") != 0 || strcmp(arg[1], "*") != 0)
    error->all(FLERR,
               "pair_style {}: expected 'pair_coeff * * {}' and one element per atom type: mend "
               "the pair_coeff line",
               style, files);
  const int n_types = atom->ntypes, n_names = narg - 2 - n_files;
  if (n_names != n_types)
    error->all(FLERR,
               "pair_style {}: expected {} element name{} after the model file, one per atom type, "
               "found {}: mend the pair_coeff line ('pair_coeff * * {}' and the elements)",
               style, n_types, n_types == 1 ? "" : "s", n_names, files);
  if (!allocated) allocate();
}

std::vector<int> PairMACEBase::map_types(const std::string &model_path,
                                         const std::vector<int> &known, char **symbols)
{
  const bool hybrid = utils::strmatch(force->pair_style, "^hybrid");
  const int n_types = atom->ntypes;
  std::vector<int> species(n_types + 1, -1);
  for (int k = 0; k < n_types; ++k) {
    const std::string symbol = symbols[k];
    if (symbol == "NULL") {
      if (hybrid) continue;
      error->all(FLERR,
                 "pair_style {}: type {} is NULL, which only pair_style hybrid can use: name its "
                 "element",
                 style, k + 1);
    }
    const auto position = std::find(SYMBOLS.begin(), SYMBOLS.end(), symbol);
    if (position == SYMBOLS.end())
      error->all(FLERR, "pair_style {}: expected a chemical symbol for type {}, found {}", style,
                 k + 1, symbol);
    const int z = 1 + static_cast<int>(position - SYMBOLS.begin());
    const auto match = std::find(known.begin(), known.end(), z);
    if (match == known.end())
      error->all(
          FLERR,
          "pair_style {}: {} knows {}, not {} (type {}): export a model that was trained on it",
          style, model_path, element_names(known), symbol, k + 1);
    species[k + 1] = static_cast<int>(match - known.begin());
  }
  if (std::all_of(species.begin(), species.end(), [](int s) { return s < 0; }))
    error->all(FLERR,
               "pair_style {}: expected an element for one atom type at least, found NULL for all: "
               "mend the pair_coeff line, or remove this style from the hybrid one",
               style);
  return species;
}

void PairMACEBase::use_types(const std::vector<int> &species)
{
  for (int i = 1; i <= atom->ntypes; ++i)
    for (int j = i; j <= atom->ntypes; ++j)
      setflag[i][j] = (species[i] >= 0 && species[j] >= 0) ? 1 : 0;
}

std::string PairMACEBase::element_names(const std::vector<int> &atomic_numbers)
{
  std::string text;
  for (int z : atomic_numbers) text += (text.empty() ? "" : " ") + std::string(SYMBOLS.at(z - 1));
  return text;
}

void PairMACEBase::stop_all_for(std::string problem)
{
  int failed = problem.empty() ? comm->nprocs : comm->me, first;
  MPI_Allreduce(&failed, &first, 1, MPI_INT, MPI_MIN, world);
  if (first == comm->nprocs) return;
  int length = static_cast<int>(problem.size());
  MPI_Bcast(&length, 1, MPI_INT, first, world);
  problem.resize(length);
  MPI_Bcast(problem.data(), length, MPI_CHAR, first, world);
  error->all(FLERR, "pair_style {}: {}", style, problem);
}

void PairMACEBase::check_can_run()
{
  if (strcmp(update->unit_style, "metal") != 0)
    error->all(FLERR, "pair_style {}: expected units metal, found units {}: mend the units line",
               style, update->unit_style);
  if (force->newton_pair == 0)
    error->all(FLERR,
               "pair_style {}: expected newton on, found newton off for pairs: mend the newton "
               "line, or the package line that turned it off",
               style);
  if (!atom->tag_enable)
    error->all(FLERR, "pair_style {}: expected atoms with IDs, found atom_modify id no: remove it",
               style);
  // The energy of an atom is not a sum over pairs: without the edge between two frozen atoms their
  // energies depend otherwise on the mobile ones beside them.
  if (neighbours_are_left_out())
    error->all(FLERR,
               "pair_style {}: expected all neighbours, found neigh_modify exclude, which would "
               "change the forces on the other atoms too: remove it; to hold atoms, 'fix setforce "
               "0 0 0' or leave them out of the group that moves",
               style);
}

bool PairMACEBase::neighbours_are_left_out()
{
  if (neighbor->nex_mol > 0) return true;
  for (int k = 0; k < neighbor->nex_type; ++k) {
    const auto [low, high] = std::minmax(neighbor->ex1_type[k], neighbor->ex2_type[k]);
    if (setflag[low][high]) return true;
  }
  // some fixes keep an empty group for atoms that they take out for a while
  for (int k = 0; k < neighbor->nex_group; ++k)
    if (group->count(neighbor->ex1_group[k]) > 0 && group->count(neighbor->ex2_group[k]) > 0)
      return true;
  return false;
}

void PairMACEBase::warn_of_second_repulsion()
{
  if (!utils::strmatch(force->pair_style, "^hybrid/overlay") &&
      !utils::strmatch(force->pair_style, "^hybrid/scaled"))
    return;
  const Pair *zbl = force->pair_match("^zbl", 0);
  if (!zbl || !zbl->setflag) return;
  for (int i = 1; i <= atom->ntypes; ++i)
    for (int j = i; j <= atom->ntypes; ++j)
      if (setflag[i][j] && zbl->setflag[i][j]) {
        error->warning(
            FLERR,
            "pair_style {}: the model has a repulsion of the nuclei of its own (ZBL), "
            "so that of pair_style zbl counts twice between types {} and {}: remove zbl, "
            "or train with pair_repulsion: false",
            style, i, j);
        return;
      }
}

void PairMACEBase::check_energy(double energy)
{
  if (!std::isfinite(energy))
    error->one(
        FLERR,
        "pair_style {}: the energy is not a number at step {}: atoms overlap, or the run left "
        "what the model was trained on; look at the last frames, try a smaller timestep",
        style, update->ntimestep);
}
