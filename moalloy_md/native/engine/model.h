// A MACE model as model.safetensors holds it: every normalisation of e3nn folded into the weights.
#ifndef MOALLOY_MODEL_H
#define MOALLOY_MODEL_H

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace moalloy
{

// A file that is no model, or not one that this version can evaluate: expected, found, what to do.
class ModelError : public std::runtime_error
{
 public:
  using std::runtime_error::runtime_error;
};

enum class Precision { single, dbl };

// One path of the tensor product: l1 of the sender's features, l2 of the harmonics, l3 of the
// message.
struct Path {
  int l1, l2, l3;
  std::vector<double> coupling;  // (2 l1 + 1, 2 l2 + 1, 2 l3 + 1)
  std::vector<double> linear;    // (K, K), in and out; 1 / avg_num_neighbors is in it
};

// Monomials of one order of the symmetric contraction, one coefficient for each sorted index tuple.
struct Monomials {
  int order = 0;                     // 1, 2 or 3 components of A are multiplied
  int parameters = 0;                // weights per element and channel
  std::vector<int> indices;          // (n, order), each in [0, (l_max + 1)^2), ascending in a row
  std::vector<double> coefficients;  // (n, 2 L + 1, parameters)
  std::vector<double> weights;       // (elements, parameters, K)
  int count() const { return static_cast<int>(indices.size()) / order; }
};

// One degree L of a layer's output: h'[L] = linear . polynomial(A)
struct Product {
  int degree;                        // L
  std::vector<Monomials> monomials;  // orders 1 .. correlation
  std::vector<double> linear;        // (K, K), in and out
};

struct Layer {
  bool residual;                        // else skip mixes the message, and there is no shortcut
  bool density;                         // message / (1 + sum of edge densities)
  int l_in;                             // highest degree of the features that enter
  std::vector<std::vector<double>> up;  // per l <= l_in: (K, K)
  std::vector<Path> paths;              // in the order of the radial network's outputs
  std::vector<std::vector<double>> network;  // radial network, (in, out) row-major, no biases
  std::vector<int> widths;                   // Bessel functions, hidden widths ..., paths * K
  std::vector<double> density_weights;       // (Bessel functions), or empty
  // residual: per L of the output that the features have; else per l <= l_max: (elements, K, K)
  std::vector<std::vector<double>> skip;
  std::vector<Product> products;  // L = 0 .. l_out, ascending
  int l_out() const { return products.back().degree; }
};

// Reads the scalars that its layer puts out: K -> 1, or K -> hidden -> 1 with silu in between.
struct Readout {
  int layer;
  int hidden;                   // 0: linear
  std::vector<double> weights;  // (K), or (K, hidden)
  std::vector<double> output;   // (hidden)
};

// s(r) = 1 / (1 + a u^q / (1 + u^(q - p))) with u = 2 r / (R_i + R_j)
struct Agnesi {
  double a, q, p;
  std::vector<double> radii;  // (elements), Angstrom
};

// Ziegler-Biersack-Littmark repulsion, switched off at the sum of the covalent radii.
struct Zbl {
  double exponent;            // of the atomic numbers, in the screening length
  double length;              // Angstrom: screening length = length / (Z_i^x + Z_j^x)
  int cutoff_power;           // p of the envelope
  std::vector<double> terms;  // four amplitudes of the universal screening function
  std::vector<double> radii;  // (elements), Angstrom
};

struct Model {
  std::vector<int> atomic_numbers;
  Precision precision;  // of the file's weights
  std::string head;
  int channels;                // K
  int l_max;                   // of the harmonics
  double r_max;                // Angstrom
  int cutoff_power;            // p of the polynomial envelope
  std::vector<double> bessel;  // wave numbers, 1 / Angstrom
  double bessel_prefactor;
  bool cutoff_before_network;      // apply_cutoff of mace-torch
  double activation_constant;      // of silu in the radial networks
  double readout_constant;         // of silu in the readouts
  double scale, shift;             // eV
  std::vector<double> energies_0;  // (elements), eV
  std::vector<double> embedding;   // (elements, K): features that enter the first layer
  std::optional<Agnesi> agnesi;
  std::optional<Zbl> zbl;
  std::vector<Layer> layers;
  std::vector<Readout> readouts;

  int elements() const { return static_cast<int>(atomic_numbers.size()); }
  int components() const { return (l_max + 1) * (l_max + 1); }
};

// Throws ModelError: missing, truncated or foreign file, newer format, shapes that contradict
// each other, numbers that are not finite.
Model load_model(const std::string &path);

}  // namespace moalloy

#endif
