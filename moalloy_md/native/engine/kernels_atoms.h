// What is done for an atom alone: matrix products and the symmetric contraction. Part of
// kernels_impl.h.
#ifndef MOALLOY_KERNELS_ATOMS_H
#define MOALLOY_KERNELS_ATOMS_H

#include "kernels_vector.h"

namespace moalloy
{
namespace MOALLOY_KERNELS
{
namespace
{

// Rows and lines of a tile such that its sums stay in registers: 32 of 64 bytes, 16 otherwise.
#if MOALLOY_VECTOR_BYTES == 64
constexpr int kTileRows = 6, kTileLines = 4;
#elif MOALLOY_VECTOR_BYTES == 32
constexpr int kTileRows = 6, kTileLines = 1;
#else
constexpr int kTileRows = 3, kTileLines = 1;
#endif

template <class Real, int Rows, int Lines>
inline void tile(const Real *const *x, Real *const *y, int n_in, const Real *matrix, int column,
                 bool add)
{
  constexpr int n = Lines * kVectorsPerLine;
  Vec<Real> total[Rows][n];
  MOALLOY_UNROLL
  for (int r = 0; r < Rows; ++r) MOALLOY_UNROLL
  for (int v = 0; v < n; ++v)
    total[r][v] = add ? load(y[r] + column + v * kWidth<Real>) : Vec<Real>{};
  const Real *in[Rows];
  MOALLOY_UNROLL
  for (int r = 0; r < Rows; ++r) in[r] = x[r];
  for (int k = 0; k < n_in; ++k) {
    Vec<Real> w[n];
    MOALLOY_UNROLL
    for (int v = 0; v < n; ++v)
      w[v] = load(matrix + (v / kVectorsPerLine) * n_in * kLine<Real> + k * kLine<Real> +
                  (v % kVectorsPerLine) * kWidth<Real>);
    MOALLOY_UNROLL
    for (int r = 0; r < Rows; ++r) {
      const Real factor = in[r][k];
      MOALLOY_UNROLL
      for (int v = 0; v < n; ++v) total[r][v] += factor * w[v];
    }
  }
  MOALLOY_UNROLL
  for (int r = 0; r < Rows; ++r) MOALLOY_UNROLL
  for (int v = 0; v < n; ++v) store(y[r] + column + v * kWidth<Real>, total[r][v]);
}

// A tile of the 1 to Rows rows that are left.
template <class Real, int Rows, int Lines>
inline void last_tile(const Real *const *x, Real *const *y, int rows, int n_in, const Real *matrix,
                      int column, bool add)
{
  if (rows == Rows)
    tile<Real, Rows, Lines>(x, y, n_in, matrix, column, add);
  else if constexpr (Rows > 1)
    last_tile<Real, Rows - 1, Lines>(x, y, rows, n_in, matrix, column, add);
}

template <class Real, int Lines>
void rows_of_tiles(const Real *const *x, Real *const *y, int rows, int n_in, const Real *matrix,
                   int column, bool add)
{
  int r = 0;
  for (; r + kTileRows <= rows; r += kTileRows)
    tile<Real, kTileRows, Lines>(x + r, y + r, n_in, matrix, column, add);
  if (r < rows)
    last_tile<Real, kTileRows - 1, Lines>(x + r, y + r, rows - r, n_in, matrix, column, add);
}

// All columns, in tiles of Lines lines and at the end one of those that are left.
template <class Real, int Lines>
void columns_of_tiles(const Real *const *x, Real *const *y, int rows, int n_in, int line,
                      int lines_out, const Real *matrix, bool add)
{
  for (; line + Lines <= lines_out; line += Lines)
    rows_of_tiles<Real, Lines>(x, y, rows, n_in, matrix + line * n_in * kLine<Real>,
                               line * kLine<Real>, add);
  if constexpr (Lines > 1)
    if (line < lines_out)
      columns_of_tiles<Real, Lines - 1>(x, y, rows, n_in, line, lines_out, matrix, add);
}

template <class Real>
void multiply(const Real *const *x, Real *const *y, int rows, int n_in, int lines_out,
              const Real *matrix, bool add)
{
  columns_of_tiles<Real, kTileLines>(x, y, rows, n_in, 0, lines_out, matrix, add);
}

// ---- symmetric contraction: a vector of channels of N atoms, which share coefficients ----

template <class Real, int N>
inline void contract_some(const Polynomial &polynomial, const Real *c, int width, int channel,
                          const Real *const *a, Real *const *out)
{
  const Real *in[N];
  Vec<Real> total[N] = {};
  MOALLOY_UNROLL
  for (int q = 0; q < N; ++q) in[q] = a[q] + channel;
  for (int s = 0; s < polynomial.singles; ++s, c += kLine<Real>) MOALLOY_UNROLL
  for (int q = 0; q < N; ++q) total[q] += load(c) * load(in[q] + polynomial.single[s] * width);
  const int *third = polynomial.third;
  for (int p = 0; p < polynomial.pairs; ++p) {
    const Polynomial::Pair pair = polynomial.pair[p];
    Vec<Real> inner[N];
    MOALLOY_UNROLL
    for (int q = 0; q < N; ++q) inner[q] = load(c);
    c += kLine<Real>;
    for (int t = 0; t < pair.triples; ++t, c += kLine<Real>, ++third) {
      const Vec<Real> coefficient = load(c);
      MOALLOY_UNROLL
      for (int q = 0; q < N; ++q) inner[q] += coefficient * load(in[q] + *third * width);
    }
    MOALLOY_UNROLL
    for (int q = 0; q < N; ++q)
      total[q] += inner[q] * (load(in[q] + pair.a * width) * load(in[q] + pair.b * width));
  }
  MOALLOY_UNROLL
  for (int q = 0; q < N; ++q) store(out[q] + channel, total[q]);
}

template <class Real, int N>
inline void contract_back_some(const Polynomial &polynomial, const Real *c, int width, int channel,
                               const Real *const *a, const Real *const *out_hat, Real *const *a_hat)
{
  const Real *in[N];
  Real *hat[N];
  Vec<Real> hat_out[N];
  MOALLOY_UNROLL
  for (int q = 0; q < N; ++q) {
    in[q] = a[q] + channel;
    hat[q] = a_hat[q] + channel;
    hat_out[q] = load(out_hat[q] + channel);
  }
  auto add = [&](int q, int component, Vec<Real> x) {
    Real *p = hat[q] + component * width;
    store(p, load(p) + x);
  };
  for (int s = 0; s < polynomial.singles; ++s, c += kLine<Real>) MOALLOY_UNROLL
  for (int q = 0; q < N; ++q) add(q, polynomial.single[s], load(c) * hat_out[q]);
  const int *third = polynomial.third;
  for (int p = 0; p < polynomial.pairs; ++p) {
    const Polynomial::Pair pair = polynomial.pair[p];
    Vec<Real> first[N], second[N], outer[N], inner[N];
    MOALLOY_UNROLL
    for (int q = 0; q < N; ++q) {
      first[q] = load(in[q] + pair.a * width);
      second[q] = load(in[q] + pair.b * width);
      outer[q] = first[q] * second[q] * hat_out[q];
      inner[q] = load(c);
    }
    c += kLine<Real>;
    for (int t = 0; t < pair.triples; ++t, c += kLine<Real>, ++third) {
      const Vec<Real> coefficient = load(c);
      MOALLOY_UNROLL
      for (int q = 0; q < N; ++q) {
        inner[q] += coefficient * load(in[q] + *third * width);
        add(q, *third, coefficient * outer[q]);
      }
    }
    MOALLOY_UNROLL
    for (int q = 0; q < N; ++q) {
      inner[q] *= hat_out[q];
      add(q, pair.a, inner[q] * second[q]);
      add(q, pair.b, inner[q] * first[q]);
    }
  }
}

template <class Real>
void contract(const Polynomial &polynomial, const Real *coefficients, int atoms, int width,
              const Real *const *a, Real *const *out)
{
  for (int v = 0; v < width; v += kWidth<Real>) {
    const int lane = v % kLine<Real>;
    const Real *c = coefficients + static_cast<long>(v - lane) * polynomial.terms + lane;
    int atom = 0;
    for (; atom + 2 <= atoms; atom += 2)
      contract_some<Real, 2>(polynomial, c, width, v, a + atom, out + atom);
    if (atom < atoms) contract_some<Real, 1>(polynomial, c, width, v, a + atom, out + atom);
  }
}

template <class Real>
void contract_back(const Polynomial &polynomial, const Real *coefficients, int atoms, int width,
                   const Real *const *a, const Real *const *out_hat, Real *const *a_hat)
{
  for (int v = 0; v < width; v += kWidth<Real>) {
    const int lane = v % kLine<Real>;
    const Real *c = coefficients + static_cast<long>(v - lane) * polynomial.terms + lane;
    int atom = 0;
    for (; atom + 2 <= atoms; atom += 2)
      contract_back_some<Real, 2>(polynomial, c, width, v, a + atom, out_hat + atom, a_hat + atom);
    if (atom < atoms)
      contract_back_some<Real, 1>(polynomial, c, width, v, a + atom, out_hat + atom, a_hat + atom);
  }
}

}  // namespace
}  // namespace MOALLOY_KERNELS
}  // namespace moalloy

#endif
