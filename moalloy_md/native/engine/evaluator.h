// Energies and forces of a MACE model: what a pair style or a calculator calls.
#ifndef MOALLOY_EVALUATOR_H
#define MOALLOY_EVALUATOR_H

#include "aligned.h"
#include "model.h"
#include "neighbours.h"

#include <memory>
#include <vector>

namespace moalloy
{

/* One step of a model with two layers:

     begin; first_layer;        features() of the centres are set
     [send features() of centres to the copies of them on other ranks]
     second_layer;              adjoints() of all nodes, a part of the forces
     [add adjoints() of copies to their centres]
     first_layer_back;          the rest of the forces

   A model with one layer is done after first_layer. Nothing is allocated in a step, except where a
   system has grown. Threads split the centres into equal ranges; results do not depend on
   anything but their number. */
template <class Real> class Evaluator
{
 public:
  /* Type t is element_of_type[t] in the model's table.
     Throws ModelError for MOALLOY_ISA with an unknown value. */
  Evaluator(const Model &model, const std::vector<int> &element_of_type);
  ~Evaluator();

  int layers() const;
  int feature_size() const;  // numbers that a node sends; 0 for one layer
  double radial_error() const;
  const char *instructions() const;

  void begin(const System &system, int threads, bool virials_of_atoms);
  void first_layer();
  void second_layer();
  void first_layer_back();

  Real *features() { return features_.data(); }  // (nodes, feature_size)
  Real *adjoints() { return adjoints_.data(); }  // (nodes, feature_size)

  // Of the last step. Forces and virials of copies belong to the atoms that they are copies of.
  const std::vector<double> &energies() const { return energies_; }  // (centres), eV
  const std::vector<double> &forces() const { return forces_; }      // (nodes, 3), eV/Angstrom
  // dE / d strain, eV: of the system (3, 3), and of nodes (nodes, 3, 3), half to each end of an edge
  const double *virial() const { return virial_; }
  const std::vector<double> &virials() const { return virials_; }

 private:
  struct Shared;
  struct Worker;
  template <class Do> void for_blocks(bool gradients, bool adjoints, Do &&todo);

  std::unique_ptr<Shared> shared_;
  std::vector<std::unique_ptr<Worker>> workers_;
  System system_;
  int threads_ = 1;
  bool virials_of_atoms_ = false;
  Array<Real> features_, adjoints_, shortcut_;
  std::vector<double> energies_, forces_, virials_;
  double virial_[9] = {};
};

}  // namespace moalloy

#endif
