#include "block.h"

#include <algorithm>
#include <cmath>

namespace moalloy
{

template <class Real>
Block<Real>::Block(const Parameters<Real> &parameters, const Kernels<Real> &kernels,
                   const ZblTable &zbl)
    : p_(parameters), kernels_(kernels), zbl_(zbl), around_(kCentres), type_(kCentres),
      norm_(kCentres), norm_hat_(kCentres)
{
  int rows_out = 1, rows_message = 0;
  for (const auto &layer : p_.layers) {
    rows_out = std::max(rows_out, (layer.l_out + 1) * (layer.l_out + 1));
    rows_message = std::max(rows_message, layer.message_rows);
  }
  const std::size_t block = static_cast<std::size_t>(kCentres) * p_.width;
  out_stride_ = rows_out * p_.width;
  a_.resize(block * p_.components);
  a_hat_.resize(block * p_.components);
  mixed_.resize(block * p_.components);
  out_.resize(block * rows_out);
  out_hat_.resize(block * rows_out);
  product_.resize(block * rows_out);
  product_hat_.resize(block * rows_out);
  message_.resize(block * rows_message);
  sums_.resize(static_cast<std::size_t>(kCentres) * p_.components * p_.layers[0].n_basis);
}

template <class Real> double Block<Real>::memory() const
{
  std::size_t numbers = 0;
  for (const auto *rows : {&a_, &a_hat_, &mixed_, &product_, &product_hat_, &out_, &out_hat_,
                           &message_, &sums_, &hidden_, &scratch_, &coupled_, &coupled_hat_})
    numbers += rows->capacity();
  std::size_t bytes = numbers * sizeof(Real);
  for (const auto &n : around_) bytes += n.memory();
  return static_cast<double>(bytes);
}

template <class Real>
void Block<Real>::load(const System &system, int first, int count, KeptNeighbours &kept, bool again)
{
  first_ = first;
  count_ = count;
  for (int c = 0; c < count; ++c) {
    type_[c] = std::max(system.type[first + c], 0);
    Neighbourhood<Real> &around = around_[c];
    if (again) {
      around.find_again(system, first + c, p_, kernels_, kept.next());
    } else {
      around.find(system, first + c, p_, kernels_, list_);
      kept.keep(around.handle.data(), around.count);
    }
  }
}

template <class Real> template <class Do> void Block<Real>::for_each_type(Do &&todo)
{
  int chosen[kCentres];
  for (int t = 0; t < p_.types; ++t) {
    int n = 0;
    for (int c = 0; c < count_; ++c)
      if (type_[c] == t) chosen[n++] = c;
    if (n > 0) todo(t, chosen, n);
  }
}

template <class Real> void Block<Real>::product(int layer)
{
  for (const ProductParameters<Real> &product : p_.layers[layer].products) {
    const int degree = product.degree, first = degree * degree;
    for_each_type([&](int type, const int *chosen, int n) {
      for (int m = 0; m < 2 * degree + 1; ++m) {
        const auto &component = product.components[m];
        const Real *in[kCentres];
        Real *to[kCentres];
        for (int k = 0; k < n; ++k) {
          in[k] = a(chosen[k]);
          to[k] =
              &product_[static_cast<std::size_t>(chosen[k]) * out_stride_ + (first + m) * p_.width];
        }
        kernels_.contract(component.polynomial(), component.coefficients[type].data(), n, p_.width,
                          in, to);
      }
    });
    for (int c = 0; c < count_; ++c)
      for (int m = 0; m < 2 * degree + 1; ++m) {
        const std::size_t row = static_cast<std::size_t>(c) * out_stride_ + (first + m) * p_.width;
        from_.push_back(&product_[row]);
        to_.push_back(&out_[row]);
      }
    multiply(product.linear, false);
  }
}

template <class Real> void Block<Real>::product_back(int layer)
{
  zero(a_hat_);
  for (const ProductParameters<Real> &product : p_.layers[layer].products) {
    const int degree = product.degree, first = degree * degree;
    for (int c = 0; c < count_; ++c)
      for (int m = 0; m < 2 * degree + 1; ++m) {
        const std::size_t row = static_cast<std::size_t>(c) * out_stride_ + (first + m) * p_.width;
        from_.push_back(&out_hat_[row]);
        to_.push_back(&product_hat_[row]);
      }
    multiply(product.linear_back, false);
    for_each_type([&](int type, const int *chosen, int n) {
      for (int m = 0; m < 2 * degree + 1; ++m) {
        const auto &component = product.components[m];
        const Real *in[kCentres], *hat[kCentres];
        Real *to[kCentres];
        for (int k = 0; k < n; ++k) {
          in[k] = a(chosen[k]);
          hat[k] = &product_hat_[static_cast<std::size_t>(chosen[k]) * out_stride_ +
                                 (first + m) * p_.width];
          to[k] = a_hat(chosen[k]);
        }
        kernels_.contract_back(component.polynomial(), component.coefficients[type].data(), n,
                               p_.width, in, hat, to);
      }
    });
  }
}

template <class Real> void Block<Real>::clear_out_hat() { zero(out_hat_); }

template <class Real> void Block<Real>::readout(int layer, double *energies)
{
  for (const ReadoutParameters<Real> &readout : p_.readouts) {
    if (readout.layer != layer) continue;
    if (readout.hidden == 0)
      linear_readout(readout, energies);
    else
      nonlinear_readout(readout, energies);
  }
}

template <class Real>
void Block<Real>::linear_readout(const ReadoutParameters<Real> &readout, double *energies)
{
  for (int c = 0; c < count_; ++c) {
    const Real *in = out(c);
    Real *hat = out_hat(c), energy = 0;
#pragma omp simd reduction(+ : energy)
    for (int k = 0; k < p_.width; ++k) energy += in[k] * readout.weights[k];
    for (int k = 0; k < p_.width; ++k) hat[k] += readout.weights[k];
    energies[c] += energy;
  }
}

template <class Real>
void Block<Real>::nonlinear_readout(const ReadoutParameters<Real> &readout, double *energies)
{
  const std::size_t stride = padded<Real>(readout.hidden);
  hidden_.resize(std::max(hidden_.size(), kCentres * stride));
  for (int c = 0; c < count_; ++c) {
    from_.push_back(out(c));
    to_.push_back(&hidden_[c * stride]);
  }
  multiply(readout.matrix, false);
  for (int c = 0; c < count_; ++c) {
    for (int h = 0; h < readout.hidden; ++h) {
      Real &x = hidden_[c * stride + h];  // becomes its adjoint
      const Real y = x, s = 1 / (1 + std::exp(-y));
      const double factor = p_.activation * readout.output[h];
      energies[c] += factor * y * s;
      x = static_cast<Real>(factor * s * (1 + y * (1 - s)));
    }
    from_.push_back(&hidden_[c * stride]);
    to_.push_back(out_hat(c));
  }
  multiply(readout.back, true);
}

// ---- between the layers ----

template <class Real> void Block<Real>::up(Real *features)
{
  const LayerParameters<Real> &layer = p_.layers[1];
  const std::size_t size = static_cast<std::size_t>((layer.l_in + 1) * (layer.l_in + 1)) * p_.width;
  for (int l = 0; l <= layer.l_in; ++l) {
    for (int c = 0; c < count_; ++c)
      for (int k = l * l; k < (l + 1) * (l + 1); ++k) {
        from_.push_back(out(c) + k * p_.width);
        to_.push_back(features + centre(c) * size + k * p_.width);
      }
    multiply(layer.up[l], false);
  }
}

template <class Real> void Block<Real>::up_back(const Real *adjoints)
{
  const LayerParameters<Real> &layer = p_.layers[1];
  const std::size_t size = static_cast<std::size_t>((layer.l_in + 1) * (layer.l_in + 1)) * p_.width;
  for (int l = 0; l <= layer.l_in; ++l) {
    for (int c = 0; c < count_; ++c)
      for (int k = l * l; k < (l + 1) * (l + 1); ++k) {
        from_.push_back(adjoints + centre(c) * size + k * p_.width);
        to_.push_back(out_hat(c) + k * p_.width);
      }
    multiply(layer.up_back[l], true);
  }
}

template <class Real> void Block<Real>::skip(Real *shortcut)
{
  const LayerParameters<Real> &layer = p_.layers[1];
  for_each_type([&](int type, const int *chosen, int n) {
    for (int k = 0; k < n; ++k) {
      from_.push_back(out(chosen[k]));
      to_.push_back(shortcut + static_cast<std::size_t>(centre(chosen[k])) * p_.width);
    }
    multiply(layer.skip[type * (layer.skip.size() / p_.types)], false);
  });
}

template <class Real> void Block<Real>::skip_back(const Real *shortcut_hat)
{
  const LayerParameters<Real> &layer = p_.layers[1];
  for_each_type([&](int type, const int *chosen, int n) {
    for (int k = 0; k < n; ++k) {
      from_.push_back(shortcut_hat + static_cast<std::size_t>(centre(chosen[k])) * p_.width);
      to_.push_back(out_hat(chosen[k]));
    }
    multiply(layer.skip_back[type * (layer.skip.size() / p_.types)], true);
  });
}

template <class Real> void Block<Real>::add_shortcut(int layer, const Real *shortcut)
{
  if (!p_.layers[layer].residual) return;
  for (int c = 0; c < count_; ++c) {
    const Real *row = layer == 0 ? p_.layers[0].shortcut[type_[c]].data()
                                 : shortcut + static_cast<std::size_t>(centre(c)) * p_.width;
    for (int k = 0; k < p_.width; ++k) out(c)[k] += row[k];
  }
}

template class Block<float>;
template class Block<double>;

}  // namespace moalloy
