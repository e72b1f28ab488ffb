#include "rank_forecast.h"

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "lammps.h"
#include "utils.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>

namespace moalloy
{
namespace
{

// A line such as "VmRSS:  1234 kB" of a file of the kernel, in bytes.
double memory_in(const char *path, const std::string &name, double unknown)
{
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.compare(0, name.size(), name) == 0) return 1024 * std::stod(line.substr(name.size()));
  return unknown;
}

}  // namespace

RankForecast::RankForecast(LAMMPS_NS::LAMMPS *lmp)
{
  const LAMMPS_NS::Domain &box = *lmp->domain;
  const LAMMPS_NS::Comm &comm = *lmp->comm;
  const double volume = box.xprd * box.yprd * box.zprd;
  const double total = static_cast<double>(lmp->atom->natoms);
  if (total == 0 || volume <= 0) return;
  atoms_ = total / comm.nprocs;
  density_ = total / volume;
  const double lengths[3] = {box.xprd, box.yprd, box.zprd};
  for (int k = 0; k < 3; ++k) {
    box_[k] = lengths[k];
    part_[k] = lengths[k] / comm.procgrid[k];
  }
}

double RankForecast::ghosts(double reach) const
{
  const double with_layer =
      (part_[0] + 2 * reach) * (part_[1] + 2 * reach) * (part_[2] + 2 * reach);
  return density_ * (with_layer - part_[0] * part_[1] * part_[2]);
}

double RankForecast::within(double reach) const
{
  double volume = 1.0;
  for (int k = 0; k < 3; ++k) volume *= std::min(part_[k] + 2 * reach, box_[k]);
  return density_ * volume;
}

double RankForecast::neighbours(double distance) const
{
  return density_ * 4.0 / 3.0 * M_PI * std::pow(distance, 3);
}

double available_memory()
{
  return memory_in("/proc/meminfo", "MemAvailable:", std::numeric_limits<double>::infinity());
}

double resident_memory() { return memory_in("/proc/self/status", "VmRSS:", 0.0); }

std::string amount(double bytes)
{
  return bytes < 1e9 ? fmt::format("{:.1f} MB", bytes / 1e6)
                     : fmt::format("{:.2f} GB", bytes / 1e9);
}

}  // namespace moalloy
