// What pair_style mace/native says in the log: a forecast before a run, and what the run cost.
#ifndef MOALLOY_NATIVE_LOG_H
#define MOALLOY_NATIVE_LOG_H

#include "lmptype.h"

#include <string>

namespace LAMMPS_NS
{
class LAMMPS;
}

namespace moalloy
{

// Sums over the models of a committee.
struct ForecastOfEngines {
  int n = 0;
  double tables = 0.0;         // bytes of a rank
  double feature_bytes = 0.0;  // that a node sends
  double kept_bytes = 0.0;     // of an atom, beside features
};

/* Atoms, ghosts, listed neighbours and memory of a rank, as a line of the log. From the mean
   density: ghosts fill a layer of r_max + skin around a rank's part of the box. Empty where there
   are no atoms. */
std::string forecast(LAMMPS_NS::LAMMPS *lmp, const std::string &style, double r_max,
                     const ForecastOfEngines &engines);

// Of this rank, since it was cleared.
struct RunCost {
  explicit RunCost(LAMMPS_NS::LAMMPS *lmp) : lmp(lmp) {}

  LAMMPS_NS::LAMMPS *lmp;
  double wall_s = 0.0, communication_s = 0.0;
  double message_bytes = 0.0;  // packed for others, and for the rank's own images
  double atom_steps = 0.0, edge_steps = 0.0;
  LAMMPS_NS::bigint steps = 0;

  void clear() { *this = RunCost(lmp); }
  // A line of the log; collective. `memory` in bytes, of this rank.
  void report(const std::string &style, int models, double memory) const;
};

}  // namespace moalloy

#endif
