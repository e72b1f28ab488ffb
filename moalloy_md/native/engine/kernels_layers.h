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
  for (int n = 0; n < n_basis; n += kWidth<Real>) {
    Vec<Real> total[Last - First];
    MOALLOY_UNROLL
    for (int c = First; c < Last; ++c) total[c - First] = load(sums + c * n_basis + n);
    for (int e = 0; e < edges.count; ++e) {
      const Vec<Real> f = load(phi + e * n_basis + n);
      MOALLOY_UNROLL
      for (int c = First; c < Last; ++c)
        total[c - First] += edges.harmonics[c * edges.stride + e] * f;
    }
    MOALLOY_UNROLL
    for (int c = First; c < Last; ++c) store(sums + c * n_basis + n, total[c - First]);
  }
}

template <class Real>
void project(const Edges<Real> &edges, const Real *rows, int n_basis, int components, Real *sums,
             Real *scratch)
{
  for (int e = 0; e < edges.count; ++e) {
    const Row<Real> row(edges, e, rows, n_basis);
    for (int n = 0; n < n_basis; n += kWidth<Real>) store(scratch + e * n_basis + n, row.value(n));
  }
  add_products<Real, 0, 1>(edges, n_basis, scratch, sums);
  if (components > 1) add_products<Real, 1, 4>(edges, n_basis, scratch, sums);
  if (components > 4) add_products<Real, 4, 9>(edges, n_basis, scratch, sums);
  if (components > 9) add_products<Real, 9, 16>(edges, n_basis, scratch, sums);
}

template <class Real, int First, int Last>
void products_back(const Edges<Real> &edges, int n_basis, const Real *g, const Real *phi,
                   const Real *slope, Real *yhat, Real *rhat)
{
  constexpr int N = Last - First;
  for (int e = 0; e < edges.count; ++e) {
    Vec<Real> total[N + 1] = {};  // the last one along the edge
    for (int n = 0; n < n_basis; n += kWidth<Real>) {
      const Vec<Real> f = load(phi + e * n_basis + n);
      Vec<Real> inner{};
      MOALLOY_UNROLL
      for (int c = 0; c < N; ++c) {
        const Vec<Real> factor = load(g + (First + c) * n_basis + n);
        total[c] += factor * f;
        inner += edges.harmonics[(First + c) * edges.stride + e] * factor;
      }
      total[N] += inner * load(slope + e * n_basis + n);
    }
    Real sum[N + 1 + kWidth<Real>];
    sums<Real, N + 1>(total, sum);
    MOALLOY_UNROLL
    for (int c = 0; c < N; ++c) yhat[(First + c) * edges.stride + e] = sum[c];
    rhat[e] += sum[N];
  }
}

template <class Real>
void project_back(const Edges<Real> &edges, const Real *rows, int n_basis, int components,
                  const Real *g, Real *scratch, Real *yhat, Real *rhat)
{
  Real *phi = scratch, *slope = scratch + static_cast<long>(n_basis) * edges.stride;
  for (int e = 0; e < edges.count; ++e) {
    const RowWithSlope<Real> row(edges, e, rows, n_basis);
    for (int n = 0; n < n_basis; n += kWidth<Real>) {
      Vec<Real> v, d;
      row.both(n, v, d);
      store(phi + e * n_basis + n, v);
      store(slope + e * n_basis + n, d);
    }
  }
  // as many components at a time as have room in registers
  if (components == 1) return products_back<Real, 0, 1>(edges, n_basis, g, phi, slope, yhat, rhat);
  if (components == 4) return products_back<Real, 0, 4>(edges, n_basis, g, phi, slope, yhat, rhat);
  products_back<Real, 0, 9>(edges, n_basis, g, phi, slope, yhat, rhat);
  if (components > 9) products_back<Real, 9, 16>(edges, n_basis, g, phi, slope, yhat, rhat);
}

// ---- paths of a later layer ----

// Edges done together, so that sums over edges are loaded and stored once for all of them.
constexpr int kTogether = 4;

