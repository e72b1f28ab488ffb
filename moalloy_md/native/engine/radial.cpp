#include "radial.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace moalloy
{
namespace
{

constexpr int kFirstIntervals = 2;   // of a section
constexpr int kMostIntervals = 256;  // of a section
constexpr int kSamples = 16;         // of a section, for the scale of slopes
constexpr double kRounding = 1e-13;  // what is left of a column is not a function any more

// One number with its first and second derivative in r.
struct Jet {
  double v, d, dd;
};

Jet operator*(const Jet &a, const Jet &b)
{
  return {a.v * b.v, a.d * b.v + a.v * b.d, a.dd * b.v + 2 * a.d * b.d + a.v * b.dd};
}

// f(x(r)) from f, f', f'' at x
Jet chain(double f, double f1, double f2, const Jet &x)
{
  return {f, f1 * x.d, f2 * x.d * x.d + f1 * x.dd};
}

// (1 - x)^3 sum_q (q + 1)(q + 2)/2 x^q: no cancellation where it ends
Jet envelope(double r, double r_max, int p)
{
  if (r >= r_max) return {0, 0, 0};
  const double x = r / r_max;
  double sum = 0, sum1 = 0, sum2 = 0;
  for (int q = p - 1; q >= 0; --q) {
    sum2 = sum2 * x + 2 * sum1;
    sum1 = sum1 * x + sum;
    sum = sum * x + 0.5 * (q + 1) * (q + 2);
  }
  const double y = 1 - x;
  const Jet cubic{y * y * y, -3 * y * y / r_max, 6 * y / (r_max * r_max)};
  return cubic * Jet{sum, sum1 / r_max, sum2 / (r_max * r_max)};
}

// s = 1 / (1 + a u^p / (u^(p - q) + 1)), the same as in model.h but finite for u -> 0
Jet agnesi(const Agnesi &t, double r0, double r)
{
  if (r <= 0) return {1, 0, 0};
  const double u = r / r0;
  const double up = std::pow(u, t.p), upq = std::pow(u, t.p - t.q);
  const double k = t.p - t.q;
  const Jet top{t.a * up, t.a * t.p * up / r, t.a * t.p * (t.p - 1) * up / (r * r)};
  const Jet below{1 + upq, k * upq / r, k * (k - 1) * upq / (r * r)};
  const double b = below.v;
  const Jet ratio = top * chain(1 / b, -1 / (b * b), 2 / (b * b * b), below);
  const double y = 1 + ratio.v;
  return chain(1 / y, -1 / (y * y), 2 / (y * y * y), {y, ratio.d, ratio.dd});
}

// sin(w s) / s
Jet bessel(double w, const Jet &s)
{
  const double x = w * s.v, w2 = w * w;
  if (std::abs(x) < 0.05) {
    const double x2 = x * x;
    return chain(w * (1 - x2 / 6 * (1 - x2 / 20 * (1 - x2 / 42))),
                 w2 * x * (-1.0 / 3 + x2 / 30 * (1 - x2 / 28)),
                 w2 * w * (-1.0 / 3 + x2 / 10 * (1 - x2 * 5 / 84)), s);
  }
  const double sine = std::sin(x), cosine = std::cos(x);
  const double f = sine / s.v, f1 = (w * cosine - f) / s.v;
  return chain(f, f1, -w2 * f - 2 * f1 / s.v, s);
}

Jet silu(double constant, const Jet &x)
{
  const double s = 1 / (1 + std::exp(-x.v)), q = s * (1 - s);
  return chain(constant * x.v * s, constant * (s + x.v * q),
               constant * (2 * q + x.v * q * (1 - 2 * s)), x);
}

std::vector<Jet> times(const std::vector<Jet> &x, const std::vector<double> &matrix, int n_out)
{
  std::vector<Jet> y(n_out, Jet{0, 0, 0});
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double *row = &matrix[i * n_out];
    for (int o = 0; o < n_out; ++o) {
      y[o].v += x[i].v * row[o];
      y[o].d += x[i].d * row[o];
      y[o].dd += x[i].dd * row[o];
    }
  }
  return y;
}

Jet density_of(const std::vector<Jet> &input, const std::vector<double> &weights)
{
  const Jet y = times(input, weights, 1)[0];
  const double t = std::tanh(y.v * y.v), t1 = 1 - t * t;
  return chain(t, t1, -2 * t * t1, y * y);
}

/* Where the slope of a quintic Hermite polynomial is off most, in units of the interval: the
   extremes (1 -+ 1/sqrt 5) / 2 of d/ds s^3 (1 - s)^3, the leading term of its error. Halfway
   between the knots that term vanishes. */
constexpr std::array<double, 2> kWorstPlaces{0.27639320225002103, 0.72360679774997897};

// h times the polynomial's slope at s of an interval, from value, h f' and h^2 f'' at its ends.
struct HermiteSlope {
  double v, d0, s0, d1, s1;
  explicit HermiteSlope(double s)
      : v(30 * s * s * (1 - s) * (1 - s)), d0(1 - s * s * (18 - s * (32 - 15 * s))),
        s0(s - s * s * (4.5 - s * (6 - 2.5 * s))), d1(-s * s * (12 - s * (28 - 15 * s))),
        s1(s * s * (1.5 - s * (4 - 2.5 * s)))
  {
  }
  // rows of value, first and second derivative of n functions, one knot after the other
  double operator()(const double *knot, int n, int f) const
  {
    const double *a = knot + f, *b = a + 3 * n;
    return v * (b[0] - a[0]) + d0 * a[n] + s0 * a[2 * n] + d1 * b[n] + s1 * b[2 * n];
  }
};

/* What an error at a distance is measured by: the largest slope of any function there or beyond;
   from half the cutoff on, where all slopes go to zero, the one at half of it. Functions are
   steepest where atoms never come: their slopes there are no measure for those of a crystal. */
class SlopeScale
{
 public:
  SlopeScale(const std::function<Jets(double)> &functions, double r_max)
      : step_(r_max / (Grid::kSections * kSamples)), largest_(Grid::kSections * kSamples + 1)
  {
    double largest = 0;
    for (std::size_t k = largest_.size(); k-- > 0;) {
      for (double slope : functions(k * step_).first) largest = std::max(largest, std::abs(slope));
      largest_[k] = largest > 0 ? largest : 1;
    }
  }
  double operator()(double r) const
  {
    return largest_[std::min(static_cast<std::size_t>(r / step_), largest_.size() / 2)];
  }

 private:
  double step_;
  std::vector<double> largest_;
};

// Rows of n intervals of length h.
std::vector<double> on_knots(const std::function<Jets(double)> &functions, double start, double h,
                             int n)
{
  std::vector<double> rows;
  for (int k = 0; k <= n; ++k) {
    const Jets jets = functions(start + k * h);
    for (double v : jets.value) rows.push_back(v);
    for (double d : jets.first) rows.push_back(h * d);
    for (double s : jets.second) rows.push_back(h * h * s);
  }
  return rows;
}

double largest_deviation(const std::function<Jets(double)> &functions, const SlopeScale &scale,
                         double start, double h, int n, const std::vector<double> &rows)
{
  const int size = static_cast<int>(rows.size()) / (3 * (n + 1));
  double largest = 0;
  for (const double s : kWorstPlaces) {
    const HermiteSlope slope(s);
    for (int k = 0; k < n; ++k) {
      const double r = start + (k + s) * h;
      const Jets exact = functions(r);
      const double *knot = &rows[static_cast<std::size_t>(3) * size * k];
      for (int f = 0; f < size; ++f)
        largest = std::max(largest, std::abs(slope(knot, size, f) / h - exact.first[f]) / scale(r));
    }
  }
  return largest;
}

}  // namespace

