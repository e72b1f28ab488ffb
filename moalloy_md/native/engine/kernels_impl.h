/* The kernels, for one instruction set: each file that includes this is compiled with its own
   options and defines MOALLOY_KERNELS (the name of its namespace) and MOALLOY_VECTOR_BYTES.

   Nothing of the standard library may be used here: a template of it, compiled with AVX-512 in one
   of these files, could be the copy that the linker keeps for all. */
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

template <class Real> inline Real sum(Vec<Real> v)
{
  Real total = 0;
  MOALLOY_UNROLL
  for (int k = 0; k < kWidth<Real>; ++k) total += v[k];
  return total;
}

// ---- geometry ---------------------------------------------------------------------------------

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

template <class Real>
void weights(int count, int stride, const Real *at, Real inverse_spacing, Real *weight,
             Real *weight_slope)
{
  for (int e = 0; e < count; e += kWidth<Real>) {
    const Vec<Real> t = load(at + e), s = Real(1) - t, tt = t * t, ss = s * s;
    // t^3 (10 - 15 t + 6 t^2) and its mirror image, and so on: small numbers stay exact
    const Vec<Real> ts = t * s, slope = Real(30) * ts * ts;
    auto put = [&](int row, Vec<Real> value, Vec<Real> derivative) {
      store(weight + row * stride + e, value);
      store(weight_slope + row * stride + e, inverse_spacing * derivative);
    };
    put(0, ss * s * (Real(1) + Real(3) * t + Real(6) * tt), -slope);
    put(1, t * ss * s * (Real(1) + Real(3) * t), ss * (Real(1) + t * (Real(2) - Real(15) * t)));
    put(2, Real(0.5) * tt * ss * s, Real(0.5) * ts * s * (Real(2) - Real(5) * t));
    put(3, tt * t * (Real(1) + Real(3) * s + Real(6) * ss), slope);
    put(4, -s * tt * t * (Real(1) + Real(3) * s), tt * (Real(1) + s * (Real(2) - Real(15) * s)));
    put(5, Real(0.5) * ss * tt * t, -Real(0.5) * ts * t * (Real(2) - Real(5) * s));
  }
}

// ---- matrices ---------------------------------------------------------------------------------

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

// ---- first layer --------------------------------------------------------------------------------

template <class Real> struct Row {
  const Real *data;
  Real w[6];
  int width;
  Row(const Edges<Real> &edges, int e, const Real *rows, int width)
      : data(rows + static_cast<long>(edges.knot[e]) * 3 * width), width(width)
  {
    MOALLOY_UNROLL
    for (int q = 0; q < 6; ++q) w[q] = edges.weight[q * edges.stride + e];
  }
  Vec<Real> value(int k) const
  {
    Vec<Real> v = w[0] * load(data + k);
    MOALLOY_UNROLL
    for (int q = 1; q < 6; ++q) v += w[q] * load(data + q * width + k);
    return v;
  }
};

template <class Real> struct RowWithSlope : Row<Real> {
  Real s[6];
  RowWithSlope(const Edges<Real> &edges, int e, const Real *rows, int width)
      : Row<Real>(edges, e, rows, width)
  {
    MOALLOY_UNROLL
    for (int q = 0; q < 6; ++q) s[q] = edges.weight_slope[q * edges.stride + e];
  }
  void both(int k, Vec<Real> &value, Vec<Real> &slope) const
  {
    const Vec<Real> first = load(this->data + k);
    value = this->w[0] * first;
    slope = s[0] * first;
    MOALLOY_UNROLL
    for (int q = 1; q < 6; ++q) {
      const Vec<Real> row = load(this->data + q * this->width + k);
      value += this->w[q] * row;
      slope += s[q] * row;
    }
  }
};

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
void subtract_products(const Edges<Real> &edges, int n_basis, const Real *g, const Real *phi,
                       const Real *slope, Real *yhat, Real *rhat)
{
  const int stride = edges.stride;
  for (int e = 0; e < edges.count; e += kWidth<Real>) {
    Vec<Real> total[Last - First], y[Last - First], along = load_unaligned(rhat + e);
    MOALLOY_UNROLL
    for (int c = First; c < Last; ++c) {
      total[c - First] = Vec<Real>{};
      y[c - First] = load_unaligned(edges.harmonics + c * stride + e);
    }
    for (int n = 0; n < n_basis; ++n) {
      const Vec<Real> f = load_unaligned(phi + n * stride + e);
      Vec<Real> inner{};
      MOALLOY_UNROLL
      for (int c = First; c < Last; ++c) {
        const Real factor = g[c * n_basis + n];
        total[c - First] += factor * f;
        inner += factor * y[c - First];
      }
      along += inner * load_unaligned(slope + n * stride + e);
    }
    MOALLOY_UNROLL
    for (int c = First; c < Last; ++c) store_unaligned(yhat + c * stride + e, total[c - First]);
    store_unaligned(rhat + e, along);
  }
}