template <class Real, int L1, int L3, int N>
inline void forward_some(const Edges<Real> &edges, int first, const Real *rows, int width,
                         const Real *const *sender, const Real *coupled, Real *message,
                         int message_stride)
{
  constexpr int n1 = 2 * L1 + 1, n3 = 2 * L3 + 1;
  const Real *data[N];
  MOALLOY_UNROLL
  for (int e = 0; e < N; ++e) data[e] = rows + static_cast<long>(edges.knot[first + e]) * 3 * width;
  for (int k = 0; k < width; k += kWidth<Real>) {
    Vec<Real> total[n3];
    MOALLOY_UNROLL
    for (int m3 = 0; m3 < n3; ++m3) total[m3] = load(message + m3 * message_stride + k);
    MOALLOY_UNROLL
    for (int e = 0; e < N; ++e) {
      const Real *w = edges.weight + first + e;
      Vec<Real> radial = w[0] * load(data[e] + k);
      MOALLOY_UNROLL
      for (int q = 1; q < 6; ++q) radial += w[q * edges.stride] * load(data[e] + q * width + k);
      const Real *u = sender[first + e] + k;
      const Real *c = coupled + first + e;
      MOALLOY_UNROLL
      for (int m1 = 0; m1 < n1; ++m1) {
        const Vec<Real> x = radial * load(u + m1 * width);
        MOALLOY_UNROLL
        for (int m3 = 0; m3 < n3; ++m3) total[m3] += c[(m1 * n3 + m3) * edges.stride] * x;
      }
    }
    MOALLOY_UNROLL
    for (int m3 = 0; m3 < n3; ++m3) store(message + m3 * message_stride + k, total[m3]);
  }
}

template <class Real, int L1, int L3>
void path_forward(const Edges<Real> &edges, const Real *rows, int width, const Real *const *sender,
                  const Real *coupled, Real *message, int message_stride)
{
  int e = 0;
  for (; e + kTogether <= edges.count; e += kTogether)
    forward_some<Real, L1, L3, kTogether>(edges, e, rows, width, sender, coupled, message,
                                          message_stride);
  for (; e < edges.count; ++e)
    forward_some<Real, L1, L3, 1>(edges, e, rows, width, sender, coupled, message, message_stride);
}

template <class Real, int L1, int L3>
void path_backward(const Edges<Real> &edges, const Real *rows, int width, const Real *const *sender,
                   Real *const *sender_hat, const Real *coupled, const Real *message_hat,
                   int message_stride, Real *coupled_hat, Real *rhat)
{
  constexpr int n1 = 2 * L1 + 1, n3 = 2 * L3 + 1;
  for (int e = 0; e < edges.count; ++e) {
    const RowWithSlope<Real> row(edges, e, rows, width);
    const Real *c = coupled + e;
    Vec<Real> total[n1 * n3 + 1] = {};  // the last one along the edge
    for (int k = 0; k < width; k += kWidth<Real>) {
      Vec<Real> radial, slope, mhat[n3];
      row.both(k, radial, slope);
      MOALLOY_UNROLL
      for (int m3 = 0; m3 < n3; ++m3) mhat[m3] = load(message_hat + m3 * message_stride + k);
      MOALLOY_UNROLL
      for (int m1 = 0; m1 < n1; ++m1) {
        const Vec<Real> u = load(sender[e] + m1 * width + k), x = radial * u;
        Vec<Real> q{};
        MOALLOY_UNROLL
        for (int m3 = 0; m3 < n3; ++m3) {
          q += c[(m1 * n3 + m3) * edges.stride] * mhat[m3];
          total[m1 * n3 + m3] += x * mhat[m3];
        }
        Real *uhat = sender_hat[e] + m1 * width + k;
        store(uhat, load(uhat) + radial * q);
        total[n1 * n3] += slope * u * q;
      }
    }
    Real sum[n1 * n3 + 1 + kWidth<Real>];
    sums<Real, n1 * n3 + 1>(total, sum);
    MOALLOY_UNROLL
    for (int m = 0; m < n1 * n3; ++m) coupled_hat[m * edges.stride + e] = sum[m];
    rhat[e] += sum[n1 * n3];
  }
}

}  // namespace
}  // namespace MOALLOY_KERNELS
}  // namespace moalloy

#endif
