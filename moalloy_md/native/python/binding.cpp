// moalloy_md._engine: thin, typed and without opinions; moalloy_md.potentials.native is for users.
#include "engine.h"
#include "model.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <memory>

namespace nb = nanobind;
using moalloy::Model;
using moalloy::ModelError;
using moalloy::Precision;

namespace
{

using Ints = nb::ndarray<const int, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Vectors = nb::ndarray<const double, nb::shape<-1, 3>, nb::c_contig, nb::device::cpu>;

// Edges sorted by receiver.
class EdgeList : public moalloy::NeighbourSource
{
 public:
  EdgeList(int nodes, const Ints &senders, const Ints &receivers, const Vectors &vectors)
      : first_(nodes + 1), senders_(senders.data()), vectors_(vectors.data())
  {
    const std::size_t edges = receivers.shape(0);
    if (senders.shape(0) != edges || vectors.shape(0) != edges)
      throw nb::value_error("senders, receivers, vectors: expected the same number of edges");
    for (std::size_t e = 0; e < edges; ++e) {
      const int i = receivers.data()[e], j = senders_[e];
      if (i < 0 || i >= nodes || j < 0 || j >= nodes || (e > 0 && i < receivers.data()[e - 1]))
        throw nb::value_error("edges: expected receivers in ascending order, and indices of atoms");
      ++first_[i + 1];
    }
    for (int i = 0; i < nodes; ++i) first_[i + 1] += first_[i];
  }

  void gather(int centre, double r_max, moalloy::NeighbourList &list) const override
  {
    list.make_room(static_cast<int>(first_[centre + 1] - first_[centre]));
    for (std::size_t e = first_[centre]; e < first_[centre + 1]; ++e) {
      const double *v = vectors_ + 3 * e;
      const bool near = v[0] * v[0] + v[1] * v[1] + v[2] * v[2] < r_max * r_max;
      list.add_if(near, static_cast<int>(e - first_[centre]), senders_[e], v[0], v[1], v[2]);
    }
  }
  void look_up(int centre, const int *handles, int count, int *node, double *x, double *y,
               double *z) const override
  {
    for (int k = 0; k < count; ++k) {
      const std::size_t e = first_[centre] + handles[k];
      node[k] = senders_[e];
      x[k] = vectors_[3 * e];
      y[k] = vectors_[3 * e + 1];
      z[k] = vectors_[3 * e + 2];
    }
  }

 private:
  std::vector<std::size_t> first_;
  const int *senders_;
  const double *vectors_;
};

template <class T>
nb::object array(const std::vector<T> &values, std::initializer_list<std::size_t> shape)
{
  T *data = new T[values.size()];
  std::copy(values.begin(), values.end(), data);
  nb::capsule owner(data, [](void *p) noexcept { delete[] static_cast<T *>(p); });
  return nb::cast(nb::ndarray<nb::numpy, T>(data, shape, owner));
}

const char *name_of(Precision precision)
{
  return precision == Precision::single ? "float32" : "float64";
}

class PyEngine
{
 public:
  PyEngine(const std::string &path, const std::vector<int> &atomic_numbers,
           const std::string &precision)
      : types_(static_cast<int>(atomic_numbers.size()))
  {
    const Model model = moalloy::load_model(path);
    std::vector<int> rows;
    for (int z : atomic_numbers) {
      const auto found = std::find(model.atomic_numbers.begin(), model.atomic_numbers.end(), z);
      if (found == model.atomic_numbers.end())
        throw ModelError(path + ": expected a model with the element of atomic number " +
                         std::to_string(z) + ", found one without it");
      rows.push_back(static_cast<int>(found - model.atomic_numbers.begin()));
    }
    if (rows.empty()) throw nb::value_error("atomic_numbers: expected at least one");
    r_max_ = model.r_max;
    precision_ = model.precision;
    if (precision == "float32")
      precision_ = Precision::single;
    else if (precision == "float64")
      precision_ = Precision::dbl;
    else if (!precision.empty())
      throw nb::value_error("precision: expected float32 or float64");
    engine_ = moalloy::make_engine(model, rows, precision_);
  }

  nb::dict evaluate(const Ints &types, const Ints &senders, const Ints &receivers,
                    const Vectors &vectors, int threads, bool virials)
  {
    const std::size_t n = types.shape(0);
    for (std::size_t i = 0; i < n; ++i)
      if (types.data()[i] < 0 || types.data()[i] >= types_)
        throw nb::value_error("types: expected indices of atomic_numbers");
    const EdgeList edges(static_cast<int>(n), senders, receivers, vectors);
    {
      nb::gil_scoped_release release;
      engine_->begin({static_cast<int>(n), static_cast<int>(n), types.data(), &edges}, threads,
                     virials);
      engine_->first_layer();
      if (engine_->layers() > 1) {
        engine_->second_layer();
        engine_->first_layer_back();
      }
    }
    nb::dict result;
    double energy = 0;
    for (double e : engine_->energies()) energy += e;
    result["energy"] = energy;
    result["energies"] = array(engine_->energies(), {n});
    result["forces"] = array(engine_->forces(), {n, 3});
    result["virial"] = array(std::vector<double>(engine_->virial(), engine_->virial() + 9), {3, 3});
    if (virials) result["virials"] = array(engine_->virials(), {n, 3, 3});
    return result;
  }

  double r_max() const { return r_max_; }
  std::string precision() const { return name_of(precision_); }
  std::string instructions() const { return engine_->instructions(); }
  double radial_error() const { return engine_->radial_error(); }

 private:
  std::unique_ptr<moalloy::Engine> engine_;
  double r_max_ = 0;
  Precision precision_ = Precision::single;
  int types_;
};

nb::dict summary(const std::string &path)
{
  const Model model = moalloy::load_model(path);
  nb::dict result;
  result["atomic_numbers"] = model.atomic_numbers;
  result["energies_0"] = model.energies_0;
  result["precision"] = name_of(model.precision);
  result["r_max"] = model.r_max;
  result["channels"] = model.channels;
  result["layers"] = model.layers.size();
  result["head"] = model.head;
  return result;
}

}  // namespace

NB_MODULE(_engine, m)
{
  m.doc() = "MACE in C++ (see moalloy_md/native/engine)";
  m.def("load_model", &summary, nb::arg("path"),
        "Read a model file completely and say what it holds. RuntimeError: it is not one.");
  nb::class_<PyEngine>(m, "Engine")
      .def(nb::init<const std::string &, const std::vector<int> &, const std::string &>(),
           nb::arg("path"), nb::arg("atomic_numbers"), nb::arg("precision") = "")
      .def("evaluate", &PyEngine::evaluate, nb::arg("types"), nb::arg("senders"),
           nb::arg("receivers"), nb::arg("vectors"), nb::arg("threads") = 1,
           nb::arg("virials") = false)
      .def_prop_ro("r_max", &PyEngine::r_max)
      .def_prop_ro("precision", &PyEngine::precision)
      .def_prop_ro("instructions", &PyEngine::instructions)
      .def_prop_ro("radial_error", &PyEngine::radial_error);
}
