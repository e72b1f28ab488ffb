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

template <class Real, int Lines>
void rows_of_tiles(const Real *const *x, Real *const *y, int rows, int n_in, const Real *matrix,
                   int column, bool add)
{
  int r = 0;
  for (; r + kTileRows <= rows; r += kTileRows)
    tile<Real, kTileRows, Lines>(x + r, y + r, n_in, matrix, column, add);
  if constexpr (kTileRows > 3)
    for (; r + 3 <= rows; r += 3) tile<Real, 3, Lines>(x + r, y + r, n_in, matrix, column, add);
  for (; r < rows; ++r) tile<Real, 1, Lines>(x + r, y + r, n_in, matrix, column, add);
}

template <class Real>
void multiply(const Real *const *x, Real *const *y, int rows, int n_in, int lines_out,
              const Real *matrix, bool add)
{
  int line = 0;
  const int per_line = n_in * kLine<Real>;
  for (; line + kTileLines <= lines_out; line += kTileLines)
    rows_of_tiles<Real, kTileLines>(x, y, rows, n_in, matrix + line * per_line, line * kLine<Real>,
                                    add);
  if constexpr (kTileLines > 1)
    for (; line < lines_out; ++line)
      rows_of_tiles<Real, 1>(x, y, rows, n_in, matrix + line * per_line, line * kLine<Real>, add);
}

template <class Real>
void contract(const Polynomial &polynomial, const Real *coefficients, int atoms, int width,
              const Real *const *a, Real *const *out)
{
  for (int line = 0; line < width; line += kLine<Real>) {
    for (int atom = 0; atom < atoms; ++atom) {
      for (int v = line; v < line + kLine<Real>; v += kWidth<Real>) {
        const Real *c = coefficients + static_cast<long>(line) * polynomial.terms + (v - line);
        const Real *in = a[atom] + v;
        Vec<Real> total{};
        for (int s = 0; s < polynomial.singles; ++s, c += kLine<Real>)
          total += load(c) * load(in + polynomial.single[s] * width);
        const int *third = polynomial.third;
        for (int p = 0; p < polynomial.pairs; ++p) {
          const Polynomial::Pair pair = polynomial.pair[p];
          Vec<Real> inner = load(c);
          c += kLine<Real>;
          for (int t = 0; t < pair.triples; ++t, c += kLine<Real>)
            inner += load(c) * load(in + *third++ * width);
          total += inner * (load(in + pair.a * width) * load(in + pair.b * width));
        }
        store(out[atom] + v, total);
      }
    }
  }
}

template <class Real>
void contract_back(const Polynomial &polynomial, const Real *coefficients, int atoms, int width,
                   const Real *const *a, const Real *const *out_hat, Real *const *a_hat)
{
  for (int line = 0; line < width; line += kLine<Real>) {
    for (int atom = 0; atom < atoms; ++atom) {
      for (int v = line; v < line + kLine<Real>; v += kWidth<Real>) {
        const Real *c = coefficients + static_cast<long>(line) * polynomial.terms + (v - line);
        const Real *in = a[atom] + v;
        Real *hat = a_hat[atom] + v;
        const Vec<Real> hat_out = load(out_hat[atom] + v);
        auto add = [&](int component, Vec<Real> x) {
          Real *p = hat + component * width;
          store(p, load(p) + x);
        };
        for (int s = 0; s < polynomial.singles; ++s, c += kLine<Real>)
          add(polynomial.single[s], load(c) * hat_out);
        const int *third = polynomial.third;
        for (int p = 0; p < polynomial.pairs; ++p) {
          const Polynomial::Pair pair = polynomial.pair[p];
          const Vec<Real> first = load(in + pair.a * width), second = load(in + pair.b * width);
          const Vec<Real> outer = first * second * hat_out;
          Vec<Real> inner = load(c);
          c += kLine<Real>;
          for (int t = 0; t < pair.triples; ++t, c += kLine<Real>) {
            const Vec<Real> coefficient = load(c);
            inner += coefficient * load(in + *third * width);
            add(*third++, coefficient * outer);
          }
          inner *= hat_out;
          add(pair.a, inner * second);
          add(pair.b, inner * first);
        }
      }
    }
  }
}

}  // namespace
}  // namespace MOALLOY_KERNELS
}  // namespace moalloy

#endif
