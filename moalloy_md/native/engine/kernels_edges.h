// Geometry of edges, and splines at their lengths. Part of kernels_impl.h.
#ifndef MOALLOY_KERNELS_EDGES_H
#define MOALLOY_KERNELS_EDGES_H

#include "kernels_vector.h"

namespace moalloy
{
namespace MOALLOY_KERNELS
{
namespace
{

template <class Real>
void measure(int count, int stride, const double *__restrict x, const double *__restrict y,
             const double *__restrict z, double *__restrict r, Real *__restrict inverse_r,
             Real *__restrict u)
{
#pragma omp simd
  for (int e = 0; e < count; ++e) {
    const double length = __builtin_sqrt(x[e] * x[e] + y[e] * y[e] + z[e] * z[e]);
    const double inverse = 1 / length;  // two atoms on one place give NaN, which the caller reports
    r[e] = length;
    inverse_r[e] = static_cast<Real>(inverse);
    u[e] = static_cast<Real>(x[e] * inverse);
    u[stride + e] = static_cast<Real>(y[e] * inverse);
    u[2 * stride + e] = static_cast<Real>(z[e] * inverse);
  }
}

template <class Real>
void locate(const Sections &sections, int count, const double *__restrict r,
            int *__restrict interval, Real *__restrict t, Real *__restrict rate)
{
#pragma omp simd
  for (int e = 0; e < count; ++e) {
    const double x = r[e] * sections.inverse_length;
    const int section = static_cast<int>(x < Sections::kCount - 1 ? x : Sections::kCount - 1);
    const double intervals = sections.intervals[section];
    const double y = (x - section) * intervals;
    const int k = static_cast<int>(y < intervals - 1 ? y : intervals - 1);
    interval[e] = sections.first[section] + k;
    t[e] = static_cast<Real>(1 - (y - k));
    rate[e] = static_cast<Real>(-intervals * sections.inverse_length);
  }
}

template <class Real>
void strain(int count, int stride, const double *x, const double *y, const double *z,
            const Real *gradient, double *sum, double *strain)
{
  double gx = 0, gy = 0, gz = 0, xx = 0, xy = 0, xz = 0, yx = 0, yy = 0, yz = 0, zx = 0, zy = 0,
         zz = 0;
#pragma omp simd reduction(+ : gx, gy, gz, xx, xy, xz, yx, yy, yz, zx, zy, zz)
  for (int e = 0; e < count; ++e) {
    const double a = gradient[e], b = gradient[stride + e], c = gradient[2 * stride + e];
    gx += a;
    gy += b;
    gz += c;
    xx += x[e] * a;
    xy += x[e] * b;
    xz += x[e] * c;
    yx += y[e] * a;
    yy += y[e] * b;
    yz += y[e] * c;
    zx += z[e] * a;
    zy += z[e] * b;
    zz += z[e] * c;
  }
  const double sums[3] = {gx, gy, gz}, strains[9] = {xx, xy, xz, yx, yy, yz, zx, zy, zz};
  for (int k = 0; k < 3; ++k) sum[k] = sums[k];
  for (int k = 0; k < 9; ++k) strain[k] += strains[k];
}

// Coefficients of the harmonics of degree 1, 2 and 3: component normalisation, sum_m Y^2 = 2 l + 1.
constexpr double kSqrt3 = 1.7320508075688772, kSqrt5 = 2.2360679774997896;
constexpr double kSqrt15 = 3.872983346207417, kSqrt7 = 2.6457513110645907;
constexpr double kSqrt35by8 = 2.091650066335189, kSqrt105 = 10.246950765959598;
constexpr double kSqrt21by8 = 1.6201851746019651;

template <class Real> void harmonics(int l_max, int count, int stride, const Real *u, Real *out)
{
  for (int e = 0; e < count; e += kWidth<Real>) {
    const Vec<Real> x = load(u + e), y = load(u + stride + e), z = load(u + 2 * stride + e);
    Real *p = out + e;
    auto put = [&](Vec<Real> v) {
      store(p, v);
      p += stride;
    };
    put(splat(Real(1)));
    if (l_max < 1) continue;
    const Real a = Real(kSqrt3);
    put(a * x);
    put(a * y);
    put(a * z);
    if (l_max < 2) continue;
    const Vec<Real> xx = x * x, yy = y * y, zz = z * z;
    const Real b = Real(kSqrt15), c = Real(kSqrt5);
    put(b * x * z);
    put(b * x * y);
    put(c * (yy - Real(0.5) * (xx + zz)));
    put(b * y * z);
    put(Real(0.5) * b * (zz - xx));
    if (l_max < 3) continue;
    const Real d = Real(kSqrt35by8), f = Real(kSqrt105), g = Real(kSqrt21by8);
    const Vec<Real> q = Real(4) * yy - xx - zz;
    put(d * x * (Real(3) * zz - xx));
    put(f * x * y * z);
    put(g * x * q);
    put(Real(0.5 * kSqrt7) * y * (Real(2) * yy - Real(3) * (xx + zz)));
    put(g * z * q);
    put(Real(0.5) * f * y * (zz - xx));
    put(d * z * (zz - Real(3) * xx));
  }
}

template <class Real>
void gradients(int l_max, int count, int stride, const Real *u, const Real *inverse_r,
               const Real *yhat, const Real *rhat, Real *gradient)
{
  for (int e = 0; e < count; e += kWidth<Real>) {
    const Vec<Real> x = load(u + e), y = load(u + stride + e), z = load(u + 2 * stride + e);
    Vec<Real> gx{}, gy{}, gz{};
    auto hat = [&](int c) { return load(yhat + c * stride + e); };
    if (l_max >= 1) {
      const Real a = Real(kSqrt3);
      gx += a * hat(1);
      gy += a * hat(2);
      gz += a * hat(3);
    }
    if (l_max >= 2) {
      const Real b = Real(kSqrt15), c = Real(kSqrt5);
      const Vec<Real> h4 = b * hat(4), h5 = b * hat(5), h6 = c * hat(6), h7 = b * hat(7),
                      h8 = b * hat(8);
      gx += h4 * z + h5 * y - h6 * x - h8 * x;
      gy += h5 * x + Real(2) * h6 * y + h7 * z;
      gz += h4 * x - h6 * z + h7 * y + h8 * z;
    }
    if (l_max >= 3) {
      const Real d = Real(kSqrt35by8), f = Real(kSqrt105), g = Real(kSqrt21by8);
      const Vec<Real> xx = x * x, yy = y * y, zz = z * z, q = Real(4) * yy - xx - zz;
      const Vec<Real> h9 = d * hat(9), h10 = f * hat(10), h11 = g * hat(11),
                      h12 = Real(0.5 * kSqrt7) * hat(12), h13 = g * hat(13),
                      h14 = Real(0.5) * f * hat(14), h15 = d * hat(15);
      gx += h9 * Real(3) * (zz - xx) + h10 * y * z + h11 * (q - Real(2) * xx) -
            h12 * Real(6) * x * y - h13 * Real(2) * x * z - h14 * Real(2) * x * y -
            h15 * Real(6) * x * z;
      gy += h10 * x * z + h11 * Real(8) * x * y + h12 * (Real(6) * yy - Real(3) * (xx + zz)) +
            h13 * Real(8) * y * z + h14 * (zz - xx);
      gz += h9 * Real(6) * x * z + h10 * x * y - h11 * Real(2) * x * z - h12 * Real(6) * y * z +
            h13 * (q - Real(2) * zz) + h14 * Real(2) * y * z + h15 * Real(3) * (zz - xx);
    }
    const Vec<Real> inverse = load(inverse_r + e);
    const Vec<Real> along = load(rhat + e) - (x * gx + y * gy + z * gz) * inverse;
    store(gradient + e, along * x + inverse * gx);
    store(gradient + stride + e, along * y + inverse * gy);
    store(gradient + 2 * stride + e, along * z + inverse * gz);
  }
}

/* Radial functions of an edge: polynomials of degree 5 in t, by Horner's rule. The coefficients of
   a line of functions lie one after the other: all that an edge needs is read from one place that
   runs on. */
template <class Real> struct Radial {
  const Real *data;
  Vec<Real> t;
  Radial(const Edges<Real> &edges, int e, const Real *polynomials, int width)
      : data(polynomials + static_cast<long>(edges.interval[e]) * 6 * width), t(splat(edges.t[e]))
  {
  }
  // The coefficients of t^0 of channel k and on; the others follow, a line apart.
  const Real *coefficients(int k) const
  {
    const int lane = k % kLine<Real>;
    return data + 6 * (k - lane) + lane;
  }
  template <int N> void value(int k, Vec<Real> *values) const
  {
    MOALLOY_UNROLL
    for (int q = 5; q >= 0; --q) MOALLOY_UNROLL
    for (int v = 0; v < N; ++v) {
      const Vec<Real> c = load(coefficients(k + v * kWidth<Real>) + q * kLine<Real>);
      values[v] = q == 5 ? c : values[v] * t + c;
    }
  }
  template <int N> void both(int k, Vec<Real> *values, Vec<Real> *slopes) const
  {
    MOALLOY_UNROLL
    for (int q = 5; q >= 0; --q) MOALLOY_UNROLL
    for (int v = 0; v < N; ++v) {
      const Vec<Real> c = load(coefficients(k + v * kWidth<Real>) + q * kLine<Real>);
      if (q < 5) slopes[v] = q == 4 ? values[v] : slopes[v] * t + values[v];
      values[v] = q == 5 ? c : values[v] * t + c;
    }
  }
};

template <class Real>
void couple(const Coupling<Real> *list, int n, int count, int stride, const Real *y, Real *coupled)
{
  for (int k = 0; k < n; ++k) {
    const Real *in = y + list[k].harmonic * stride, value = list[k].value;
    Real *out = coupled + list[k].out * stride;
    const bool add = k > 0 && list[k - 1].out == list[k].out;
    for (int e = 0; e < count; e += kWidth<Real>)
      store(out + e, add ? load(out + e) + value * load(in + e) : value * load(in + e));
  }
}

template <class Real>
void couple_back(const Coupling<Real> *list, int n, int count, int stride, const Real *coupled_hat,
                 Real *yhat)
{
  for (int k = 0; k < n; ++k) {
    Real *out = yhat + list[k].harmonic * stride;
    const Real *in = coupled_hat + list[k].out * stride, value = list[k].value;
    for (int e = 0; e < count; e += kWidth<Real>)
      store(out + e, load(out + e) + value * load(in + e));
  }
}

}  // namespace
}  // namespace MOALLOY_KERNELS
}  // namespace moalloy

#endif
