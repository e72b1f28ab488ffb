// A MACE model in a TorchScript file. No torch header is seen from here, none of LAMMPS either:
// what needs torch is a library of its own, moalloy_torch_model.so, which torch_library.cpp opens.
#ifndef MOALLOY_TORCH_MODEL_H
#define MOALLOY_TORCH_MODEL_H

#include <array>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace moalloy
{

// What a user has to be told; the text is complete.
class ModelError : public std::runtime_error
{
 public:
  using std::runtime_error::runtime_error;
};

// Directed edges between nodes. Nodes 0 to n_owned-1 are the atoms whose energies are wanted.
struct Graph {
  int64_t n_owned = 0;
  std::vector<int64_t> species;     // per node: index into the model's elements
  std::vector<int64_t> edge_index;  // (2, n_edges): senders, then receivers
  std::vector<double> vectors;      // (n_edges, 3): receiver minus sender, Å
  int64_t n_nodes() const { return static_cast<int64_t>(species.size()); }
  int64_t n_edges() const { return static_cast<int64_t>(vectors.size() / 3); }
};

struct Evaluation {
  std::vector<double> node_energy;    // (n_owned), eV
  std::vector<double> edge_gradient;  // (n_edges, 3), dE/dvector, eV/Å; empty if not offered
  std::vector<double> node_force;     // (n_nodes, 3), eV/Å; only where there is no edge gradient
  std::array<double, 6> virial{};     // xx yy zz xy xz yz, eV; only with node_force
};

class TorchModel
{
 public:
  virtual ~TorchModel() = default;

  virtual double r_max() const = 0;
  virtual int n_layers() const = 0;
  virtual const std::vector<int> &atomic_numbers() const = 0;
  // Files of `moalloy export` return the gradient of each edge; those of ACEsuit do not.
  virtual bool has_edge_gradient() const = 0;
  virtual bool has_pair_repulsion() const = 0;  // ZBL
  virtual std::string dtype() const = 0;

  // The energy is that of the owned nodes. Throws ModelError.
  virtual void evaluate(const Graph &graph, bool want_virial, Evaluation &result) = 0;

  // Most memory that an evaluation of this graph holds at once, bytes; 0 where that cannot be told
  // (CUDA). For a small graph: it grows in proportion to nodes and edges.
  virtual double peak_memory(const Graph &graph) = 0;
};

class TorchLibrary
{
 public:
  virtual ~TorchLibrary() = default;

  // device: "cpu" or "cuda:N". Throws ModelError.
  virtual std::unique_ptr<TorchModel> load(const std::string &path,
                                           const std::string &device) const = 0;
  virtual int cuda_devices() const = 0;
  virtual void set_threads(int n) const = 0;
};

// The library is opened by the first call. Throws ModelError.
const TorchLibrary &torch_library();

}  // namespace moalloy

#endif
