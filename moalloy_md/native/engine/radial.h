// The radial functions of a layer: exactly, with two derivatives, and as tables.
#ifndef MOALLOY_RADIAL_H
#define MOALLOY_RADIAL_H

#include "aligned.h"
#include "kernels.h"
#include "model.h"

#include <functional>
#include <vector>

namespace moalloy
{

// Values and first and second derivatives in r of many functions at one distance.
struct Jets {
  std::vector<double> value, first, second;
  explicit Jets(int n = 0) : value(n), first(n), second(n) {}
  int size() const { return static_cast<int>(value.size()); }
};

// Outputs of the radial network of `layer` for one pair of elements, path-major, and for density
// blocks the edge density as one more function at the end.
Jets radial_functions(const Model &model, const Layer &layer, int element_i, int element_j,
                      double r);

/* Knots on [0, r_max]: sections of equal length, each with as many intervals of equal length as its
   functions need. They are steepest where atoms never come; where they do, few knots are enough,
   and what is read stays in the cache. Every section has a knot at both of its ends: that at a
   border is there twice, because derivatives are held in units of the spacing. */
class Grid
{
 public:
  static constexpr int kSections = Sections::kCount;

  Grid() = default;
  explicit Grid(double r_max) : length_(r_max / kSections)
  {
    sections_.inverse_length = kSections / r_max;
  }
  void set_intervals(int section, int intervals);  // in order, from the first section

  const Sections &sections() const { return sections_; }
  double start(int section) const { return section * length_; }
  double spacing(int section) const { return length_ / intervals(section); }
  int intervals(int section) const { return static_cast<int>(sections_.intervals[section]); }
  int all_intervals() const { return all_intervals_; }
  int knots() const { return all_intervals_ + kSections; }
  int first_knot(int section) const { return sections_.first[section] + section; }

 private:
  double length_ = 0;
  Sections sections_{};
  int all_intervals_ = 0;
};

/* Functions of r on [0, r_max] as quintic Hermite splines: at each knot the value, h times the
   first and h^2 times the second derivative. The spline is twice continuously differentiable, and
   the derivative that forces need is the derivative of the interpolant itself, so energy is
   conserved whatever the spacing. For a function with six derivatives the error is at most
   h^6 / 46080 max |f^(6)|, that of the slope to leading order h^5 / (6000 sqrt 5) max |f^(6)|. */
struct Spline {
  int functions = 0;
  Grid grid;
  std::vector<double> rows;   // (knots, 3, functions)
  std::vector<double> scale;  // (knots): the slope that errors are measured by, see make_spline
  double error = 0;           // see make_spline
};

/* Divides each section until no first derivative deviates by more than tolerance times the largest
   of any function at that distance or beyond (beyond half the cutoff: at half of it), measured in
   each interval at the two places where the slope of such a spline is off most. The largest one,
   relative to that, is the error. */
Spline make_spline(const std::function<Jets(double)> &functions, double r_max, double tolerance);

/* A smaller basis for the functions of a spline: functions = basis . coefficients, up to
   tolerance as above for values (times 1 Angstrom) and first derivatives. Gram-Schmidt with
   pivoting on the knots, where spline and function agree with two derivatives. Their number is
   filled up to a multiple, as vectors are padded anyway. */
struct Compressed {
  Spline basis;
  std::vector<double> coefficients;  // (basis functions, functions)
  double error = 0;                  // largest residual, relative as in make_spline
};
Compressed compress(const Spline &spline, double tolerance, int multiple);

/* The spline as polynomials for the kernels: coefficients of t^0 to t^5 in each interval, where t
   runs from its outer to its inner end, so that functions end at the cutoff without rounding. In
   this order: (group, interval, line, 6, functions of a line), padded. */
template <class Real> Array<Real> polynomials(const Spline &spline, int groups);

}  // namespace moalloy

#endif
