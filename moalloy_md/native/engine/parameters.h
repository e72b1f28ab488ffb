// A model made ready for the kernels: chosen elements, one precision, matrices packed.
#ifndef MOALLOY_PARAMETERS_H
#define MOALLOY_PARAMETERS_H

#include "aligned.h"
#include "kernels.h"
#include "model.h"
#include "radial.h"

#include <memory>
#include <vector>

namespace moalloy
{

/* A matrix in the order in which `Kernels::multiply` streams it: one line of output columns after
   the other, each with all its input rows. */
template <class Real> struct Matrix {
  int n_in = 0;
  int lines_out = 0;
  Array<Real> data;
  bool empty() const { return data.empty(); }
};

// Splines of one layer, of a pair of types or of all pairs alike.
template <class Real> struct RadialTable {
  Grid grid;
  Array<Real> polynomials;  // see radial.h
  Array<double> density;    // those of the one function of an edge's density, or empty
};

template <class Real> struct PathParameters {
  int l1, l3;
  int first_row;                         // of its 2 l3 + 1 rows among the messages of a layer
  int first_coupled;                     // of its (2 l1 + 1)(2 l3 + 1) couplings
  std::vector<Coupling<Real>> coupling;  // `out` counts from 0 in each path
  Matrix<Real> linear, linear_back;
};

template <class Real> struct ProductParameters {
  int degree;
  struct Component {  // one M
    std::vector<int> single, third;
    std::vector<Polynomial::Pair> pair;
    int terms;
    std::vector<Array<Real>> coefficients;  // per type: (line, term, lane)
    Polynomial polynomial() const;
  };
  std::vector<Component> components;
  Matrix<Real> linear, linear_back;
};

template <class Real> struct LayerParameters {
  bool residual, density, first;
  int l_in, l_out;
  std::vector<RadialTable<Real>> tables;  // one, or one for each pair of types
  const RadialTable<Real> &table(int i, int j, int types) const
  {
    return tables[tables.size() == 1 ? 0 : i * types + j];
  }

  /* First layer: everything between the radial basis and A is linear, so it is one matrix per pair
     of types and degree. Index (i * types + j) * (l_max + 1) + l. */
  int n_basis = 0;  // padded
  std::vector<Matrix<Real>> project, project_back;
  std::vector<Array<Real>> shortcut;  // per type: (width), where residual

  // Later layers
  std::vector<PathParameters<Real>> paths;
  int message_rows = 0, coupled = 0;
  std::vector<Matrix<Real>> up, up_back;      // per l, of the features that enter
  std::vector<Matrix<Real>> skip, skip_back;  // [type * n + l], see Layer::skip

  std::vector<ProductParameters<Real>> products;
};

template <class Real> struct ReadoutParameters {
  int layer, hidden;
  Array<Real> weights;        // (width), scaled, where linear
  Matrix<Real> matrix, back;  // otherwise: channels to hidden, and back
  Array<Real> output;         // (hidden), scaled
};

template <class Real> struct Parameters {
  int types, width, l_max, components;
  double r_max, activation;
  std::vector<double> energies_0;  // per type, with the shift, eV
  std::vector<LayerParameters<Real>> layers;
  std::vector<ReadoutParameters<Real>> readouts;
  double memory() const;    // bytes of the tables
  double radial_error = 0;  // of a slope, relative: see make_spline
};

// element_of_type: rows of the model's table.
template <class Real>
Parameters<Real> make_parameters(const Model &model, const std::vector<int> &element_of_type);

}  // namespace moalloy

#endif
