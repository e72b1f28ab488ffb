// How much the models of a committee disagree: the columns of DeePMD-kit's model_devi.out.
#ifndef MOALLOY_MODEL_DEVIATION_H
#define MOALLOY_MODEL_DEVIATION_H

#include "lmptype.h"

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

namespace LAMMPS_NS
{
class LAMMPS;
}

namespace moalloy
{

/* For atom i the deviation of its force is sqrt(< |F_i - <F_i>|^2 >) over the models; for a
   component of the virial the same of its value over the number of atoms.

   A minimizer and fix atom/swap evaluate several times in one step: the last is the step's, so a
   row is written when the next step or the run's end comes. */
class ModelDeviation
{
 public:
  explicit ModelDeviation(LAMMPS_NS::LAMMPS *lmp) : lmp_(lmp) {}
  ~ModelDeviation();

  // A row every so many steps (0: none) to a file.
  void configure(int every, const std::string &path);
  bool writes() const { return every_ > 0; }
  // Before a run; rows of earlier steps that the file has are kept. Returns what is wrong, on the
  // rank that writes.
  std::string open();

  bool wanted(LAMMPS_NS::bigint step) const;

  void begin(int models, int nodes);
  // forces (nodes, 3), eV/Angstrom, and dE/d strain (3, 3), eV, of one model on this rank
  void add(int model, const std::vector<double> &forces, const double *virial);
  // Forces that ghosts got, for their owners: 3 numbers a model.
  int numbers_of_node() const { return 3 * models_; }
  double *forces_of_node(int node) { return &forces_[static_cast<size_t>(node) * 3 * models_]; }
  // After that exchange; collective.
  void finish(LAMMPS_NS::bigint step, int local);
  // Writes the row of a step that is over.
  void write_before(LAMMPS_NS::bigint step);
  void write_pending();

  // For fix pair, which keeps the address of the first: (local), eV/Angstrom; null where nobody
  // asked for this step.
  int requested = 0;
  double *of_atoms(LAMMPS_NS::bigint step);

 private:
  std::string earlier_rows() const;

  struct Row {
    LAMMPS_NS::bigint step;
    double virial[3], force[3];  // largest, smallest, mean
  };

  LAMMPS_NS::LAMMPS *lmp_;
  int every_ = 0, models_ = 0;
  std::string path_;
  FILE *file_ = nullptr;
  std::optional<Row> pending_;
  std::string last_line_;
  LAMMPS_NS::bigint step_ = -1;  // of of_atom_
  std::vector<double> of_atom_;
  std::vector<double> forces_;   // (nodes, models, 3)
  std::vector<double> virials_;  // (models, 9)
};

}  // namespace moalloy

#endif
