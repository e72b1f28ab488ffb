#include "model.h"

#include "json.h"
#include "safetensors.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <new>
#include <set>
#include <tuple>
#include <utility>

namespace moalloy
{

namespace
{

const std::string export_again = "Export the model again: 'moalloy export MODEL --out BUNDLE'";
const std::string update = "Update moalloy_md, or export the model again with the version here";

constexpr int format_version = 1;
constexpr int max_degree = 3;          // of harmonics
constexpr int max_feature_degree = 2;  // that a layer puts out
constexpr int max_channels = 4096;     // this and the next are far above any model's
constexpr int max_width = 262144;      // of a layer of a radial network or readout
constexpr int max_parameters = 4096;   // per element and channel of one order; MACE has up to 65
constexpr int max_power = 100;         // of the cutoff polynomial

std::string indexed(const std::string &name, size_t i)
{
  return name + "[" + std::to_string(i) + "]";
}

// ---------------------------------------------------------------- the header: what there is

void read_elements(JsonFields &fields, Model &model)
{
  model.atomic_numbers = fields.integers("atomic_numbers", 1, 118);
  std::set<int> once;
  for (const int z : model.atomic_numbers)
    if (!once.insert(z).second)
      throw_expected("each element once in atomic_numbers", std::to_string(z) + " twice");
  if (once.empty()) throw_expected("atomic_numbers with at least one element", "none");
}

void read_pair_terms(JsonFields &fields, Model &model)
{
  const auto given = [](const Json &value) { return value.as<std::nullptr_t>() == nullptr; };
  if (const Json &value = fields.any("agnesi"); given(value)) {
    JsonFields agnesi(value, "agnesi");
    model.agnesi = Agnesi{agnesi.positive("a"), agnesi.positive("q"), agnesi.positive("p"), {}};
    agnesi.finish();
  }
  if (const Json &value = fields.any("zbl"); given(value)) {
    JsonFields zbl(value, "zbl");
    model.zbl = Zbl{zbl.positive("exponent"),
                    zbl.positive("length"),
                    zbl.integer("cutoff_power", 1, max_power),
                    {},
                    {}};
    zbl.finish();
  }
}

int count_paths(int l_in, int l_max)
{
  int n = 0;
  for (int l1 = 0; l1 <= l_in; ++l1)
    for (int l2 = 0; l2 <= l_max; ++l2)
      for (int l3 = std::abs(l1 - l2); l3 <= std::min(l1 + l2, l_max); l3 += 2) ++n;
  return n;
}

// Paths in the order of the radial network's outputs: ascending in (l3, l1, l2).
void read_paths(JsonFields &fields, const Model &model, Layer &layer)
{
  const auto &rows = fields.array("paths");
  const std::string place = fields.place("paths");
  if (rows.empty()) throw_expected(place + " with at least one path", "none");
  for (size_t p = 0; p < rows.size(); ++p) {
    const auto l = json_integers(rows[p], indexed(place, p), 0, max_degree);
    if (l.size() != 3) throw_expected(indexed(place, p) + " as [l1, l2, l3]", describe(rows[p]));
    const std::string found = std::string("[") + std::to_string(l[0]) + ", " +
                              std::to_string(l[1]) + ", " + std::to_string(l[2]) + "]";
    if (l[0] > layer.l_in || l[1] > model.l_max || l[2] > model.l_max)
      throw_expected(indexed(place, p) + " with l1 <= l_in and l2, l3 <= l_max", found);
    if (l[2] < std::abs(l[0] - l[1]) || l[2] > l[0] + l[1] || (l[0] + l[1] + l[2]) % 2 != 0)
      throw_expected(indexed(place, p) + " that couples by the triangle rule to even parity",
                     found);
    if (!layer.paths.empty()) {
      const Path &last = layer.paths.back();
      if (std::tie(last.l3, last.l1, last.l2) >= std::tie(l[2], l[0], l[1]))
        throw_expected(place + " each once, ascending in (l3, l1, l2)", found + " out of order");
    }
    layer.paths.push_back({l[0], l[1], l[2], {}, {}});
  }
  const int all = count_paths(layer.l_in, model.l_max);
  if (static_cast<int>(layer.paths.size()) != all)
    throw_expected(place + " with all " + std::to_string(all) + " that couple",
                   std::to_string(layer.paths.size()));
}

void read_products(JsonFields &fields, bool last, Layer &layer)
{
  const auto degrees = fields.integers("degrees", 0, max_feature_degree);
  const std::string place = fields.place("degrees");
  const int correlation = fields.integer("correlation", 1, 3);
  if (degrees.empty()) throw_expected(place + " with at least one degree", "none");
  for (size_t i = 0; i < degrees.size(); ++i) {
    if (degrees[i] != static_cast<int>(i))
      throw_expected(place + " as 0, 1, ... up to the highest",
                     indexed(place, i) + " = " + std::to_string(degrees[i]));
    Product product{degrees[i], {}, {}};
    for (int order = 1; order <= correlation; ++order)
      product.monomials.push_back({order, 0, {}, {}, {}});
    layer.products.push_back(product);
  }
  if (last && layer.l_out() != 0)
    throw_expected(place + " as [0], this being the last layer",
                   "degrees up to " + std::to_string(layer.l_out()));
}

Layer read_layer(const Json &value, const std::string &name, const Model &model, bool last)
{
  JsonFields fields(value, name);
  Layer layer{};
  layer.residual = fields.boolean("residual");
  layer.density = fields.boolean("density");
  layer.l_in = fields.integer("l_in", 0, max_feature_degree);
  const int entering = model.layers.empty() ? 0 : model.layers.back().l_out();
  if (layer.l_in != entering)
    throw_expected(fields.place("l_in") + " = " + std::to_string(entering) +
                       ", the highest degree that enters",
                   std::to_string(layer.l_in));
  read_paths(fields, model, layer);
  layer.widths = fields.integers("widths", 1, max_width);
  const std::string widths = fields.place("widths");
  const int outputs = static_cast<int>(layer.paths.size()) * model.channels;
  if (layer.widths.size() < 2 || layer.widths.size() > 32 || layer.widths.back() != outputs)
    throw_expected(widths + " that end with paths * channels = " + std::to_string(outputs),
                   layer.widths.empty() ? "none"
                                        : std::to_string(layer.widths.size()) + " that end with " +
                                              std::to_string(layer.widths.back()));
  if (!model.layers.empty() && layer.widths[0] != model.layers[0].widths[0])
    throw_expected(widths + " that begin with the Bessel functions of layers[0], " +
                       std::to_string(model.layers[0].widths[0]),
                   std::to_string(layer.widths[0]));
  read_products(fields, last, layer);
  fields.finish();
  return layer;
}

void read_readouts(JsonFields &fields, Model &model)
{
  const auto &rows = fields.array("readouts");
  const int layers = static_cast<int>(model.layers.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    JsonFields row(rows[i], indexed("readouts", i));
    const int layer = row.integer("layer", 0, layers - 1);
    if (!model.readouts.empty() && layer <= model.readouts.back().layer)
      throw_expected("readouts in the order of their layers, one of each",
                     "layer " + std::to_string(layer) + " after layer " +
                         std::to_string(model.readouts.back().layer));
    model.readouts.push_back({layer, row.integer("hidden", 0, max_width), {}, {}});
    row.finish();
  }
  if (model.readouts.empty() || model.readouts.back().layer != layers - 1)
    throw_expected("a readout of the last layer",
                   std::to_string(model.readouts.size()) + " readouts without it");
}

// Everything but the numbers of the tensors. Throws sentences without path and advice.
Model read_header(const std::string &text)
{
  const Json json = parse_json(text, "the metadata 'model'");
  JsonFields fields(json, "");
  Model model{};
  read_elements(fields, model);
  const std::string &dtype = fields.text("dtype");
  if (dtype != "float32" && dtype != "float64")
    throw_expected("dtype as float32 or float64", shown(dtype));
  model.precision = dtype == "float64" ? Precision::dbl : Precision::single;
  model.head = fields.text("head");
  model.channels = fields.integer("channels", 1, max_channels);
  model.l_max = fields.integer("l_max", 0, max_degree);
  model.r_max = fields.positive("r_max");
  model.cutoff_power = fields.integer("cutoff_power", 1, max_power);
  model.bessel_prefactor = fields.positive("bessel_prefactor");
  model.cutoff_before_network = fields.boolean("cutoff_before_network");
  model.activation_constant = fields.positive("activation_constant");
  model.readout_constant = fields.positive("readout_constant");
  model.scale = fields.number("scale");
  model.shift = fields.number("shift");
  read_pair_terms(fields, model);
  const auto &layers = fields.array("layers");
  if (layers.empty() || layers.size() > 2)
    throw_expected("1 or 2 layers", std::to_string(layers.size()));
  for (size_t t = 0; t < layers.size(); ++t)
    model.layers.push_back(
        read_layer(layers[t], indexed("layers", t), model, t + 1 == layers.size()));
  read_readouts(fields, model);
  fields.finish();
  return model;
}

// Says what the file is for before anything else in it is looked at: a foreign one and a newer
// one may differ in all the rest.
void check_identity(const SafetensorsFile &file)
{
  const auto &metadata = file.metadata();
  const auto value = [&metadata](const std::string &key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string() : found->second;
  };
  if (value("format") != "moalloy-mace")
    file.refuse("a model.safetensors of moalloy_md (format 'moalloy-mace')",
                "a safetensors file of something else (" +
                    (metadata.contains("format") ? "format " + shown(value("format"))
                                                 : std::string("without a format")) +
                    ")",
                "Run 'moalloy export MODEL --out BUNDLE', MODEL being a .model file of "
                "mace-torch, and give the model.safetensors in BUNDLE");
  const std::string text = value("format_version");
  int version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == text.npos;
  if (digits && (error == std::errc::result_out_of_range || version > format_version))
    file.refuse("format_version " + std::to_string(format_version), shown(text) + ": a newer one",
                update);
  if (text != std::to_string(format_version))
    file.refuse("format_version " + std::to_string(format_version), shown(text), export_again);
  for (const auto &[key, unused] : metadata)
    if (key != "format" && key != "format_version" && key != "model")
      file.refuse("the metadata format, format_version and model", shown(key), export_again);
  if (!metadata.contains("model"))
    file.refuse("the metadata format, format_version and model", "no model", export_again);
}

// ---------------------------------------------------------------- the tensors: the numbers

class TensorReader
{
 public:
  TensorReader(SafetensorsFile &file, Model &model)
      : file(file), model(model), dtype(model.precision == Precision::dbl ? "F64" : "F32"),
        elements(model.elements()), channels(model.channels)
  {
  }

