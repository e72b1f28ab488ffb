// Vectors of the compiler, in the width of an instruction set. Part of kernels_impl.h.
#ifndef MOALLOY_KERNELS_VECTOR_H
#define MOALLOY_KERNELS_VECTOR_H

#include "kernels.h"

#if defined(__clang__)
#define MOALLOY_UNROLL _Pragma("clang loop unroll(full)")
#else
#define MOALLOY_UNROLL _Pragma("GCC unroll 32")
#endif

namespace moalloy
{
namespace MOALLOY_KERNELS
{
namespace
{

template <class Real> struct Simd;
template <> struct Simd<float> {
  typedef float V __attribute__((vector_size(MOALLOY_VECTOR_BYTES)));
  typedef float Unaligned __attribute__((vector_size(MOALLOY_VECTOR_BYTES), aligned(4)));
};
template <> struct Simd<double> {
  typedef double V __attribute__((vector_size(MOALLOY_VECTOR_BYTES)));
  typedef double Unaligned __attribute__((vector_size(MOALLOY_VECTOR_BYTES), aligned(8)));
};
template <class Real> using Vec = typename Simd<Real>::V;
template <class Real> constexpr int kWidth = MOALLOY_VECTOR_BYTES / sizeof(Real);
template <class Real> constexpr int kLine = 64 / sizeof(Real);
constexpr int kVectorsPerLine = 64 / MOALLOY_VECTOR_BYTES;

/* Vectors done together in sums over edges, at most a line. What all channels of an edge are
   multiplied by takes a load of its own, which two vectors share; 16 registers hold no more. */
#if MOALLOY_VECTOR_BYTES == 32
constexpr int kSpan = 2;
#else
constexpr int kSpan = 1;
#endif

template <class Real> inline Vec<Real> load(const Real *p)
{
  return *reinterpret_cast<const Vec<Real> *>(p);
}
template <class Real> inline void store(Real *p, Vec<Real> v)
{
  *reinterpret_cast<Vec<Real> *>(p) = v;
}
template <class Real> inline Vec<Real> load_unaligned(const Real *p)
{
  return *reinterpret_cast<const typename Simd<Real>::Unaligned *>(p);
}
template <class Real> inline void store_unaligned(Real *p, Vec<Real> v)
{
  *reinterpret_cast<typename Simd<Real>::Unaligned *>(p) = v;
}
template <class Real> inline Vec<Real> splat(Real x) { return x - Vec<Real>{}; }

template <int... I> struct Indices {};
template <int N, int... I> struct UpTo : UpTo<N - 1, N - 1, I...> {};
template <int... I> struct UpTo<0, I...> {
  using type = Indices<I...>;
};

#if MOALLOY_VECTOR_BYTES == 32
/* AVX2 moves numbers between the halves of a vector slowly: neighbours are added within the halves,
   and the halves at the end. */
constexpr int neighbour(int lane, int width, bool last)
{
  const int half = width / 2, in_half = lane % half;
  if (last) return lane < half ? in_half : width + in_half;
  const int quarter = half / 2;
  return (in_half < quarter ? 0 : width) + lane / half * half + 2 * (in_half % quarter);
}
constexpr int distance(int width, bool last) { return last ? width / 2 : 1; }
#else
constexpr int neighbour(int lane, int, bool) { return 2 * lane; }
constexpr int distance(int, bool) { return 1; }
#endif

// Sums of lanes of a, and of b, two by two: half as many of each.
template <class Real, bool Last, int... I>
inline Vec<Real> add_pairs(Vec<Real> a, Vec<Real> b, Indices<I...>)
{
  constexpr int width = kWidth<Real>;
  return __builtin_shufflevector(a, b, neighbour(I, width, Last)...) +
         __builtin_shufflevector(a, b, (neighbour(I, width, Last) + distance(width, Last))...);
}

/* out[k] = sum of the lanes of v[k], for N vectors together: in a tree, which takes half of the
   shuffles that N sums take one by one. `out` has room for a whole vector more; v is overwritten.
 */
template <class Real, int N, int Half = kWidth<Real> / 2> inline void sums(Vec<Real> *v, Real *out)
{
  constexpr int left = (N + 1) / 2;
  MOALLOY_UNROLL
  for (int k = 0; k < left; ++k)
    v[k] = add_pairs<Real, Half == 1>(v[2 * k], v[2 * k + 1 < N ? 2 * k + 1 : 2 * k],
                                      typename UpTo<kWidth<Real>>::type{});
  if constexpr (Half > 1) {
    sums<Real, left, Half / 2>(v, out);
  } else {
    MOALLOY_UNROLL
    for (int k = 0; k < left; ++k) store_unaligned(out + k * kWidth<Real>, v[k]);
  }
}

}  // namespace
}  // namespace MOALLOY_KERNELS
}  // namespace moalloy

#endif
