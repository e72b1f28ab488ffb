#include "block.h"

#include <cmath>

namespace moalloy
{
namespace
{

constexpr int kSlabRows = 3 + 1 + 1 + 6 + 6 + 1 + 3;  // and twice the harmonics

// Value of a cubic-free quintic Hermite spline of one function, and its slope.
double density_at(const std::vector<double> &rows, double spacing, int knot, double t,
                  double &slope)
{
  const double *f = &rows[static_cast<std::size_t>(3) * knot];
  const double s = 1 - t, tt = t * t, ss = s * s, ts = t * s;
  slope = (30 * ts * ts * (f[3] - f[0]) + ss * (1 + t * (2 - 15 * t)) * f[1] +
           0.5 * ts * s * (2 - 5 * t) * f[2] + tt * (1 + s * (2 - 15 * s)) * f[4] -
           0.5 * ts * t * (2 - 5 * s) * f[5]) /
          spacing;
  return ss * s * (1 + 3 * t + 6 * tt) * f[0] + t * ss * s * (1 + 3 * t) * f[1] +
         0.5 * tt * ss * s * f[2] + tt * t * (1 + 3 * s + 6 * ss) * f[3] -
         s * tt * t * (1 + 3 * s) * f[4] + 0.5 * ss * tt * t * f[5];
}

}  // namespace

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
  sums_.resize(static_cast<std::size_t>(p_.components) * p_.layers[0].n_basis);
}

template <class Real> double Block<Real>::memory() const
{
  std::size_t numbers = 0;
  for (const auto *rows : {&a_, &a_hat_, &mixed_, &product_, &product_hat_, &out_, &out_hat_,
                           &message_, &sums_, &scratch_, &coupled_, &coupled_hat_})
    numbers += rows->capacity();
  for (const auto &n : around_) numbers += n.slab.capacity();
  return static_cast<double>(numbers) * sizeof(Real);
}

// ---- edges
// ----------------------------------------------------------------------------------------

template <class Real> void Block<Real>::load(const System &system, int first, int count)
{
  first_ = first;
  count_ = count;
  for (int c = 0; c < count; ++c) {
    type_[c] = std::max(system.type[first + c], 0);
    fill(around_[c], system, first + c);
  }
}

