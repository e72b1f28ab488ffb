// The edges of one atom, laid out for the kernels.
#ifndef MOALLOY_NEIGHBOURHOOD_H
#define MOALLOY_NEIGHBOURHOOD_H

#include "aligned.h"
#include "kernels.h"
#include "neighbours.h"
#include "parameters.h"

#include <span>
#include <vector>

namespace moalloy
{

// The edges of one centre, ordered by the type of the neighbour and then roughly by length.
template <class Real> struct Neighbourhood {
  int count = 0, stride = 0;
  std::vector<int> node, handle;
  std::vector<int> range;       // (types + 1): where the neighbours of each type begin
  std::vector<double> x, y, z;  // from the neighbour to the centre, Angstrom
  std::vector<double> r;
  std::vector<int> interval;
  Array<Real> slab;
  Real *u, *inverse_r, *t, *rate, *harmonics;  // in the slab
  Real *yhat, *rhat, *gradient;

  // The neighbours within the cutoff; `list` is room to work in.
  void find(const System &system, int centre, const Parameters<Real> &p,
            const Kernels<Real> &kernels, NeighbourList &list);
  // Those that were found before, in the same order.
  void find_again(const System &system, int centre, const Parameters<Real> &p,
                  const Kernels<Real> &kernels, const KeptNeighbours::Found &found);

  std::size_t memory() const  // bytes
  {
    std::size_t bytes = slab.capacity() * sizeof(Real);
    for (const auto *numbers : {&node, &handle, &range, &interval, &bin_, &next_})
      bytes += numbers->capacity() * sizeof(int);
    for (const auto *numbers : {&x, &y, &z, &r}) bytes += numbers->capacity() * sizeof(double);
    return bytes;
  }

  std::span<const int> nodes() const { return {node.data(), static_cast<std::size_t>(count)}; }
  Edges<Real> edges(int first, int end) const
  {
    return {end - first, stride,       interval.data() + first,
            t + first,   rate + first, harmonics + first};
  }

 private:
  void make_room(const Parameters<Real> &p);
  void measure(const Parameters<Real> &p, const Kernels<Real> &kernels);

  std::vector<int> bin_, next_;
};

}  // namespace moalloy

#endif
