// How an atom collects from its neighbours, and gives back to them.
#include "block.h"

#include <algorithm>

namespace moalloy
{
namespace
{

// The density of an edge, and its slope; the edges are located.
template <class Real>
double density_at(const RadialTable<Real> &table, const Neighbourhood<Real> &n, int e,
                  double &slope)
{
  constexpr int line = kLanes<double>;  // the function is the first of a line
  const double *c = &table.density[static_cast<std::size_t>(6) * line * n.interval[e]];
  const double t = n.t[e];
  double value = c[5 * line], derivative = 0;
  for (int q = 4; q >= 0; --q) {
    derivative = derivative * t + value;
    value = value * t + c[q * line];
  }
  slope = derivative * n.rate[e];
  return value;
}

}  // namespace

// Where in the tables of a layer the edges are.
template <class Real> void Block<Real>::locate(int layer)
{
  const LayerParameters<Real> &parameters = p_.layers[layer];
  for (int c = 0; c < count_; ++c) {
    Neighbourhood<Real> &n = around_[c];
    for (int j = 0; j < p_.types; ++j) {
      const Grid &grid = parameters.table(type_[c], j, p_.types).grid;
      const int first = n.range[j];
      kernels_.locate(grid.sections(), n.range[j + 1] - first, &n.r[first], &n.interval[first],
                      n.t + first, n.rate + first);
    }
  }
}

// ---- first layer ----

// todo(i, j, chosen, n): n centres of type i that have neighbours of type j.
template <class Real> template <class Do> void Block<Real>::for_each_pair_of_types(Do &&todo)
{
  for (int i = 0; i < p_.types; ++i)
    for (int j = 0; j < p_.types; ++j) {
      int chosen[kCentres], n = 0;
      for (int c = 0; c < count_; ++c)
        if (type_[c] == i && around_[c].range[j] < around_[c].range[j + 1]) chosen[n++] = c;
      if (n > 0) todo(i, j, chosen, n);
    }
}

/* The matrices between basis and A, of a pair of types: for all centres of the
   block together, because few rows do not fill the tiles of `multiply`. */
template <class Real>
void Block<Real>::multiply_sums(int i, int j, const int *chosen, int n, bool back)
{
  const LayerParameters<Real> &layer = p_.layers[0];
  for (int l = 0; l <= p_.l_max; ++l) {
    const int index = (i * p_.types + j) * (p_.l_max + 1) + l;
    for (int q = 0; q < n; ++q)
      for (int k = l * l; k < (l + 1) * (l + 1); ++k) {
        Real *sums_row = sums(chosen[q]) + k * layer.n_basis;
        from_.push_back(back ? a_hat(chosen[q]) + k * p_.width : sums_row);
        to_.push_back(back ? sums_row : a(chosen[q]) + k * p_.width);
      }
    multiply(back ? layer.project_back[index] : layer.project[index], !back);
  }
}

template <class Real> void Block<Real>::first_message()
{
  const LayerParameters<Real> &layer = p_.layers[0];
  locate(0);
  zero_a();
  for_each_pair_of_types([&](int i, int j, const int *chosen, int n) {
    for (int q = 0; q < n; ++q) {
      const Neighbourhood<Real> &around = around_[chosen[q]];
      scratch_.resize(
          std::max(scratch_.size(), static_cast<std::size_t>(2) * layer.n_basis * around.stride));
      kernels_.project(around.edges(around.range[j], around.range[j + 1]),
                       layer.table(i, j, p_.types).polynomials.data(), layer.n_basis, p_.components,
                       sums(chosen[q]), scratch_.data());
    }
    multiply_sums(i, j, chosen, n, false);
  });
  normalise(0);
}

template <class Real> void Block<Real>::first_message_kept()
{
  // on its way while there is something else to do
  const std::size_t end = static_cast<std::size_t>(count_) * p_.components * p_.width;
  for (std::size_t k = 0; k < end; k += kLanes<Real>) __builtin_prefetch(a(0) + k);
  locate(0);
  find_norms(0);
}

template <class Real> void Block<Real>::first_message_back(double *energies)
{
  const LayerParameters<Real> &layer = p_.layers[0];
  normalise_back(0);
  for_each_pair_of_types([&](int i, int j, const int *chosen, int n) {
    multiply_sums(i, j, chosen, n, true);
    for (int q = 0; q < n; ++q) {
      Neighbourhood<Real> &around = around_[chosen[q]];
      const int first = around.range[j];
      kernels_.project_back(around.edges(first, around.range[j + 1]),
                            layer.table(i, j, p_.types).polynomials.data(), layer.n_basis,
                            p_.components, sums(chosen[q]), scratch_.data(), around.yhat + first,
                            around.rhat + first);
    }
  });
  for (int c = 0; c < count_; ++c) {
    Neighbourhood<Real> &n = around_[c];
    for (int j = 0; j < p_.types; ++j) {
      const double reach = zbl_.cutoff(type_[c], j);
      for (int e = n.range[j]; e < n.range[j + 1]; ++e) {
        if (n.r[e] >= reach) continue;
        double slope = 0;
        energies[c] += zbl_.energy(type_[c], j, n.r[e], slope);
        n.rhat[e] += static_cast<Real>(slope);
      }
    }
    kernels_.gradients(p_.l_max, n.count, n.stride, n.u, n.inverse_r, n.yhat, n.rhat, n.gradient);
  }
}

// ---- later layers ----

template <class Real> void Block<Real>::later_message(const Real *features)
{
  const LayerParameters<Real> &layer = p_.layers[1];
  const std::size_t size = static_cast<std::size_t>((layer.l_in + 1) * (layer.l_in + 1)) * p_.width;
  locate(1);
  zero(message_);
  zero_a();
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
        const std::size_t group =
            static_cast<std::size_t>(6) * table.grid.all_intervals() * p_.width;
        kernels_.path_forward[path.l1][path.l3](
            n.edges(first, end), table.polynomials.data() + q * group, p_.width,
            sender_.data() + first, coupled + first, message(path.first_row) + c * p_.width,
            kCentres * p_.width);
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
        const std::size_t group =
            static_cast<std::size_t>(6) * table.grid.all_intervals() * p_.width;
        kernels_.path_backward[path.l1][path.l3](
            n.edges(first, end), table.polynomials.data() + q * group, p_.width,
            sender_.data() + first, sender_hat_.data() + first, coupled_.data() + first,
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

// ---- normalisation and mixing of the message ----

template <class Real> void Block<Real>::find_norms(int layer)
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
        norm_[c] += density_at(table, n, e, slope);
      }
    }
  }
}

template <class Real> void Block<Real>::normalise(int layer)
{
  if (!p_.layers[layer].density) return;
  find_norms(layer);
  for (int c = 0; c < count_; ++c) {
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
        density_at(table, n, e, slope);
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

template void Block<float>::first_message();
template void Block<float>::first_message_kept();
template void Block<float>::first_message_back(double *);
template void Block<float>::later_message(const float *);
template void Block<float>::later_message_back(const float *, const std::vector<float *> &);
template void Block<double>::first_message();
template void Block<double>::first_message_kept();
template void Block<double>::first_message_back(double *);
template void Block<double>::later_message(const double *);
template void Block<double>::later_message_back(const double *, const std::vector<double *> &);

}  // namespace moalloy