template <class Real>
void Block<Real>::fill(Neighbourhood<Real> &n, const System &system, int centre)
{
  list_.clear();
  if (system.type[centre] >= 0) system.neighbours->gather(centre, p_.r_max, list_);
  const double r_max_squared = p_.r_max * p_.r_max;
  auto inside = [&](std::size_t k) {
    const double x = list_.x[k], y = list_.y[k], z = list_.z[k];
    return x * x + y * y + z * z < r_max_squared;
  };
  // a counting sort by type
  n.range.assign(p_.types + 1, 0);
  for (std::size_t k = 0; k < list_.node.size(); ++k)
    if (inside(k)) ++n.range[system.type[list_.node[k]] + 1];
  for (int t = 0; t < p_.types; ++t) n.range[t + 1] += n.range[t];
  n.count = n.range[p_.types];
  // room for a whole vector after the last edge; an odd number of lines spreads over the cache
  constexpr int lane = kLanes<Real>;
  n.stride = padded<Real>(n.count) + lane;
  if (n.stride / lane % 2 == 0) n.stride += lane;
  const std::size_t size = n.stride;
  if (n.slab.size() < size * (kSlabRows + 2 * p_.components)) {
    n.slab.resize(size * (kSlabRows + 2 * p_.components));
    n.node.resize(size);
    n.knot.resize(size);
    for (auto *v : {&n.x, &n.y, &n.z, &n.r}) v->resize(size);
  }
  Real *p = n.slab.data();
  for (auto [pointer, rows] : {std::pair{&n.u, 3},
                               {&n.inverse_r, 1},
                               {&n.at, 1},
                               {&n.weight, 6},
                               {&n.weight_slope, 6},
                               {&n.harmonics, p_.components},
                               {&n.yhat, p_.components},
                               {&n.rhat, 1},
                               {&n.gradient, 3}}) {
    *pointer = p;
    p += rows * size;
  }
  std::vector<int> &next = n.range;  // runs to the end of its range: shifted back below
  for (std::size_t k = 0; k < list_.node.size(); ++k) {
    if (!inside(k)) continue;
    const int e = next[system.type[list_.node[k]]]++;
    n.node[e] = list_.node[k];
    n.x[e] = list_.x[k];
    n.y[e] = list_.y[k];
    n.z[e] = list_.z[k];
  }
  for (int t = p_.types; t > 0; --t) n.range[t] = n.range[t - 1];
  n.range[0] = 0;
  for (int e = 0; e < n.count; ++e) {
    const double r = std::sqrt(n.x[e] * n.x[e] + n.y[e] * n.y[e] + n.z[e] * n.z[e]);
    const double inverse = 1 / r;  // two atoms on one place give NaN, which the caller reports
    n.r[e] = r;
    n.inverse_r[e] = static_cast<Real>(inverse);
    n.u[e] = static_cast<Real>(n.x[e] * inverse);
    n.u[n.stride + e] = static_cast<Real>(n.y[e] * inverse);
    n.u[2 * n.stride + e] = static_cast<Real>(n.z[e] * inverse);
  }
  for (int e = n.count; e < n.stride; ++e)
    n.inverse_r[e] = n.at[e] = n.u[e] = n.u[n.stride + e] = n.u[2 * n.stride + e] = 0;
  std::fill_n(n.rhat, n.stride, Real(0));
  kernels_.harmonics(p_.l_max, n.count, n.stride, n.u, n.harmonics);
}

template <class Real> void Block<Real>::weigh(int layer)
{
  const LayerParameters<Real> &parameters = p_.layers[layer];
  for (int c = 0; c < count_; ++c) {
    Neighbourhood<Real> &n = around_[c];
    for (int j = 0; j < p_.types; ++j) {
      const RadialTable<Real> &table = parameters.table(type_[c], j, p_.types);
      const double inverse = 1 / table.spacing;
      for (int e = n.range[j]; e < n.range[j + 1]; ++e) {
        const double x = n.r[e] * inverse;
        n.knot[e] = std::min(static_cast<int>(x), table.intervals - 1);
        n.at[e] = static_cast<Real>(x - n.knot[e]);
      }
    }
    // every table of a layer may have its own spacing; each range gets its own slope
    if (parameters.tables.size() == 1) {
      kernels_.weights(n.count, n.stride, n.at, static_cast<Real>(1 / parameters.tables[0].spacing),
                       n.weight, n.weight_slope);
      continue;
    }
    kernels_.weights(n.count, n.stride, n.at, Real(1), n.weight, n.weight_slope);
    for (int j = 0; j < p_.types; ++j) {
      const Real inverse = static_cast<Real>(1 / parameters.table(type_[c], j, p_.types).spacing);
      for (int q = 0; q < 6; ++q)
        for (int e = n.range[j]; e < n.range[j + 1]; ++e)
          n.weight_slope[q * n.stride + e] *= inverse;
    }
  }
}

// ---- first layer
// ----------------------------------------------------------------------------------

template <class Real> void Block<Real>::first_message()
{
  const LayerParameters<Real> &layer = p_.layers[0];
  weigh(0);
  zero(a_);
  for (int c = 0; c < count_; ++c) {
    const Neighbourhood<Real> &n = around_[c];
    scratch_.resize(
        std::max(scratch_.size(), static_cast<std::size_t>(2) * layer.n_basis * n.stride));
    for (int j = 0; j < p_.types; ++j) {
      if (n.range[j] == n.range[j + 1]) continue;
      zero(sums_);
      kernels_.project(n.edges(n.range[j], n.range[j + 1]),
                       layer.table(type_[c], j, p_.types).rows.data(), layer.n_basis, p_.components,
                       sums_.data(), scratch_.data());
      for (int l = 0; l <= p_.l_max; ++l) {
        for (int k = l * l; k < (l + 1) * (l + 1); ++k) {
          from_.push_back(&sums_[static_cast<std::size_t>(k) * layer.n_basis]);
          to_.push_back(a(c) + k * p_.width);
        }
        multiply(layer.project[(type_[c] * p_.types + j) * (p_.l_max + 1) + l], true);
      }
    }
  }
  normalise(0);
}

