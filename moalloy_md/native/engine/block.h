// A few atoms and their edges: everything that one thread holds at a time.
#ifndef MOALLOY_BLOCK_H
#define MOALLOY_BLOCK_H

#include "aligned.h"
#include "kernels.h"
#include "neighbourhood.h"
#include "parameters.h"
#include "zbl.h"

#include <vector>

namespace moalloy
{

/* Computes layers for up to `kCentres` centres. Rows of a centre: (component, channel), channels
   padded. Calls come in the order: load, message (first or later), product, readout; and back:
   product_back, message_back. Energies and adjoints go where the caller says. A is the block's
   own, or lies where place_a says: (centre, component, channel). */
template <class Real> class Block
{
 public:
  static constexpr int kCentres = 8;
  Block(const Parameters<Real> &parameters, const Kernels<Real> &kernels, const ZblTable &zbl);

  // Neighbours are found in the first sweep of a step and kept, and looked up in later ones.
  void load(const System &system, int first, int count, KeptNeighbours &kept, bool again);
  void place_a(Real *rows) { placed_a_ = rows; }
  int count() const { return count_; }
  int centre(int c) const { return first_ + c; }
  const Neighbourhood<Real> &neighbourhood(int c) const { return around_[c]; }
  Real *out(int c) { return &out_[static_cast<std::size_t>(c) * out_stride_]; }
  Real *out_hat(int c) { return &out_hat_[static_cast<std::size_t>(c) * out_stride_]; }

  double memory() const;  // bytes

  void first_message();
  void first_message_kept();  // A is there from an earlier sweep
  void later_message(const Real *features);
  void product(int layer);                    // A -> out, without shortcut
  void readout(int layer, double *energies);  // adds to energies[c] and to out_hat's scalars
  void clear_out_hat();
  void product_back(int layer);               // out_hat -> A hat
  void first_message_back(double *energies);  // with the repulsion of close atoms
  void later_message_back(const Real *features, const std::vector<Real *> &adjoint_rows);

  // rows[c] . matrix for each degree of what layer 1 takes from layer 0, and back
  void up(Real *features);
  void up_back(const Real *adjoints);
  void skip(Real *shortcut);
  void skip_back(const Real *shortcut_hat);
  void add_shortcut(int layer, const Real *shortcut);

 private:
  void linear_readout(const ReadoutParameters<Real> &readout, double *energies);
  void nonlinear_readout(const ReadoutParameters<Real> &readout, double *energies);
  void locate(int layer);
  void find_norms(int layer);
  void normalise(int layer);
  void normalise_back(int layer);
  void mix(int layer, bool back);
  void zero_a() { std::fill_n(a(0), count_ * p_.components * p_.width, Real(0)); }
  void zero(Array<Real> &rows) { std::fill(rows.begin(), rows.end(), Real(0)); }
  Real *sums(int c)
  {
    return &sums_[static_cast<std::size_t>(c) * p_.components * p_.layers[0].n_basis];
  }
  Real *a(int c)
  {
    return (placed_a_ ? placed_a_ : a_.data()) +
           static_cast<std::size_t>(c) * p_.components * p_.width;
  }
  Real *a_hat(int c) { return &a_hat_[static_cast<std::size_t>(c) * p_.components * p_.width]; }
  Real *message(int row) { return &message_[static_cast<std::size_t>(row) * kCentres * p_.width]; }
  void multiply(const Matrix<Real> &matrix, bool add)
  {
    kernels_.multiply(from_.data(), to_.data(), static_cast<int>(from_.size()), matrix.n_in,
                      matrix.lines_out, matrix.data.data(), add);
    from_.clear();
    to_.clear();
  }
  template <class Do> void for_each_type(Do &&todo);
  template <class Do> void for_each_pair_of_types(Do &&todo);
  void multiply_sums(int i, int j, const int *chosen, int n, bool back);

  const Parameters<Real> &p_;
  const Kernels<Real> &kernels_;
  const ZblTable &zbl_;
  int first_ = 0, count_ = 0, out_stride_;
  std::vector<Neighbourhood<Real>> around_;
  std::vector<int> type_;
  NeighbourList list_;
  Real *placed_a_ = nullptr;
  Array<Real> a_, a_hat_, product_, product_hat_, out_, out_hat_, message_, mixed_;
  Array<Real> sums_, hidden_, scratch_, coupled_, coupled_hat_;
  std::vector<double> norm_, norm_hat_;
  std::vector<const Real *> from_, sender_;
  std::vector<Real *> to_, sender_hat_;
};

}  // namespace moalloy

#endif
