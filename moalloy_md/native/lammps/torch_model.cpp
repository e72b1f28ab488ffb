#include "torch_model.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <c10/core/CPUAllocator.h>
#include <torch/csrc/api/include/torch/cuda.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>
#include <iterator>

namespace moalloy
{

namespace
{

// The line of a torch error that says what was wrong. Behind it stands a C++ backtrace that helps
// nobody at the terminal; before it, if it comes from within the model, the model's own traceback.
std::string essence(const std::string &text)
{
  const size_t name = text.rfind("Error: "), before = text.rfind('\n', name);
  const bool traceback = text.find("Traceback of TorchScript") != std::string::npos;
  const size_t begin = traceback && name != std::string::npos && before < name ? before + 1 : 0;
  return text.substr(begin, text.find('\n', begin) - begin);
}

bool contains(const std::string &text, const std::string &part)
{
  return text.find(part) != std::string::npos;
}

uint64_t number_at(const std::string &data, size_t position, int bytes)
{
  uint64_t value = 0;
  for (int k = bytes - 1; k >= 0; --k)
    value = (value << 8) | static_cast<unsigned char>(data.at(position + k));
  return value;
}

// Whether a zip archive has a member of this name, by its own directory: a pickled model carries
// whole TorchScript archives inside it. Offsets are those of the zip format, PKWARE's APPNOTE 4.3.
bool has_member(const std::string &zip, const std::string &name)
try {
  const size_t end = zip.rfind("PK\5\6");
  uint64_t entry = number_at(zip, end + 16, 4);
  if (entry == 0xffffffff) entry = number_at(zip, zip.rfind("PK\6\6") + 48, 8);
  while (zip.compare(entry, 4, "PK\1\2") == 0) {
    const size_t length = number_at(zip, entry + 28, 2);
    const std::string found = zip.substr(entry + 46, length);
    if (found.substr(found.find('/') + 1) == name) return true;
    entry += 46 + length + number_at(zip, entry + 30, 2) + number_at(zip, entry + 32, 2);
  }
  return false;
} catch (const std::out_of_range &) {  // a torn archive
  return false;
}

// Says what a file that is no TorchScript model is instead, from its content, and what to do.
std::string diagnose(const std::string &path, const std::string &of_torch)
{
  std::ifstream file(path, std::ios::binary);
  if (!file) return "it cannot be opened: check the path";
  const std::string content{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (content.empty()) return "it is empty: export the model again";
  const std::string wanted = "pair_style mace needs the model-lammps.pt of a bundle: "
                             "run 'moalloy export MODEL --out BUNDLE'";
  if (content.compare(0, 2, "PK") == 0) {
    if (!contains(content, "PK\5\6")) return "its end is missing: copy or export it again";
    if (has_member(content, "constants.pkl"))
      return "this torch cannot read it (" + essence(of_torch) +
             "): export the model again with the torch that is installed here";
    if (contains(content, "LAMMPS_MLIAP_MACE")) return "it was made for ML-IAP; " + wanted;
    return "it is a Python model or checkpoint (such as mace-torch's .model); " + wanted;
  }
  if (content.size() > 9 && content[8] == '{')
    return "it is a safetensors file: that is for pair_style mace/native; " + wanted;
  return "it is no TorchScript file; " + wanted;
}

// Counts what is allocated while it takes the place of torch's allocator. Blocks may outlive that.
class CountingAllocator : public c10::Allocator
{
 public:
  explicit CountingAllocator(c10::Allocator *counted) : counted_(counted) {}

  c10::DataPtr allocate(size_t n) override
  {
    auto *block = new Block{counted_->allocate(n), n, this};
    const size_t now = held_ += n;
    for (size_t most = peak_; now > most && !peak_.compare_exchange_weak(most, now);) {
    }
    return {block->data.get(), block, &release, c10::Device(c10::kCPU)};
  }
  void copy_data(void *to, const void *from, size_t n) const override
  {
    default_copy_data(to, from, n);
  }
  size_t peak() const { return peak_; }

 private:
  struct Block {
    c10::DataPtr data;
    size_t size;
    CountingAllocator *owner;
  };
  static void release(void *context)
  {
    const std::unique_ptr<Block> block(static_cast<Block *>(context));
    block->owner->held_ -= block->size;
  }

  c10::Allocator *counted_;
  std::atomic<size_t> held_{0}, peak_{0};
};

class ScriptedModel : public TorchModel
{
 public:
  ScriptedModel(const std::string &path, const std::string &device);

  double r_max() const override { return r_max_; }
  int n_layers() const override { return n_layers_; }
  const std::vector<int> &atomic_numbers() const override { return atomic_numbers_; }
  bool has_edge_gradient() const override { return edge_gradient_; }
  bool has_pair_repulsion() const override { return pair_repulsion_; }
  std::string dtype() const override { return dtype_ == c10::kFloat ? "float32" : "float64"; }
  void evaluate(const Graph &graph, bool want_virial, Evaluation &result) override;
  double peak_memory(const Graph &graph) override;

 private:
  // Move an array to where the model computes; no copy where it is there already.
  template <typename T>
  at::Tensor tensor(const std::vector<T> &values, at::IntArrayRef shape,
                    c10::ScalarType target) const
  {
    auto *data = const_cast<T *>(values.data());  // from_blob takes no const; nothing writes to it
    return at::from_blob(data, shape, c10::CppTypeToScalarType<T>::value).to(device_, target);
  }

  torch::jit::Module module_;
  c10::Device device_{c10::kCPU};
  c10::ScalarType dtype_ = c10::kDouble;
  double r_max_ = 0.0;
  int n_layers_ = 0;
  std::vector<int> atomic_numbers_;
  bool edge_gradient_ = false, pair_repulsion_ = false;
};

ScriptedModel::ScriptedModel(const std::string &path, const std::string &device)
{
  if (!std::ifstream(path))
    throw ModelError("model file " + path + " cannot be opened: check the path");
  try {
    device_ = c10::Device(device);
    module_ = torch::jit::load(path, device_);
  } catch (const std::exception &error) {
    const std::string text = error.what();
    if (contains(text, "CUDA") || contains(text, "out of memory"))
      throw ModelError("the model could not be put on " + device + ": " + essence(text) +
                       ": check nvidia-smi, or set CUDA_VISIBLE_DEVICES to nothing to use the CPU");
    // torch's own words ("your checkpoint file is corrupted") mislead where the file is of another
    // kind
    throw ModelError("expected a TorchScript MACE model in " + path + ", but " +
                     diagnose(path, text));
  }
  try {
    module_.eval();
    r_max_ = module_.attr("r_max").toTensor().item<double>();
    n_layers_ = static_cast<int>(module_.attr("num_interactions").toTensor().item<int64_t>());
    const auto numbers = module_.attr("atomic_numbers").toTensor().to(c10::kCPU, c10::kLong);
    for (int64_t i = 0; i < numbers.numel(); ++i)
      atomic_numbers_.push_back(static_cast<int>(numbers[i].item<int64_t>()));
    edge_gradient_ = module_.hasattr("moalloy_edge_gradient");
    if (module_.hasattr("model") && module_.attr("model").isModule())
      pair_repulsion_ = module_.attr("model").toModule().hasattr("pair_repulsion_fn");
    dtype_ = c10::kDouble;
    for (const auto &parameter : module_.named_parameters(true))
      if (parameter.value.is_floating_point()) {
        dtype_ = parameter.value.scalar_type();
        break;
      }
  } catch (const std::exception &) {
    throw ModelError(
        "expected a MACE model in " + path +
        ", found a TorchScript file without r_max, num_interactions and atomic_numbers: "
        "run 'moalloy export MODEL --out BUNDLE'");
  }
}

void ScriptedModel::evaluate(const Graph &graph, bool want_virial, Evaluation &result)
{
  const int64_t n = graph.n_nodes(), n_edges = graph.n_edges();
  const auto real = at::TensorOptions().dtype(dtype_).device(device_);
  const auto integer = at::TensorOptions().dtype(c10::kLong).device(device_);
  try {
    // All geometry travels in the edge vectors. They go in as the shifts, over nodes that all sit
    // at the origin, and as the unit shifts of a unit cell, so that a model that strains its cell
    // to get the virial strains the edges: (I + e) v. What rounds to float32 is then a short
    // vector, not a coordinate in a box of a thousand Å.
    const auto species = tensor(graph.species, {n}, c10::kLong);
    const auto vectors = tensor(graph.vectors, {n_edges, 3}, dtype_);
    auto node_attrs = at::zeros({n, static_cast<int64_t>(atomic_numbers_.size())}, real);
    node_attrs.scatter_(1, species.unsqueeze(1), 1.0);
    auto owned = at::zeros({n}, real);
    owned.slice(0, 0, graph.n_owned).fill_(1.0);
    auto ptr = at::zeros({2}, integer);
    ptr.slice(0, 1, 2).fill_(n);

    c10::Dict<std::string, at::Tensor> input;
    input.insert("positions", at::zeros({n, 3}, real));
    input.insert("shifts", vectors);
    input.insert("unit_shifts", vectors);
    input.insert("cell", at::eye(3, real));
    input.insert("edge_index", tensor(graph.edge_index, {2, n_edges}, c10::kLong));
    input.insert("node_attrs", node_attrs);
    input.insert("batch", at::zeros({n}, integer));
    input.insert("ptr", ptr);
    const bool virial_from_model = want_virial && !edge_gradient_;
    const auto output = module_.forward({input, owned, virial_from_model}).toGenericDict();

    auto fetch = [&output](const char *name, int64_t size, std::vector<double> &values) {
      const auto tensor =
          output.at(name).toTensor().detach().to(c10::kCPU, c10::kDouble).contiguous().view({-1});
      const double *data = tensor.const_data_ptr<double>();
      values.assign(data, data + size);
    };
    fetch("node_energy", graph.n_owned, result.node_energy);
    result.edge_gradient.clear();
    result.node_force.clear();
    if (edge_gradient_) {
      fetch("edge_gradient", 3 * n_edges, result.edge_gradient);
    } else {
      fetch("forces", 3 * n, result.node_force);
      if (want_virial) {
        std::vector<double> w;
        fetch("virials", 9, w);
        result.virial = {
            w[0], w[4], w[8], 0.5 * (w[1] + w[3]), 0.5 * (w[2] + w[6]), 0.5 * (w[5] + w[7])};
      }
    }
  } catch (const std::exception &error) {
    const std::string text = error.what();
    if (dynamic_cast<const std::bad_alloc *>(&error) || contains(text, "out of memory") ||
        contains(text, "can't allocate memory") || contains(text, "bad_alloc"))
      throw ModelError("memory ran out on " + device_.str() + " for " +
                       std::to_string(graph.n_owned) + " atoms and " + std::to_string(n_edges) +
                       " edges of this rank: use fewer atoms, more nodes or devices, a smaller "
                       "model, float32, or pair_style mace/native, which needs a hundredth");
    throw ModelError("the model could not be evaluated: " + essence(text));
  }
}

double ScriptedModel::peak_memory(const Graph &graph)
{
  if (!device_.is_cpu()) return 0.0;
  constexpr uint8_t priority = 255;  // above whoever set one before
  c10::Allocator *usual = c10::GetCPUAllocator();
  auto *counting = new CountingAllocator(usual);  // never deleted: tensors may keep its blocks
  Evaluation unused;
  c10::SetCPUAllocator(counting, priority);
  try {
    evaluate(graph, false, unused);
  } catch (const ModelError &) {
    c10::SetCPUAllocator(usual, priority);
    return 0.0;
  }
  c10::SetCPUAllocator(usual, priority);
  return static_cast<double>(counting->peak());
}

class Library : public TorchLibrary
{
 public:
  std::unique_ptr<TorchModel> load(const std::string &path,
                                   const std::string &device) const override
  {
    return std::make_unique<ScriptedModel>(path, device);
  }
  int cuda_devices() const override
  {
    return torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
  }
  void set_threads(int n) const override { at::set_num_threads(n); }
};

}  // namespace
}  // namespace moalloy

extern "C" __attribute__((visibility("default"))) const moalloy::TorchLibrary *
moalloy_torch_library()
{
  static const moalloy::Library library;
  return &library;
}