  void read_all()
  {
    model.energies_0 = doubles("energies_0", {elements});
    model.embedding = weights("embedding", {elements, channels});
    model.bessel = doubles("bessel", {model.layers[0].widths[0]});
    if (model.agnesi) model.agnesi->radii = radii("agnesi.radii");
    if (model.zbl) {
      model.zbl->radii = radii("zbl.radii");
      model.zbl->terms = doubles("zbl.terms", {4});
    }
    for (size_t t = 0; t < model.layers.size(); ++t)
      read_layer("layers." + std::to_string(t) + ".", model.layers[t]);
    for (size_t i = 0; i < model.readouts.size(); ++i) {
      Readout &readout = model.readouts[i];
      const std::string name = "readout." + std::to_string(i) + ".";
      const int64_t hidden = readout.hidden;
      readout.weights =
          weights(name + "weights", hidden > 0 ? Shape{channels, hidden} : Shape{channels});
      if (hidden > 0) readout.output = weights(name + "output", {hidden});
    }
    file.refuse_unread();
  }

 private:
  SafetensorsFile &file;
  Model &model;
  std::string dtype;
  int64_t elements, channels;

  std::vector<double> weights(const std::string &name, const Shape &shape)
  {
    return file.reals(name, dtype, shape);
  }

  std::vector<double> doubles(const std::string &name, const Shape &shape)
  {
    return file.reals(name, "F64", shape);
  }

