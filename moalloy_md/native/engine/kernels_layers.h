// Sums over the edges of an atom. Part of kernels_impl.h.
#ifndef MOALLOY_KERNELS_LAYERS_H
#define MOALLOY_KERNELS_LAYERS_H

#include "kernels_edges.h"

namespace moalloy
{
namespace MOALLOY_KERNELS
{
namespace
{

// ---- first layer ----

template <class Real, int First, int Last>
void add_products(const Edges<Real> &edges, int n_basis, const Real *phi, Real *sums)
{
  constexpr int N = Last - First, step = kSpan * kWidth<Real>;
  for (int n = 0; n < n_basis; n += step) {
    Vec<Real> total[N][kSpan] = {};
    for (int e = 0; e < edges.count; ++e) {
      Vec<Real> f[kSpan];
      MOALLOY_UNROLL
      for (int v = 0; v < kSpan; ++v) f[v] = load(phi + e * n_basis + n + v * kWidth<Real>);
      MOALLOY_UNROLL
      for (int c = 0; c < N; ++c) {
        const Vec<Real> y = splat(edges.harmonics[(First + c) * edges.stride + e]);
        MOALLOY_UNROLL
        for (int v = 0; v < kSpan; ++v) total[c][v] += y * f[v];
      }
    }
    MOALLOY_UNROLL
    for (int c = 0; c < N; ++c) MOALLOY_UNROLL
    for (int v = 0; v < kSpan; ++v)
      store(sums + (First + c) * n_basis + n + v * kWidth<Real>, total[c][v]);
  }
}

template <class Real>
void project(const Edges<Real> &edges, const Real *polynomials, int n_basis, int components,
             Real *sums, Real *scratch)
{
  for (int e = 0; e < edges.count; ++e) {
    const Radial<Real> radial(edges, e, polynomials, n_basis);
    for (int n = 0; n < n_basis; n += kSpan * kWidth<Real>) {
      Vec<Real> value[kSpan];
      radial.template value<kSpan>(n, value);
      MOALLOY_UNROLL
      for (int v = 0; v < kSpan; ++v) store(scratch + e * n_basis + n + v * kWidth<Real>, value[v]);
    }
  }
  // as many components at a time as have room in registers
  if (components == 1) return add_products<Real, 0, 1>(edges, n_basis, scratch, sums);
  add_products<Real, 0, 4>(edges, n_basis, scratch, sums);
  if (components > 4) add_products<Real, 4, 9>(edges, n_basis, scratch, sums);
  if (components > 9) add_products<Real, 9, 13>(edges, n_basis, scratch, sums);
  if (components > 9) add_products<Real, 13, 16>(edges, n_basis, scratch, sums);
}

template <class Real, int First, int Last>
void products_back(const Edges<Real> &edges, int n_basis, const Real *g, const Real *phi,
                   const Real *slope, Real *yhat, Real *rhat)
{
  constexpr int N = Last - First;
  for (int e = 0; e < edges.count; ++e) {
    Vec<Real> total[N + 1] = {};  // the last one along the edge
    for (int n = 0; n < n_basis; n += kSpan * kWidth<Real>) {
      Vec<Real> inner[kSpan] = {};
      MOALLOY_UNROLL
      for (int c = 0; c < N; ++c) {
        const Vec<Real> y = splat(edges.harmonics[(First + c) * edges.stride + e]);
        MOALLOY_UNROLL
        for (int v = 0; v < kSpan; ++v) {
          const Vec<Real> factor = load(g + (First + c) * n_basis + n + v * kWidth<Real>);
          total[c] += factor * load(phi + e * n_basis + n + v * kWidth<Real>);
          inner[v] += y * factor;
        }
      }
      MOALLOY_UNROLL
      for (int v = 0; v < kSpan; ++v)
        total[N] += inner[v] * load(slope + e * n_basis + n + v * kWidth<Real>);
    }
    Real sum[N + 1 + kWidth<Real>];
    sums<Real, N + 1>(total, sum);
    MOALLOY_UNROLL
    for (int c = 0; c < N; ++c) yhat[(First + c) * edges.stride + e] = sum[c];
    rhat[e] += edges.rate[e] * sum[N];
  }
}

template <class Real>
void project_back(const Edges<Real> &edges, const Real *polynomials, int n_basis, int components,
                  const Real *g, Real *scratch, Real *yhat, Real *rhat)
{
  Real *phi = scratch, *slope = scratch + static_cast<long>(n_basis) * edges.stride;
  for (int e = 0; e < edges.count; ++e) {
    const Radial<Real> radial(edges, e, polynomials, n_basis);
    for (int n = 0; n < n_basis; n += kSpan * kWidth<Real>) {
      Vec<Real> value[kSpan], derivative[kSpan];
      radial.template both<kSpan>(n, value, derivative);
      MOALLOY_UNROLL
      for (int v = 0; v < kSpan; ++v) {
        store(phi + e * n_basis + n + v * kWidth<Real>, value[v]);
        store(slope + e * n_basis + n + v * kWidth<Real>, derivative[v]);
      }
    }
  }
  // as many components at a time as have room in registers
  if (components == 1) return products_back<Real, 0, 1>(edges, n_basis, g, phi, slope, yhat, rhat);
  if (components == 4) return products_back<Real, 0, 4>(edges, n_basis, g, phi, slope, yhat, rhat);
  if constexpr (kSpan == 1) {
    products_back<Real, 0, 9>(edges, n_basis, g, phi, slope, yhat, rhat);
    if (components > 9) products_back<Real, 9, 16>(edges, n_basis, g, phi, slope, yhat, rhat);
  } else {
    products_back<Real, 0, 5>(edges, n_basis, g, phi, slope, yhat, rhat);
    products_back<Real, 5, 9>(edges, n_basis, g, phi, slope, yhat, rhat);
    if (components > 9) products_back<Real, 9, 13>(edges, n_basis, g, phi, slope, yhat, rhat);
    if (components > 9) products_back<Real, 13, 16>(edges, n_basis, g, phi, slope, yhat, rhat);
  }
}

// ---- paths of a later layer ----

// Edges done together, so that sums over edges are loaded and stored once for all of them.
constexpr int kTogether = 4;

template <class Real, int L1, int L3, int N>
inline void forward_some(const Edges<Real> &edges, int first, const Real *polynomials, int width,
                         const Real *const *sender, const Real *coupled, Real *message,
                         int message_stride)
{
  constexpr int n1 = 2 * L1 + 1, n3 = 2 * L3 + 1;
  for (int k = 0; k < width; k += kSpan * kWidth<Real>) {
    Vec<Real> total[n3][kSpan];
    MOALLOY_UNROLL
    for (int m3 = 0; m3 < n3; ++m3) MOALLOY_UNROLL
    for (int v = 0; v < kSpan; ++v)
      total[m3][v] = load(message + m3 * message_stride + k + v * kWidth<Real>);
    MOALLOY_UNROLL
    for (int e = 0; e < N; ++e) {
      Vec<Real> radial[kSpan];
      Radial<Real>(edges, first + e, polynomials, width).template value<kSpan>(k, radial);
      const Real *u = sender[first + e] + k;
      const Real *c = coupled + first + e;
      MOALLOY_UNROLL
      for (int m1 = 0; m1 < n1; ++m1) {
        Vec<Real> x[kSpan];
        MOALLOY_UNROLL
        for (int v = 0; v < kSpan; ++v) x[v] = radial[v] * load(u + m1 * width + v * kWidth<Real>);
        MOALLOY_UNROLL
        for (int m3 = 0; m3 < n3; ++m3) {
          const Vec<Real> factor = splat(c[(m1 * n3 + m3) * edges.stride]);
          MOALLOY_UNROLL
          for (int v = 0; v < kSpan; ++v) total[m3][v] += factor * x[v];
        }
      }
    }
    MOALLOY_UNROLL
    for (int m3 = 0; m3 < n3; ++m3) MOALLOY_UNROLL
    for (int v = 0; v < kSpan; ++v)
      store(message + m3 * message_stride + k + v * kWidth<Real>, total[m3][v]);
  }
}

template <class Real, int L1, int L3>
void path_forward(const Edges<Real> &edges, const Real *polynomials, int width,
                  const Real *const *sender, const Real *coupled, Real *message, int message_stride)
{
  int e = 0;
  for (; e + kTogether <= edges.count; e += kTogether)
    forward_some<Real, L1, L3, kTogether>(edges, e, polynomials, width, sender, coupled, message,
                                          message_stride);
  for (; e < edges.count; ++e)
    forward_some<Real, L1, L3, 1>(edges, e, polynomials, width, sender, coupled, message,
                                  message_stride);
}

template <class Real, int L1, int L3>
void path_backward(const Edges<Real> &edges, const Real *polynomials, int width,
                   const Real *const *sender, Real *const *sender_hat, const Real *coupled,
                   const Real *message_hat, int message_stride, Real *coupled_hat, Real *rhat)
{
  constexpr int n1 = 2 * L1 + 1, n3 = 2 * L3 + 1;
  for (int e = 0; e < edges.count; ++e) {
    const Radial<Real> functions(edges, e, polynomials, width);
    const Real *c = coupled + e;
    Vec<Real> total[n1 * n3 + 1] = {};  // the last one along the edge
    for (int k = 0; k < width; k += kSpan * kWidth<Real>) {
      Vec<Real> radial[kSpan], slope[kSpan];
      functions.template both<kSpan>(k, radial, slope);
      MOALLOY_UNROLL
      for (int m1 = 0; m1 < n1; ++m1) {
        const Real *in = sender[e] + m1 * width + k;
        Real *uhat = sender_hat[e] + m1 * width + k;
        Vec<Real> x[kSpan], q[kSpan] = {};
        MOALLOY_UNROLL
        for (int v = 0; v < kSpan; ++v) x[v] = radial[v] * load(in + v * kWidth<Real>);
        MOALLOY_UNROLL
        for (int m3 = 0; m3 < n3; ++m3) {
          const Vec<Real> factor = splat(c[(m1 * n3 + m3) * edges.stride]);
          MOALLOY_UNROLL
          for (int v = 0; v < kSpan; ++v) {
            const Vec<Real> mhat = load(message_hat + m3 * message_stride + k + v * kWidth<Real>);
            q[v] += factor * mhat;
            total[m1 * n3 + m3] += x[v] * mhat;
          }
        }
        MOALLOY_UNROLL
        for (int v = 0; v < kSpan; ++v) {
          Real *out = uhat + v * kWidth<Real>;
          store(out, load(out) + radial[v] * q[v]);
          total[n1 * n3] += slope[v] * load(in + v * kWidth<Real>) * q[v];
        }
      }
    }
    Real sum[n1 * n3 + 1 + kWidth<Real>];
    sums<Real, n1 * n3 + 1>(total, sum);
    MOALLOY_UNROLL
    for (int m = 0; m < n1 * n3; ++m) coupled_hat[m * edges.stride + e] = sum[m];
    rhat[e] += edges.rate[e] * sum[n1 * n3];
  }
}

}  // namespace
}  // namespace MOALLOY_KERNELS
}  // namespace moalloy

#endif