template <class Real> void Block<Real>::first_message_back(double *energies)
{
  const LayerParameters<Real> &layer = p_.layers[0];
  normalise_back(0);
  for (int c = 0; c < count_; ++c) {
    Neighbourhood<Real> &n = around_[c];
    for (int j = 0; j < p_.types; ++j) {
      const int first = n.range[j], end = n.range[j + 1];
      if (first == end) continue;
      for (int l = 0; l <= p_.l_max; ++l) {
        for (int k = l * l; k < (l + 1) * (l + 1); ++k) {
          from_.push_back(a_hat(c) + k * p_.width);
          to_.push_back(&sums_[static_cast<std::size_t>(k) * layer.n_basis]);
        }
        multiply(layer.project_back[(type_[c] * p_.types + j) * (p_.l_max + 1) + l], false);
      }
      kernels_.project_back(n.edges(first, end), layer.table(type_[c], j, p_.types).rows.data(),
                            layer.n_basis, p_.components, sums_.data(), scratch_.data(),
                            n.yhat + first, n.rhat + first);
    }
    if (zbl_.active())
      for (int j = 0; j < p_.types; ++j)
        for (int e = n.range[j]; e < n.range[j + 1]; ++e) {
          double slope = 0;
          energies[c] += zbl_.energy(type_[c], j, n.r[e], slope);
          n.rhat[e] += static_cast<Real>(slope);
        }
    kernels_.gradients(p_.l_max, n.count, n.stride, n.u, n.inverse_r, n.yhat, n.rhat, n.gradient);
  }
}

// ---- later layers
// ---------------------------------------------------------------------------------

template <class Real> void Block<Real>::later_message(const Real *features)
{
  const LayerParameters<Real> &layer = p_.layers[1];
  const std::size_t size = static_cast<std::size_t>((layer.l_in + 1) * (layer.l_in + 1)) * p_.width;
  weigh(1);
  zero(message_);
  zero(a_);
  for (int c = 0; c < count_; ++c) {
    const Neighbourhood<Real> &n = around_[c];
    coupled_.resize(std::max(coupled_.size(), static_cast<std::size_t>(layer.coupled) * n.stride));
    sender_.resize(std::max(sender_.size(), static_cast<std::size_t>(n.stride)));
    for (std::size_t q = 0; q < layer.paths.size(); ++q) {
      const PathParameters<Real> &path = layer.paths[q];
      Real *coupled = &coupled_[static_cast<std::size_t>(path.first_coupled) * n.stride];
      kernels_.couple(path.coupling.data(), static_cast<int>(path.coupling.size()), n.count,
                      n.stride, n.harmonics, coupled);
      for (int e = 0; e < n.count; ++e)
        sender_[e] = features + n.node[e] * size + path.l1 * path.l1 * p_.width;
      const int ranges = layer.tables.size() == 1 ? 1 : p_.types;
      for (int j = 0; j < ranges; ++j) {
        const int first = ranges == 1 ? 0 : n.range[j],
                  end = ranges == 1 ? n.count : n.range[j + 1];
        const RadialTable<Real> &table = layer.table(type_[c], j, p_.types);
        const std::size_t group = static_cast<std::size_t>(3) * (table.intervals + 1) * p_.width;
        kernels_.path_forward[path.l1][path.l3](
            n.edges(first, end), table.rows.data() + q * group, p_.width, sender_.data() + first,
            coupled + first, message(path.first_row) + c * p_.width, kCentres * p_.width);
      }
    }
  }
  for (const PathParameters<Real> &path : layer.paths) {
    for (int m = 0; m < 2 * path.l3 + 1; ++m)
      for (int c = 0; c < count_; ++c) {
        from_.push_back(message(path.first_row + m) + c * p_.width);
        to_.push_back(a(c) + (path.l3 * path.l3 + m) * p_.width);
      }
    multiply(path.linear, true);
  }
  normalise(1);
  if (!layer.residual) mix(1, false);
}

