#include "pair_common.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "lammps.h"
#include "update.h"
#include "utils.h"

#include <algorithm>
#include <array>
#include <cstring>

using namespace LAMMPS_NS;

namespace moalloy
{
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

std::string element_names(const std::vector<int> &atomic_numbers)
{
  std::string text;
  for (int z : atomic_numbers) text += (text.empty() ? "" : " ") + std::string(SYMBOLS.at(z - 1));
  return text;
}

void stop_all_for(LAMMPS *lmp, const std::string &style, std::string problem)
{
  const Comm *comm = lmp->comm;
  int failed = problem.empty() ? comm->nprocs : comm->me, first;
  MPI_Allreduce(&failed, &first, 1, MPI_INT, MPI_MIN, lmp->world);
  if (first == comm->nprocs) return;
  int length = static_cast<int>(problem.size());
  MPI_Bcast(&length, 1, MPI_INT, first, lmp->world);
  problem.resize(length);
  MPI_Bcast(problem.data(), length, MPI_CHAR, first, lmp->world);
  lmp->error->all(FLERR, "pair_style {}: {}", style, problem);
}

std::vector<int> map_types(LAMMPS *lmp, const std::string &style, const std::string &model_path,
                           const std::vector<int> &known, int n_types, char **symbols,
                           int **setflag)
{
  Error *error = lmp->error;
  const bool hybrid = utils::strmatch(lmp->force->pair_style, "^hybrid");
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
  int count = 0;
  for (int i = 1; i <= n_types; ++i)
    for (int j = i; j <= n_types; ++j) {
      setflag[i][j] = (species[i] >= 0 && species[j] >= 0) ? 1 : 0;
      count += setflag[i][j];
    }
  if (count == 0) error->all(FLERR, "pair_style {}: no atom type was given an element", style);
  return species;
}

void check_can_run(LAMMPS *lmp, const std::string &style)
{
  Error *error = lmp->error;
  if (strcmp(lmp->update->unit_style, "metal") != 0)
    error->all(FLERR, "pair_style {}: expected units metal, found units {}: mend the units line",
               style, lmp->update->unit_style);
  if (lmp->force->newton_pair == 0)
    error->all(FLERR, "pair_style {}: expected newton on, found newton off for pairs: remove it",
               style);
  if (!lmp->atom->tag_enable)
    error->all(FLERR, "pair_style {}: expected atoms with IDs, found atom_modify id no: remove it",
               style);
}

}  // namespace moalloy