Jets radial_functions(const Model &model, const Layer &layer, int element_i, int element_j,
                      double r)
{
  const Jet f = envelope(r, model.r_max, model.cutoff_power);
  const Jet s =
      model.agnesi
          ? agnesi(*model.agnesi,
                   0.5 * (model.agnesi->radii[element_i] + model.agnesi->radii[element_j]), r)
          : Jet{r, 1, 0};
  std::vector<Jet> x;
  for (double w : model.bessel) {
    Jet b = bessel(w, s) * Jet{model.bessel_prefactor, 0, 0};
    x.push_back(model.cutoff_before_network ? b * f : b);
  }
  std::vector<Jet> density;
  if (layer.density) density.push_back(density_of(x, layer.density_weights));
  for (std::size_t q = 0; q < layer.network.size(); ++q) {
    x = times(x, layer.network[q], layer.widths[q + 1]);
    if (q + 1 < layer.network.size())
      for (Jet &jet : x) jet = silu(model.activation_constant, jet);
  }
  x.insert(x.end(), density.begin(), density.end());
  Jets jets(static_cast<int>(x.size()));
  for (std::size_t k = 0; k < x.size(); ++k) {
    const Jet y = model.cutoff_before_network ? x[k] : x[k] * f;
    jets.value[k] = y.v;
    jets.first[k] = y.d;
    jets.second[k] = y.dd;
  }
  return jets;
}