template <class Real>
void Block<Real>::later_message_back(const Real *features, const std::vector<Real *> &adjoint_rows)
{
  const LayerParameters<Real> &layer = p_.layers[1];
  const std::size_t size = static_cast<std::size_t>((layer.l_in + 1) * (layer.l_in + 1)) * p_.width;
  normalise_back(1);
  if (!layer.residual) mix(1, true);
  for (const PathParameters<Real> &path : layer.paths) {
    for (int m = 0; m < 2 * path.l3 + 1; ++m)
      for (int c = 0; c < count_; ++c) {
        from_.push_back(a_hat(c) + (path.l3 * path.l3 + m) * p_.width);
        to_.push_back(message(path.first_row + m) + c * p_.width);
      }
    multiply(path.linear_back, false);
  }
  int edge = 0;  // of the whole block
  for (int c = 0; c < count_; edge += around_[c].count, ++c) {
    Neighbourhood<Real> &n = around_[c];
    std::fill_n(n.yhat, static_cast<std::size_t>(p_.components) * n.stride, Real(0));
    sender_hat_.resize(std::max(sender_hat_.size(), static_cast<std::size_t>(n.stride)));
    coupled_hat_.resize(coupled_.size());
    for (std::size_t q = 0; q < layer.paths.size(); ++q) {
      const PathParameters<Real> &path = layer.paths[q];
      const int terms = static_cast<int>(path.coupling.size());
      kernels_.couple(path.coupling.data(), terms, n.count, n.stride, n.harmonics, coupled_.data());
      const int offset = path.l1 * path.l1 * p_.width;
      for (int e = 0; e < n.count; ++e) {
        sender_[e] = features + n.node[e] * size + offset;
        sender_hat_[e] = adjoint_rows[edge + e] + offset;
      }
      const int ranges = layer.tables.size() == 1 ? 1 : p_.types;
      for (int j = 0; j < ranges; ++j) {
        const int first = ranges == 1 ? 0 : n.range[j],
                  end = ranges == 1 ? n.count : n.range[j + 1];
        const RadialTable<Real> &table = layer.table(type_[c], j, p_.types);
        const std::size_t group = static_cast<std::size_t>(3) * (table.intervals + 1) * p_.width;
        kernels_.path_backward[path.l1][path.l3](
            n.edges(first, end), table.rows.data() + q * group, p_.width, sender_.data() + first,
            sender_hat_.data() + first, coupled_.data() + first,
            message(path.first_row) + c * p_.width, kCentres * p_.width,
            coupled_hat_.data() + first, n.rhat + first);
      }
      for (int k = 0; k < (2 * path.l1 + 1) * (2 * path.l3 + 1); ++k)
        std::fill(&coupled_hat_[static_cast<std::size_t>(k) * n.stride] + n.count,
                  &coupled_hat_[static_cast<std::size_t>(k + 1) * n.stride], Real(0));
      kernels_.couple_back(path.coupling.data(), terms, n.count, n.stride, coupled_hat_.data(),
                           n.yhat);
    }
    kernels_.gradients(p_.l_max, n.count, n.stride, n.u, n.inverse_r, n.yhat, n.rhat, n.gradient);
  }
}

// ---- normalisation and mixing of the message
// ---------------------------------------------------------

