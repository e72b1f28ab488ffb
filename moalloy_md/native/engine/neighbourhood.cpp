#include "neighbourhood.h"

#include <algorithm>
#include <cmath>

namespace moalloy
{
namespace
{

constexpr int kBins = 128;                        // of types and distances
constexpr int kSlabRows = 3 + 1 + 1 + 1 + 1 + 3;  // and twice the harmonics

}  // namespace

template <class Real>
void Neighbourhood<Real>::find(const System &system, int centre, const Parameters<Real> &p,
                               const Kernels<Real> &kernels, NeighbourList &list)
{
  list.count = 0;
  if (system.type[centre] >= 0) system.neighbours->gather(centre, p.r_max, list);
  /* A counting sort by type, and within a type by distance: edges in a row then read the same
     coefficients of radial functions, which are still in the first cache. */
  const int shells = std::max(1, kBins / p.types);
  const double per_area = shells / (p.r_max * p.r_max);
  bin_.resize(std::max(bin_.size(), static_cast<std::size_t>(list.count)));
  next_.assign(static_cast<std::size_t>(shells) * p.types + 1, 0);
  for (int k = 0; k < list.count; ++k) {
    const double square = list.x[k] * list.x[k] + list.y[k] * list.y[k] + list.z[k] * list.z[k];
    const int shell = std::min(static_cast<int>(square * per_area), shells - 1);
    bin_[k] = system.type[list.node[k]] * shells + shell;
    ++next_[bin_[k] + 1];
  }
  for (std::size_t b = 1; b < next_.size(); ++b) next_[b] += next_[b - 1];
  range.resize(p.types + 1);
  for (int t = 0; t <= p.types; ++t) range[t] = next_[static_cast<std::size_t>(t) * shells];
  make_room(p);
  for (int k = 0; k < list.count; ++k) {
    const int e = next_[bin_[k]]++;
    node[e] = list.node[k];
    handle[e] = list.handle[k];
    x[e] = list.x[k];
    y[e] = list.y[k];
    z[e] = list.z[k];
  }
  measure(p, kernels);
}

template <class Real>
void Neighbourhood<Real>::find_again(const System &system, int centre, const Parameters<Real> &p,
                                     const Kernels<Real> &kernels,
                                     const KeptNeighbours::Found &found)
{
  range.assign(p.types + 1, 0);
  range[p.types] = found.count;
  make_room(p);
  system.neighbours->look_up(centre, found.handles, found.count, node.data(), x.data(), y.data(),
                             z.data());
  // they are in the order of their types
  int t = 0;
  for (int e = 0; e < count; ++e)
    while (t < system.type[node[e]]) range[++t] = e;
  while (t < p.types) range[++t] = count;
  measure(p, kernels);
}

// Of count = range[types] edges.
template <class Real> void Neighbourhood<Real>::make_room(const Parameters<Real> &p)
{
  count = range[p.types];
  // room for a whole vector after the last edge; an odd number of lines spreads over the cache
  constexpr int lane = kLanes<Real>;
  stride = padded<Real>(count) + lane;
  if (stride / lane % 2 == 0) stride += lane;
  const std::size_t size = stride;
  if (slab.size() < size * (kSlabRows + 2 * p.components)) {
    slab.resize(size * (kSlabRows + 2 * p.components));
    for (auto *v : {&node, &handle, &interval}) v->resize(size);
    for (auto *v : {&x, &y, &z, &r}) v->resize(size);
  }
  Real *row = slab.data();
  for (auto [pointer, rows] : {std::pair{&u, 3},
                               {&inverse_r, 1},
                               {&t, 1},
                               {&rate, 1},
                               {&harmonics, p.components},
                               {&yhat, p.components},
                               {&rhat, 1},
                               {&gradient, 3}}) {
    *pointer = row;
    row += rows * size;
  }
}

// Lengths, directions and harmonics, from x, y and z.
template <class Real>
void Neighbourhood<Real>::measure(const Parameters<Real> &p, const Kernels<Real> &kernels)
{
  kernels.measure(count, stride, x.data(), y.data(), z.data(), r.data(), inverse_r, u);
  for (int e = count; e < stride; ++e)
    inverse_r[e] = t[e] = rate[e] = u[e] = u[stride + e] = u[2 * stride + e] = 0;
  std::fill_n(rhat, stride, Real(0));
  kernels.harmonics(p.l_max, count, stride, u, harmonics);
}

template struct Neighbourhood<float>;
template struct Neighbourhood<double>;

}  // namespace moalloy
