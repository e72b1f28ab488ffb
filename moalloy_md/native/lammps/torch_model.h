// A MACE model in a TorchScript file. No torch header is seen from here, none of LAMMPS either.
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
  // device: "cpu" or "cuda:N". Throws ModelError.
  TorchModel(const std::string &path, const std::string &device);
  ~TorchModel();
  TorchModel(const TorchModel &) = delete;
  TorchModel &operator=(const TorchModel &) = delete;

  double r_max() const;
  int n_layers() const;
  const std::vector<int> &atomic_numbers() const;
  // Files of `moalloy export` return the gradient of each edge; those of ACEsuit do not.
  bool has_edge_gradient() const;
  std::string dtype() const;

  // The energy is that of the owned nodes. Throws ModelError.
  void evaluate(const Graph &graph, bool want_virial, Evaluation &result);

  static int cuda_devices();
  static void set_threads(int n);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

}  // namespace moalloy

#endif