  std::vector<double> radii(const std::string &name)
  {
    auto values = doubles(name, {elements});
    for (const double value : values)
      if (value <= 0.0)
        file.refuse("positive radii in tensor " + name, std::to_string(value), export_again);
    return values;
  }

  void read_layer(const std::string &name, Layer &layer)
  {
    for (int l = 0; l <= layer.l_in; ++l)
      layer.up.push_back(weights(name + "up." + std::to_string(l), {channels, channels}));
    for (size_t p = 0; p < layer.paths.size(); ++p) {
      Path &path = layer.paths[p];
      const std::string prefix = name + "path." + std::to_string(p) + ".";
      path.coupling =
          doubles(prefix + "coupling", {2 * path.l1 + 1, 2 * path.l2 + 1, 2 * path.l3 + 1});
      path.linear = weights(prefix + "linear", {channels, channels});
    }
    for (size_t q = 0; q + 1 < layer.widths.size(); ++q)
      layer.network.push_back(
          weights(name + "network." + std::to_string(q), {layer.widths[q], layer.widths[q + 1]}));
    if (layer.density) layer.density_weights = weights(name + "density", {layer.widths[0]});
    const int top = layer.residual ? std::min(layer.l_in, layer.l_out()) : model.l_max;
    for (int l = 0; l <= top; ++l)
      layer.skip.push_back(
          weights(name + "skip." + std::to_string(l), {elements, channels, channels}));
    for (Product &product : layer.products) {
      const std::string prefix = name + "product." + std::to_string(product.degree) + ".";
      for (Monomials &monomials : product.monomials)
        read_monomials(prefix + std::to_string(monomials.order) + ".", product.degree, monomials);
      product.linear = weights(prefix + "linear", {channels, channels});
    }
  }