template <class Real> void Block<Real>::normalise(int layer)
{
  const LayerParameters<Real> &parameters = p_.layers[layer];
  if (!parameters.density) return;
  for (int c = 0; c < count_; ++c) {
    const Neighbourhood<Real> &n = around_[c];
    norm_[c] = 1;
    for (int j = 0; j < p_.types; ++j) {
      const RadialTable<Real> &table = parameters.table(type_[c], j, p_.types);
      for (int e = n.range[j]; e < n.range[j + 1]; ++e) {
        double slope;
        norm_[c] += density_at(table.density, table.spacing, n.knot[e],
                               n.r[e] / table.spacing - n.knot[e], slope);
      }
    }
    const Real factor = static_cast<Real>(1 / norm_[c]);
    for (int k = 0; k < p_.components * p_.width; ++k) a(c)[k] *= factor;
  }
}

template <class Real> void Block<Real>::normalise_back(int layer)
{
  const LayerParameters<Real> &parameters = p_.layers[layer];
  if (!parameters.density) return;
  for (int c = 0; c < count_; ++c) {
    double overlap = 0;
    const Real factor = static_cast<Real>(1 / norm_[c]);
    for (int k = 0; k < p_.components * p_.width; ++k) {
      overlap += static_cast<double>(a(c)[k]) * a_hat(c)[k];
      a_hat(c)[k] *= factor;
    }
    const double norm_hat = -overlap / norm_[c];
    Neighbourhood<Real> &n = around_[c];
    for (int j = 0; j < p_.types; ++j) {
      const RadialTable<Real> &table = parameters.table(type_[c], j, p_.types);
      for (int e = n.range[j]; e < n.range[j + 1]; ++e) {
        double slope;
        density_at(table.density, table.spacing, n.knot[e], n.r[e] / table.spacing - n.knot[e],
                   slope);
        n.rhat[e] += static_cast<Real>(norm_hat * slope);
      }
    }
  }
}

// Blocks without a shortcut mix the message once more, by the element of the centre.
template <class Real> void Block<Real>::mix(int layer, bool back)
{
  const LayerParameters<Real> &parameters = p_.layers[layer];
  Array<Real> &rows = back ? a_hat_ : a_;
  for (int c = 0; c < count_; ++c)
    for (int l = 0; l <= p_.l_max; ++l) {
      const std::size_t first = (static_cast<std::size_t>(c) * p_.components + l * l) * p_.width;
      for (int m = 0; m < 2 * l + 1; ++m) {
        from_.push_back(&rows[first + m * p_.width]);
        to_.push_back(&mixed_[first + m * p_.width]);
      }
      const int index = type_[c] * (p_.l_max + 1) + l;
      multiply(back ? parameters.skip_back[index] : parameters.skip[index], false);
    }
  rows.swap(mixed_);
}

// ---- product and what follows
// ------------------------------------------------------------------------

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
  const int width = p_.width;
  for (const ReadoutParameters<Real> &readout : p_.readouts) {
    if (readout.layer != layer) continue;
    for (int c = 0; c < count_; ++c) {
      const Real *in = out(c);
      Real *hat = out_hat(c);
      if (readout.hidden == 0) {
        Real energy = 0;
#pragma omp simd reduction(+ : energy)
        for (int k = 0; k < width; ++k) energy += in[k] * readout.weights[k];
        for (int k = 0; k < width; ++k) hat[k] += readout.weights[k];
        energies[c] += energy;
      }
      for (int h = 0; h < readout.hidden; ++h) {
        const Real *w = &readout.weights[static_cast<std::size_t>(h) * width];
        Real y = 0;
#pragma omp simd reduction(+ : y)
        for (int k = 0; k < width; ++k) y += in[k] * w[k];
        const double s = 1 / (1 + std::exp(-static_cast<double>(y)));
        const double factor = p_.activation * readout.output[h];
        energies[c] += factor * y * s;
        const Real slope = static_cast<Real>(factor * s * (1 + y * (1 - s)));
        for (int k = 0; k < width; ++k) hat[k] += slope * w[k];
      }
    }
  }
}

// ---- between the layers
// ------------------------------------------------------------------------------

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
