#include "native_log.h"

#include "rank_forecast.h"

#include "comm.h"
#include "lammps.h"
#include "neighbor.h"
#include "utils.h"

#include <algorithm>

using namespace LAMMPS_NS;

namespace moalloy
{
namespace
{

// Positions, velocities, forces, types, IDs, images and the rest that LAMMPS keeps of an atom.
constexpr double kBytesOfAtom = 150.0;

const char *plural(int n) { return n == 1 ? "" : "s"; }

}  // namespace

std::string forecast(LAMMPS *lmp, const std::string &style, double r_max,
                     const ForecastOfEngines &engines)
{
  const RankForecast rank(lmp);
  if (!rank.known()) return {};
  const double listed_to = r_max + lmp->neighbor->skin;
  const double reach = std::max(listed_to, lmp->comm->cutghostuser);
  const double local = rank.atoms(), ghosts = rank.ghosts(reach),
               listed = rank.neighbours(listed_to);
  // an engine keeps features, adjoints and a force of every node; of atoms a shortcut, an energy,
  // who the neighbours are, and what it would else compute twice
  const double bytes =
      (local + ghosts) *
          (kBytesOfAtom + 2.0 * engines.feature_bytes + engines.n * 3.0 * sizeof(double)) +
      local * (listed * sizeof(int) + engines.feature_bytes + engines.kept_bytes +
               engines.n * (sizeof(double) + rank.neighbours(r_max) * sizeof(int)));
  return fmt::format("pair_style {}: forecast for a rank: {:.0f} atoms, {:.0f} ghosts, {:.0f} "
                     "listed neighbours an atom, {} and {} of tables\n",
                     style, local, ghosts, listed, amount(bytes), amount(engines.tables));
}

void RunCost::report(const std::string &style, int models, double memory) const
{
  const double mine[6] = {wall_s, communication_s, message_bytes, atom_steps, edge_steps, memory};
  double sum[6];
  MPI_Reduce(mine, sum, 6, MPI_DOUBLE, MPI_SUM, 0, lmp->world);
  const auto [wall, communication, bytes, atoms, edges, all_memory] = sum;
  const Comm &comm = *lmp->comm;
  if (comm.me != 0 || steps == 0 || atoms == 0) return;
  const double of_rank = 1e6 * wall / atoms, rank_steps = static_cast<double>(steps) * comm.nprocs;
  utils::logmesg(
      lmp,
      "pair_style {}: {:.2f} us/atom/step on {} rank{} x {} thread{} ({:.2f} us of one rank), "
      "{:.1f} % communication ({:.2f} MB a rank and step), {:.1f} neighbours an atom, {:.2f} KB an "
      "atom\n",
      style, of_rank / comm.nprocs, comm.nprocs, plural(comm.nprocs), comm.nthreads,
      plural(comm.nthreads), of_rank, 100 * communication / wall, bytes / 1e6 / rank_steps,
      edges / atoms / models, all_memory / 1e3 * static_cast<double>(steps) / atoms);
}

}  // namespace moalloy