template <class Real>
void project_back(const Edges<Real> &edges, const Real *rows, int n_basis, int components,
                  const Real *g, Real *scratch, Real *yhat, Real *rhat)
{
  // edges become the lanes, so that no sum runs across lanes
  Real *phi = scratch, *slope = scratch + static_cast<long>(n_basis) * edges.stride;
  // what is left of the last vector belongs to other edges: they must get nothing
  for (int e = edges.count; e % kWidth<Real> != 0; ++e)
    for (int n = 0; n < n_basis; ++n) phi[n * edges.stride + e] = slope[n * edges.stride + e] = 0;
  for (int e = 0; e < edges.count; ++e) {
    const RowWithSlope<Real> row(edges, e, rows, n_basis);
    for (int n = 0; n < n_basis; n += kWidth<Real>) {
      Vec<Real> v, d;
      row.both(n, v, d);
      MOALLOY_UNROLL
      for (int k = 0; k < kWidth<Real>; ++k) {
        phi[(n + k) * edges.stride + e] = v[k];
        slope[(n + k) * edges.stride + e] = d[k];
      }
    }
  }
  subtract_products<Real, 0, 1>(edges, n_basis, g, phi, slope, yhat, rhat);
  if (components > 1) subtract_products<Real, 1, 4>(edges, n_basis, g, phi, slope, yhat, rhat);
  if (components > 4) subtract_products<Real, 4, 9>(edges, n_basis, g, phi, slope, yhat, rhat);
  if (components > 9) subtract_products<Real, 9, 16>(edges, n_basis, g, phi, slope, yhat, rhat);
}

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

// ---- paths of a later layer ---------------------------------------------------------------------

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
    Vec<Real> total[n1][n3] = {}, along{};
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
          total[m1][m3] += x * mhat[m3];
        }
        Real *uhat = sender_hat[e] + m1 * width + k;
        store(uhat, load(uhat) + radial * q);
        along += slope * u * q;
      }
    }
    MOALLOY_UNROLL
    for (int m1 = 0; m1 < n1; ++m1) MOALLOY_UNROLL
    for (int m3 = 0; m3 < n3; ++m3)
      coupled_hat[(m1 * n3 + m3) * edges.stride + e] = sum<Real>(total[m1][m3]);
    rhat[e] += sum<Real>(along);
  }
}

// ---- symmetric contraction ----------------------------------------------------------------------

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

template <class Real> constexpr Kernels<Real> table(const char *name)
{
  return {name,
          harmonics<Real>,
          gradients<Real>,
          weights<Real>,
          multiply<Real>,
          project<Real>,
          project_back<Real>,
          couple<Real>,
          couple_back<Real>,
          {{path_forward<Real, 0, 0>, path_forward<Real, 0, 1>, path_forward<Real, 0, 2>,
            path_forward<Real, 0, 3>},
           {path_forward<Real, 1, 0>, path_forward<Real, 1, 1>, path_forward<Real, 1, 2>,
            path_forward<Real, 1, 3>},
           {path_forward<Real, 2, 0>, path_forward<Real, 2, 1>, path_forward<Real, 2, 2>,
            path_forward<Real, 2, 3>}},
          {{path_backward<Real, 0, 0>, path_backward<Real, 0, 1>, path_backward<Real, 0, 2>,
            path_backward<Real, 0, 3>},
           {path_backward<Real, 1, 0>, path_backward<Real, 1, 1>, path_backward<Real, 1, 2>,
            path_backward<Real, 1, 3>},
           {path_backward<Real, 2, 0>, path_backward<Real, 2, 1>, path_backward<Real, 2, 2>,
            path_backward<Real, 2, 3>}},
          contract<Real>,
          contract_back<Real>};
}

}  // namespace

extern const Kernels<float> kernels_float = table<float>(MOALLOY_KERNELS_NAME);
extern const Kernels<double> kernels_double = table<double>(MOALLOY_KERNELS_NAME);

}  // namespace MOALLOY_KERNELS
}  // namespace moalloy
