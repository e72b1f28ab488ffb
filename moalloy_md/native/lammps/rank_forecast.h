// How many atoms, ghosts and neighbours a rank will have, before a run: from the mean density.
#ifndef MOALLOY_RANK_FORECAST_H
#define MOALLOY_RANK_FORECAST_H

#include <string>

namespace LAMMPS_NS
{
class LAMMPS;
}

namespace moalloy
{

class RankForecast
{
 public:
  explicit RankForecast(LAMMPS_NS::LAMMPS *lmp);

  // False where there are no atoms yet.
  bool known() const { return density_ > 0.0; }
  double atoms() const { return atoms_; }
  // Those in a layer of this thickness (Å) around a rank's part of the box.
  double ghosts(double reach) const;
  // Atoms of a rank and those within this distance (Å) of its part, each once though it has images.
  double within(double reach) const;
  // Atoms within this distance (Å) of an atom.
  double neighbours(double distance) const;

 private:
  double atoms_ = 0.0, density_ = 0.0;
  double box_[3] = {0.0, 0.0, 0.0}, part_[3] = {0.0, 0.0, 0.0};  // lengths, Å
};

// What a new process of this machine could have, bytes; infinite where the kernel does not say.
double available_memory();

// What this process has now, bytes; 0 where the kernel does not say.
double resident_memory();

// Bytes as people read them.
std::string amount(double bytes);

}  // namespace moalloy

#endif
