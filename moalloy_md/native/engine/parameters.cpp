#include "parameters.h"

#include "radial.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

namespace moalloy
{
namespace
{

/* Of slopes of radial functions, see radial.h. In double far below the 1e-6 eV/Angstrom that forces
   are held to. In float about what rounding costs; a basis that is ten times better is a vector
   longer and costs 8 % of the time of a step. A halved spacing makes a spline about 30 times
   better. */
template <class Real> constexpr double kSplineTolerance = sizeof(Real) == 8 ? 2e-9 : 1e-6;
template <class Real> constexpr double kBasisTolerance = sizeof(Real) == 8 ? 1e-9 : 1e-5;

template <class Real>
Matrix<Real> pack(int n_in, int n_out, const std::function<double(int, int)> &value)
{
  Matrix<Real> matrix;
  constexpr int lane = kLanes<Real>;
  matrix.n_in = n_in;
  matrix.lines_out = padded<Real>(n_out) / lane;
  matrix.data.resize(static_cast<std::size_t>(matrix.lines_out) * n_in * lane);
  for (int o = 0; o < n_out; ++o)
    for (int i = 0; i < n_in; ++i)
      matrix.data[(static_cast<std::size_t>(o / lane) * n_in + i) * lane + o % lane] =
          static_cast<Real>(value(i, o));
  return matrix;
}

// From row-major (n, n), and its transpose.
template <class Real> Matrix<Real> pack_square(const double *m, int n)
{
  return pack<Real>(n, n, [=](int i, int o) { return m[i * n + o]; });
}
template <class Real> Matrix<Real> pack_transposed(const double *m, int n)
{
  return pack<Real>(n, n, [=](int i, int o) { return m[o * n + i]; });
}

std::vector<double> product(const double *a, const double *b, int n_a, int n, int n_b)
{
  std::vector<double> c(static_cast<std::size_t>(n_a) * n_b);
  for (int i = 0; i < n_a; ++i)
    for (int k = 0; k < n; ++k)
      for (int j = 0; j < n_b; ++j) c[i * n_b + j] += a[i * n + k] * b[k * n_b + j];
  return c;
}

template <class Real> Array<Real> padded_row(const double *values, int n, double factor = 1)
{
  Array<Real> row(padded<Real>(n));
  for (int k = 0; k < n; ++k) row[k] = static_cast<Real>(factor * values[k]);
  return row;
}

template <class Real> class Builder
{
 public:
  Builder(const Model &model, const std::vector<int> &element_of_type)
      : model_(model), element_(element_of_type), types_(static_cast<int>(element_of_type.size())),
        channels_(model.channels)
  {
  }

  Parameters<Real> build();

 private:
  LayerParameters<Real> layer(int t);
  void radial(const Layer &layer, LayerParameters<Real> &out);
  void first_layer(const Layer &layer, LayerParameters<Real> &out);
  void later_layer(const Layer &layer, LayerParameters<Real> &out);
  void skip(const Layer &layer, LayerParameters<Real> &out);
  ProductParameters<Real> contraction(const Product &product);
  void component(const Product &product, int m, typename ProductParameters<Real>::Component &out);
  ReadoutParameters<Real> readout(const Readout &readout);

  const double *skip_matrix(const Layer &layer, int l, int type) const
  {
    return &layer.skip[l][static_cast<std::size_t>(element_[type]) * channels_ * channels_];
  }

  const Model &model_;
  const std::vector<int> &element_;
  int types_, channels_;
  double radial_error_ = 0;
  std::vector<Compressed> compressed_;  // first layer, like `tables`
};

template <class Real> Parameters<Real> Builder<Real>::build()
{
  Parameters<Real> p;
  p.types = types_;
  p.width = padded<Real>(channels_);
  p.l_max = model_.l_max;
  p.components = model_.components();
  p.r_max = model_.r_max;
  p.activation = model_.readout_constant;
  for (int element : element_) p.energies_0.push_back(model_.energies_0[element] + model_.shift);
  for (std::size_t t = 0; t < model_.layers.size(); ++t) p.layers.push_back(layer(t));
  for (const Readout &r : model_.readouts) p.readouts.push_back(readout(r));
  p.radial_error = radial_error_;
  return p;
}

template <class Real> LayerParameters<Real> Builder<Real>::layer(int t)
{
  const Layer &in = model_.layers[t];
  LayerParameters<Real> out{};
  out.residual = in.residual;
  out.density = in.density;
  out.first = t == 0;
  out.l_in = in.l_in;
  out.l_out = in.l_out();
  radial(in, out);
  if (out.first)
    first_layer(in, out);
  else
    later_layer(in, out);
  for (const Product &p : in.products) out.products.push_back(contraction(p));
  return out;
}

template <class Real> void Builder<Real>::radial(const Layer &layer, LayerParameters<Real> &out)
{
  const int pairs = model_.agnesi ? types_ * types_ : 1;
  const int groups = static_cast<int>(layer.paths.size());
  for (int pair = 0; pair < pairs; ++pair) {
    const int i = element_[pair / types_], j = element_[pair % types_];
    Spline spline = make_spline([&](double r) { return radial_functions(model_, layer, i, j, r); },
                                model_.r_max, kSplineTolerance<Real>);
    radial_error_ = std::max(radial_error_, spline.error);
    RadialTable<Real> table;
    table.grid = spline.grid;
    if (layer.density) {  // the last function; the network's stay
      const int n = spline.functions;
      Spline density = spline;
      density.functions = 1;
      density.rows.clear();
      std::vector<double> rest;
      for (int line = 0; line < 3 * spline.grid.knots(); ++line) {
        const double *row = &spline.rows[static_cast<std::size_t>(line) * n];
        rest.insert(rest.end(), row, row + n - 1);
        density.rows.push_back(row[n - 1]);
      }
      table.density = polynomials<double>(density, 1);
      spline.rows = std::move(rest);
      --spline.functions;
    }
    if (out.first) {
      compressed_.push_back(compress(spline, kBasisTolerance<Real>, kLanes<Real>));
      radial_error_ = std::max(radial_error_, compressed_.back().error);
      out.n_basis = std::max(out.n_basis, padded<Real>(compressed_.back().basis.functions));
    } else {
      table.polynomials = polynomials<Real>(spline, groups);
    }
    out.tables.push_back(std::move(table));
  }
}

template <class Real>
void Builder<Real>::first_layer(const Layer &layer, LayerParameters<Real> &out)
{
  const int K = channels_, degrees = model_.l_max + 1;
  for (std::size_t pair = 0; pair < compressed_.size(); ++pair) {
    Spline &basis = compressed_[pair].basis;  // all pairs get the same number of functions
    Spline wide = basis;
    wide.functions = out.n_basis;
    wide.rows.assign(static_cast<std::size_t>(3) * basis.grid.knots() * out.n_basis, 0);
    for (int line = 0; line < 3 * basis.grid.knots(); ++line)
      std::copy_n(&basis.rows[static_cast<std::size_t>(line) * basis.functions], basis.functions,
                  &wide.rows[static_cast<std::size_t>(line) * out.n_basis]);
    out.tables[pair].polynomials = polynomials<Real>(wide, 1);
  }
  for (int i = 0; i < types_; ++i)
    for (int j = 0; j < types_; ++j) {
      const Compressed &c = compressed_[compressed_.size() == 1 ? 0 : i * types_ + j];
      const int n = c.basis.functions;
      const std::vector<double> sender =
          product(&model_.embedding[static_cast<std::size_t>(element_[j]) * K], layer.up[0].data(),
                  1, K, K);
      for (int l = 0; l < degrees; ++l) {
        const Path &path = layer.paths[l];
        std::vector<double> m(static_cast<std::size_t>(n) * K);
        for (int f = 0; f < n; ++f)
          for (int k = 0; k < K; ++k)
            m[f * K + k] = c.coefficients[static_cast<std::size_t>(f) * degrees * K + l * K + k] *
                           sender[k] * path.coupling[0];
        m = product(m.data(), path.linear.data(), n, K, K);
        if (!layer.residual) m = product(m.data(), skip_matrix(layer, l, i), n, K, K);
        out.project.push_back(pack<Real>(n, K, [&](int f, int k) { return m[f * K + k]; }));
        out.project_back.push_back(pack<Real>(K, n, [&](int k, int f) { return m[f * K + k]; }));
      }
    }
  if (layer.residual)
    for (int i = 0; i < types_; ++i)
      out.shortcut.push_back(
          padded_row<Real>(product(&model_.embedding[static_cast<std::size_t>(element_[i]) * K],
                                   skip_matrix(layer, 0, i), 1, K, K)
                               .data(),
                           K));
}

template <class Real>
void Builder<Real>::later_layer(const Layer &layer, LayerParameters<Real> &out)
{
  const int K = channels_;
  for (const auto &up : layer.up) {
    out.up.push_back(pack_square<Real>(up.data(), K));
    out.up_back.push_back(pack_transposed<Real>(up.data(), K));
  }
  for (const Path &path : layer.paths) {
    const int n1 = 2 * path.l1 + 1, n2 = 2 * path.l2 + 1, n3 = 2 * path.l3 + 1;
    PathParameters<Real> p{path.l1, path.l3, out.message_rows, out.coupled, {}, {}, {}};
    for (int m1 = 0; m1 < n1; ++m1)
      for (int m3 = 0; m3 < n3; ++m3) {
        bool any = false;
        for (int m2 = 0; m2 < n2; ++m2) {
          const double value = path.coupling[(m1 * n2 + m2) * n3 + m3];
          // an output without any coupling still has to be written: with a zero
          if (value == 0 && (any || m2 + 1 < n2)) continue;
          any = true;
          p.coupling.push_back({path.l2 * path.l2 + m2, m1 * n3 + m3, static_cast<Real>(value)});
        }
      }
    p.linear = pack_square<Real>(path.linear.data(), K);
    p.linear_back = pack_transposed<Real>(path.linear.data(), K);
    out.message_rows += n3;
    out.coupled += n1 * n3;
    out.paths.push_back(std::move(p));
  }
  skip(layer, out);
}

template <class Real> void Builder<Real>::skip(const Layer &layer, LayerParameters<Real> &out)
{
  for (int type = 0; type < types_; ++type)
    for (std::size_t l = 0; l < layer.skip.size(); ++l) {
      out.skip.push_back(pack_square<Real>(skip_matrix(layer, l, type), channels_));
      out.skip_back.push_back(pack_transposed<Real>(skip_matrix(layer, l, type), channels_));
    }
}

template <class Real> ProductParameters<Real> Builder<Real>::contraction(const Product &product)
{
  ProductParameters<Real> out;
  out.degree = product.degree;
  out.linear = pack_square<Real>(product.linear.data(), channels_);
  out.linear_back = pack_transposed<Real>(product.linear.data(), channels_);
  out.components.resize(2 * product.degree + 1);
  for (int m = 0; m < 2 * product.degree + 1; ++m) component(product, m, out.components[m]);
  return out;
}

// Orders the monomials of one M as nested sums and multiplies their coefficients by the weights.
template <class Real>
void Builder<Real>::component(const Product &product, int m,
                              typename ProductParameters<Real>::Component &out)
{
  struct Term {
    const Monomials *group = nullptr;
    int row = 0;
  };
  const int n_m = 2 * product.degree + 1;
  auto used = [&](const Monomials &g, int row) {
    const double *c = &g.coefficients[static_cast<std::size_t>(row * n_m + m) * g.parameters];
    return std::any_of(c, c + g.parameters, [](double x) { return x != 0; });
  };
  std::vector<Term> singles;
  struct Nested {
    Term own;
    std::vector<Term> triples;
  };
  std::map<std::pair<int, int>, Nested> pairs;
  for (const Monomials &g : product.monomials)
    for (int row = 0; row < g.count(); ++row) {
      if (!used(g, row)) continue;
      const int *a = &g.indices[static_cast<std::size_t>(row) * g.order];
      if (g.order == 1)
        singles.push_back({&g, row});
      else if (g.order == 2)
        pairs[{a[0], a[1]}].own = {&g, row};
      else
        pairs[{a[0], a[1]}].triples.push_back({&g, row});
    }
  std::vector<Term> terms;
  for (const Term &term : singles) {
    out.single.push_back(term.group->indices[term.row]);
    terms.push_back(term);
  }
  for (const auto &[ab, nested] : pairs) {
    out.pair.push_back({ab.first, ab.second, static_cast<int>(nested.triples.size())});
    terms.push_back(nested.own);
    for (const Term &term : nested.triples) {
      out.third.push_back(term.group->indices[static_cast<std::size_t>(term.row) * 3 + 2]);
      terms.push_back(term);
    }
  }
  out.terms = static_cast<int>(terms.size());
  const int width = padded<Real>(channels_);
  constexpr int lane = kLanes<Real>;
  for (int element : element_) {
    Array<Real> values(static_cast<std::size_t>(out.terms) * width);
    for (int t = 0; t < out.terms; ++t) {
      if (!terms[t].group) continue;  // a pair that has only triples
      const Monomials &g = *terms[t].group;
      const double *c =
          &g.coefficients[static_cast<std::size_t>(terms[t].row * n_m + m) * g.parameters];
      for (int k = 0; k < channels_; ++k) {
        double value = 0;
        for (int q = 0; q < g.parameters; ++q)
          value +=
              c[q] *
              g.weights[(static_cast<std::size_t>(element) * g.parameters + q) * channels_ + k];
        values[(static_cast<std::size_t>(k / lane) * out.terms + t) * lane + k % lane] =
            static_cast<Real>(value);
      }
    }
    out.coefficients.push_back(std::move(values));
  }
}

template <class Real> ReadoutParameters<Real> Builder<Real>::readout(const Readout &in)
{
  ReadoutParameters<Real> out{in.layer, in.hidden, {}, {}, {}, {}};
  if (in.hidden == 0) {
    out.weights = padded_row<Real>(in.weights.data(), channels_, model_.scale);
    return out;
  }
  const int n = in.hidden;
  out.matrix = pack<Real>(channels_, n, [&](int k, int h) { return in.weights[k * n + h]; });
  out.back = pack<Real>(n, channels_, [&](int h, int k) { return in.weights[k * n + h]; });
  out.output = padded_row<Real>(in.output.data(), in.hidden, model_.scale);
  return out;
}

}  // namespace

template <class Real> Polynomial ProductParameters<Real>::Component::polynomial() const
{
  return {static_cast<int>(single.size()),
          static_cast<int>(pair.size()),
          terms,
          single.data(),
          pair.data(),
          third.data()};
}

template <class Real>
Parameters<Real> make_parameters(const Model &model, const std::vector<int> &element_of_type)
{
  return Builder<Real>(model, element_of_type).build();
}

template <class Real> double Parameters<Real>::memory() const
{
  std::size_t bytes = 0;
  auto add = [&](const auto &array) { bytes += array.size() * sizeof(array[0]); };
  for (const auto &layer : layers) {
    for (const auto &table : layer.tables) add(table.polynomials), add(table.density);
    for (const auto &row : layer.shortcut) add(row);
    for (const auto *matrices : {&layer.project, &layer.project_back, &layer.up, &layer.up_back,
                                 &layer.skip, &layer.skip_back})
      for (const auto &m : *matrices) add(m.data);
    for (const auto &path : layer.paths) add(path.linear.data), add(path.linear_back.data);
    for (const auto &product : layer.products) {
      add(product.linear.data), add(product.linear_back.data);
      for (const auto &component : product.components)
        for (const auto &row : component.coefficients) add(row);
    }
  }
  for (const auto &readout : readouts)
    add(readout.weights), add(readout.output), add(readout.matrix.data), add(readout.back.data);
  return static_cast<double>(bytes);
}

template struct Parameters<float>;
template struct Parameters<double>;
template struct ProductParameters<float>;
template struct ProductParameters<double>;
template Parameters<float> make_parameters<float>(const Model &, const std::vector<int> &);
template Parameters<double> make_parameters<double>(const Model &, const std::vector<int> &);

}  // namespace moalloy
