// Ziegler-Biersack-Littmark repulsion of close atoms, as mace-torch adds it.
#ifndef MOALLOY_ZBL_H
#define MOALLOY_ZBL_H

#include "model.h"

#include <vector>

namespace moalloy
{

class ZblTable
{
 public:
  ZblTable(const Model &model, const std::vector<int> &element_of_type);

  // Beyond this there is none, Angstrom; 0 for a model without.
  double cutoff(int type_i, int type_j) const
  {
    return pairs_.empty() ? 0 : pairs_[type_i * types_ + type_j].cutoff;
  }
  // Half of a pair's energy, eV, already scaled as the model scales it; adds its slope in r.
  double energy(int type_i, int type_j, double r, double &slope) const;

 private:
  struct Pair {
    double factor;   // 1/2 k_e Z_i Z_j scale, eV Angstrom
    double inverse;  // 1 / screening length
    double cutoff;   // sum of the covalent radii
  };
  int types_;
  int power_ = 0;
  double terms_[4] = {};
  std::vector<Pair> pairs_;
};

}  // namespace moalloy

#endif
