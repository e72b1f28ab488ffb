#include "zbl.h"

#include <cmath>

namespace moalloy
{
namespace
{

constexpr double kCoulomb = 14.3996;  // e^2 / (4 pi epsilon_0), eV Angstrom, as mace-torch has it
constexpr double kExponents[4] = {3.2, 0.9423, 0.4028, 0.2016};

}  // namespace

ZblTable::ZblTable(const Model &model, const std::vector<int> &element_of_type)
    : types_(static_cast<int>(element_of_type.size()))
{
  if (!model.zbl) return;
  const Zbl &zbl = *model.zbl;
  power_ = zbl.cutoff_power;
  for (int k = 0; k < 4; ++k) terms_[k] = zbl.terms[k];
  for (int i : element_of_type)
    for (int j : element_of_type) {
      const double zi = model.atomic_numbers[i], zj = model.atomic_numbers[j];
      pairs_.push_back({0.5 * kCoulomb * zi * zj * model.scale,
                        (std::pow(zi, zbl.exponent) + std::pow(zj, zbl.exponent)) / zbl.length,
                        zbl.radii[i] + zbl.radii[j]});
    }
}

double ZblTable::energy(int type_i, int type_j, double r, double &slope) const
{
  const Pair &pair = pairs_[type_i * types_ + type_j];
  if (r >= pair.cutoff) return 0;
  double phi = 0, phi1 = 0;
  for (int k = 0; k < 4; ++k) {
    const double rate = kExponents[k] * pair.inverse;
    const double term = terms_[k] * std::exp(-rate * r);
    phi += term;
    phi1 -= rate * term;
  }
  // the envelope as in radial.cpp: (1 - x)^3 sum_q (q + 1)(q + 2)/2 x^q
  const double x = r / pair.cutoff, y = 1 - x;
  double sum = 0, sum1 = 0;
  for (int q = power_ - 1; q >= 0; --q) {
    sum1 = sum1 * x + sum;
    sum = sum * x + 0.5 * (q + 1) * (q + 2);
  }
  const double f = y * y * y * sum, f1 = (y * y * y * sum1 - 3 * y * y * sum) / pair.cutoff;
  const double v = pair.factor * phi * f / r;
  slope += pair.factor * (phi1 * f + phi * f1) / r - v / r;
  return v;
}

}  // namespace moalloy
