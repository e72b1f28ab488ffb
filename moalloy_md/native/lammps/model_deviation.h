// How much the models of a committee disagree: the columns of DeePMD-kit's model_devi.out.
#ifndef MOALLOY_MODEL_DEVIATION_H
#define MOALLOY_MODEL_DEVIATION_H

#include "lmptype.h"

#include <cstdio>
#include <string>
#include <vector>

namespace LAMMPS_NS
{
class LAMMPS;
}

namespace moalloy
{

/* For atom i the deviation of its force is sqrt(< |F_i - <F_i>|^2 >) over the models; for a
   component of the virial the same of its value over the number of atoms. */
class ModelDeviation
{
 public:
  ModelDeviation(LAMMPS_NS::LAMMPS *lmp, int every, std::string path);
  ~ModelDeviation();

  bool wanted(LAMMPS_NS::bigint step) const;

  void begin(int models, int nodes);
  // forces (nodes, 3), eV/Angstrom, and dE/d strain (3, 3), eV, of one model on this rank
  void add(int model, const std::vector<double> &forces, const double *virial);
  // Forces that ghosts got, for their owners: 3 numbers a model.
  int numbers_of_node() const { return 3 * models_; }
  double *forces_of_node(int node) { return &forces_[static_cast<size_t>(node) * 3 * models_]; }
  // After that exchange; collective. Writes a line where it is time for one.
  void finish(LAMMPS_NS::bigint step, int local);

  int requested = 0;            // by fix pair, for this step
  std::vector<double> of_atom;  // (local), eV/Angstrom

 private:
  void write(LAMMPS_NS::bigint step, const double virial[3], const double force[3]);

  LAMMPS_NS::LAMMPS *lmp_;
  int every_, models_ = 0;
  std::string path_;
  FILE *file_ = nullptr;
  std::vector<double> forces_;   // (nodes, models, 3)
  std::vector<double> virials_;  // (models, 9)
};

}  // namespace moalloy

#endif
