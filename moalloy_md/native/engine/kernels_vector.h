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
template <class Real> inline Vec<Real> splat(Real x) { return Vec<Real>{} + x; }

template <int... I> struct Indices {};
template <int N, int... I> struct UpTo : UpTo<N - 1, N - 1, I...> {};
template <int... I> struct UpTo<0, I...> {
  using type = Indices<I...>;
};

// Adds lane k + Half to lane k, then a half of that: as many steps as the width has bits.
template <class Real, int Half, int... I> inline Vec<Real> fold(Vec<Real> v, Indices<I...> all)
{
  v += __builtin_shufflevector(v, v, ((I + Half) % kWidth<Real>)...);
  if constexpr (Half > 1)
    return fold<Real, Half / 2>(v, all);
  else
    return v;
}

template <class Real> inline Real sum(Vec<Real> v)
{
  return fold<Real, kWidth<Real> / 2>(v, typename UpTo<kWidth<Real>>::type{})[0];
}

}  // namespace
}  // namespace MOALLOY_KERNELS
}  // namespace moalloy

#endif