  // Degrees up to nu * l_max can be made of nu harmonics: only beyond are there no monomials, and
  // no tensors. In any other case missing ones are damage.
  void read_monomials(const std::string &name, int degree, Monomials &monomials)
  {
    const int order = monomials.order;
    if (degree > order * model.l_max) return;
    int64_t most = 1;  // distinct sorted tuples: components + order - 1 over order
    for (int i = 0; i < order; ++i) most = most * (model.components() + i) / (i + 1);
    const int64_t rows = std::clamp<int64_t>(file.dimension(name + "indices", 0), 1, most);
    monomials.indices = file.integers(name + "indices", {rows, order});
    check_indices(name + "indices", monomials);
    const int64_t parameters =
        std::clamp<int64_t>(file.dimension(name + "coefficients", 2), 1, max_parameters);
    monomials.parameters = static_cast<int>(parameters);
    monomials.coefficients = doubles(name + "coefficients", {rows, 2 * degree + 1, parameters});
    monomials.weights = weights(name + "weights", {elements, parameters, channels});
  }

  // Ascending in each row, and the rows ascending: so none is there twice.
  void check_indices(const std::string &name, const Monomials &monomials) const
  {
    const auto begin = monomials.indices.begin();
    for (int row = 0; row < monomials.count(); ++row) {
      const auto first = begin + row * monomials.order, last = first + monomials.order;
      if (!std::is_sorted(first, last) || *first < 0 || *(last - 1) >= model.components())
        file.refuse("ascending indices from 0 to " + std::to_string(model.components() - 1) +
                        " in each row of tensor " + name,
                    "others in row " + std::to_string(row), export_again);
      if (row > 0 && !std::lexicographical_compare(first - monomials.order, first, first, last))
        file.refuse("ascending rows in tensor " + name,
                    "row " + std::to_string(row) + " out of order", export_again);
    }
  }
};

}  // namespace

Model load_model(const std::string &path)
try {
  SafetensorsFile file(path);
  check_identity(file);
  Model model = [&file] {
    try {
      return read_header(file.metadata().at("model"));
    } catch (const ModelError &error) {
      file.refuse(error.what(), export_again);
    }
  }();
  file.read_table();
  TensorReader(file, model).read_all();
  return model;
} catch (const std::bad_alloc &) {
  throw ModelError(path + ": expected memory for this model, found too little. Keep fewer "
                          "elements: 'moalloy export MODEL --out BUNDLE --elements Mo,W'");
}

}  // namespace moalloy