void Grid::set_intervals(int section, int intervals)
{
  sections_.intervals[section] = intervals;
  sections_.first[section] = all_intervals_;
  all_intervals_ += intervals;
}

Spline make_spline(const std::function<Jets(double)> &functions, double r_max, double tolerance)
{
  const SlopeScale scale(functions, r_max);
  Spline spline;
  spline.grid = Grid(r_max);
  for (int section = 0; section < Grid::kSections; ++section) {
    const double start = spline.grid.start(section), length = r_max / Grid::kSections;
    std::vector<double> rows;
    for (int n = kFirstIntervals;;) {
      const double h = length / n;
      rows = on_knots(functions, start, h, n);
      const double error = largest_deviation(functions, scale, start, h, n, rows);
      if (error <= tolerance || n == kMostIntervals) {
        spline.grid.set_intervals(section, n);
        spline.error = std::max(spline.error, error);
        for (int k = 0; k <= n; ++k) spline.scale.push_back(scale(start + k * h));
        break;
      }
      // the error falls as the fifth power of n; far from that limit not so fast
      const double wanted = n * std::pow(error / tolerance, 0.2);
      n = std::min(kMostIntervals, std::max(n + 1, static_cast<int>(std::min(wanted, 2.0 * n))));
    }
    spline.functions = static_cast<int>(rows.size()) / (3 * (spline.grid.intervals(section) + 1));
    spline.rows.insert(spline.rows.end(), rows.begin(), rows.end());
  }
  return spline;
}

