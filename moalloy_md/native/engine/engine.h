// Energies and forces of a MACE model: what a pair style or a calculator calls.
#ifndef MOALLOY_ENGINE_H
#define MOALLOY_ENGINE_H

#include "model.h"
#include "neighbours.h"

#include <cstddef>
#include <memory>
#include <vector>

namespace moalloy
{

/* One step of a model with two layers:

     begin; first_layer;        features of the centres are set
     [send features of centres to the copies of them on other ranks]
     second_layer;              adjoints of all nodes, a part of the forces
     [add adjoints of copies to their centres]
     first_layer_back;          the rest of the forces

   A model with one layer is done after first_layer. Nothing is allocated in a step, except where a
   system has grown. Threads split the centres into equal ranges; results depend on nothing but
   their number. */
class Engine
{
 public:
  virtual ~Engine() = default;

  virtual int layers() const = 0;
  virtual std::size_t feature_bytes() const = 0;  // that a node sends; 0 for one layer
  virtual std::size_t kept_bytes() const = 0;    // of a centre from sweep to sweep, beside features
  virtual double radial_error() const = 0;       // of a tabulated slope, relative
  virtual const char *instructions() const = 0;  // of the kernels: avx512, avx2 or portable
  virtual double memory() const = 0;             // bytes, tables included

  virtual void begin(const System &system, int threads, bool virials_of_atoms) = 0;
  virtual void first_layer() = 0;
  virtual void second_layer() = 0;
  virtual void first_layer_back() = 0;

  // Plain numbers in the precision of the engine, feature_bytes() a node.
  virtual char *features(int node) = 0;
  virtual char *adjoints(int node) = 0;
  virtual void add_adjoints(int node, const char *from) = 0;

  // Of the last step. Forces and virials of copies belong to the atoms that they are copies of.
  const std::vector<double> &energies() const { return energies_; }  // (centres), eV
  const std::vector<double> &forces() const { return forces_; }      // (nodes, 3), eV/Angstrom
  // dE / d strain, eV: of the system (3, 3), and of nodes (nodes, 3, 3), half to each end of an
  // edge
  const double *virial() const { return virial_; }
  const std::vector<double> &virials() const { return virials_; }
  virtual std::size_t edges() const = 0;

 protected:
  std::vector<double> energies_, forces_, virials_;
  double virial_[9] = {};
};

/* Type t is element_of_type[t] in the model's table. Throws ModelError where MOALLOY_ISA has an
   unknown value. */
std::unique_ptr<Engine> make_engine(const Model &model, const std::vector<int> &element_of_type,
                                    Precision precision);

}  // namespace moalloy

#endif