Compressed compress(const Spline &spline, double tolerance, int multiple)
{
  const int n = spline.functions;
  // value, first derivative and h times the second, at every knot: a column for each function
  const int length = 3 * spline.grid.knots();
  std::vector<double> unit;  // of each number in a column
  for (int section = 0; section < Grid::kSections; ++section)
    for (int k = 0; k <= spline.grid.intervals(section); ++k) {
      const double scale = spline.scale[spline.grid.first_knot(section) + k];
      const double h = spline.grid.spacing(section);
      unit.insert(unit.end(), {scale, scale * h, scale * h});
    }
  std::vector<double> residual(static_cast<std::size_t>(n) * length);
  for (int f = 0; f < n; ++f)
    for (int k = 0; k < length; ++k)
      residual[static_cast<std::size_t>(f) * length + k] =
          spline.rows[static_cast<std::size_t>(k) * n + f] / unit[k];
  Compressed result;
  std::vector<std::vector<double>> basis;
  for (;;) {
    // the column with the largest error of value or slope comes next
    int worst = 0;
    result.error = 0;
    for (int f = 0; f < n; ++f)
      for (int k = 0; k < length; ++k)
        if (const double x = std::abs(residual[static_cast<std::size_t>(f) * length + k]);
            k % 3 != 2 && x > result.error) {
          result.error = x;
          worst = f;
        }
    const bool good = result.error <= tolerance, full = basis.size() % multiple == 0;
    if ((good && full) || result.error < kRounding || static_cast<int>(basis.size()) == n) break;
    std::vector<double> q(&residual[static_cast<std::size_t>(worst) * length],
                          &residual[static_cast<std::size_t>(worst) * length] + length);
    for (const auto &earlier : basis) {  // what rounding left of them
      double overlap = 0;
      for (int k = 0; k < length; ++k) overlap += earlier[k] * q[k];
      for (int k = 0; k < length; ++k) q[k] -= overlap * earlier[k];
    }
    double norm = 0;
    for (double x : q) norm += x * x;
    for (double &x : q) x /= std::sqrt(norm);
    result.coefficients.resize(result.coefficients.size() + n);
    double *row = &result.coefficients[result.coefficients.size() - n];
    for (int f = 0; f < n; ++f) {
      double *column = &residual[static_cast<std::size_t>(f) * length];
      for (int k = 0; k < length; ++k) row[f] += q[k] * column[k];
      for (int k = 0; k < length; ++k) column[k] -= row[f] * q[k];
    }
    basis.push_back(std::move(q));
  }
  Spline &small = result.basis;
  small.functions = static_cast<int>(basis.size());
  small.grid = spline.grid;
  small.scale = spline.scale;
  small.error = spline.error;
  small.rows.resize(static_cast<std::size_t>(length) * small.functions);
  for (int f = 0; f < small.functions; ++f)
    for (int k = 0; k < length; ++k)
      small.rows[static_cast<std::size_t>(k) * small.functions + f] = basis[f][k] * unit[k];
  return result;
}

template <class Real> Array<Real> polynomials(const Spline &spline, int groups)
{
  constexpr int line = kLanes<Real>;
  const Grid &grid = spline.grid;
  const int n = spline.functions, width = n / groups;
  const std::size_t size = static_cast<std::size_t>(6) * padded<Real>(width);
  Array<Real> all(size * grid.all_intervals() * groups);
  for (int section = 0; section < Grid::kSections; ++section)
    for (int k = 0; k < grid.intervals(section); ++k) {
      const std::size_t interval = grid.first_knot(section) - section + k;
      const double *inner = &spline.rows[static_cast<std::size_t>(3) * n * (interval + section)];
      const double *outer = inner + static_cast<std::size_t>(3) * n;
      for (int g = 0; g < groups; ++g)
        for (int f = 0; f < width; ++f) {
          // value and derivatives in t at both ends, which runs against r
          const double *from = outer + g * width + f, *to = inner + g * width + f;
          const double c0 = from[0], c1 = -from[n], c2 = from[2 * n] / 2;
          const double a = to[0] - c0 - c1 - c2, b = -to[n] - c1 - 2 * c2, c = to[2 * n] - 2 * c2;
          const double coefficients[6] = {
              c0, c1, c2, 10 * a - 4 * b + c / 2, -15 * a + 7 * b - c, 6 * a - 3 * b + c / 2};
          Real *rows = &all[(g * static_cast<std::size_t>(grid.all_intervals()) + interval) * size];
          for (int q = 0; q < 6; ++q)
            rows[(f / line * 6 + q) * line + f % line] = static_cast<Real>(coefficients[q]);
        }
    }
  return all;
}

template Array<float> polynomials<float>(const Spline &, int);
template Array<double> polynomials<double>(const Spline &, int);

}  // namespace moalloy
