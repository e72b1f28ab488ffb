#include "evaluator.h"

#include "block.h"
#include "scatter.h"

#include <algorithm>
#include <cstring>
#include <exception>

namespace moalloy
{

namespace
{

/* A of the first layer is needed again on the way back. Rows up to this size are kept, which costs
   memory; larger ones are computed again, which costs 8 to 12 % of the time. */
constexpr std::size_t kKeptBytes = 5000;

}  // namespace

template <class Real> struct Evaluator<Real>::Shared {
  Parameters<Real> parameters;
  ZblTable zbl;
  const Kernels<Real> &kernels;
};

// What one thread works with.
template <class Real> struct Evaluator<Real>::Worker {
  Block<Real> block;
  Share share{};
  KeptNeighbours kept;
  Scatter<Real> adjoints;
  Scatter<double> forces, virials;
  double virial[9] = {};
  std::size_t edges = 0;
  double energies[Block<Real>::kCentres] = {};
  std::vector<Real *> adjoint_rows;

  const Kernels<Real> &kernels;

  explicit Worker(const Shared &shared)
      : block(shared.parameters, shared.kernels, shared.zbl), kernels(shared.kernels)
  {
  }

  void collect_adjoint_rows();
  void scatter_gradients(bool of_atoms);
  void scatter_virials(int centre, const Neighbourhood<Real> &n);
};

template <class Real> void Evaluator<Real>::Worker::collect_adjoint_rows()
{
  for (int c = 0; c < block.count(); ++c) adjoints.reserve(block.neighbourhood(c).nodes());
  adjoint_rows.clear();
  for (int c = 0; c < block.count(); ++c)
    for (const int node : block.neighbourhood(c).nodes())
      adjoint_rows.push_back(adjoints.row(node));
}

template <class Real> void Evaluator<Real>::Worker::scatter_gradients(bool of_atoms)
{
  for (int c = 0; c < block.count(); ++c) {
    const Neighbourhood<Real> &n = block.neighbourhood(c);
    double sum[3];
    kernels.strain(n.count, n.stride, n.x.data(), n.y.data(), n.z.data(), n.gradient, sum, virial);
    forces.reserve(n.nodes());
    for (int e = 0; e < n.count; ++e) {
      double *other = forces.row(n.node[e]);
      for (int a = 0; a < 3; ++a) other[a] += n.gradient[a * n.stride + e];
    }
    double *own = forces.row(block.centre(c));
    for (int a = 0; a < 3; ++a) own[a] -= sum[a];
    if (of_atoms) scatter_virials(block.centre(c), n);
  }
}

// Half of what an edge has to each of its ends.
template <class Real>
void Evaluator<Real>::Worker::scatter_virials(int centre, const Neighbourhood<Real> &n)
{
  virials.reserve(n.nodes());
  for (int e = 0; e < n.count; ++e) {
    const double v[3] = {n.x[e], n.y[e], n.z[e]};
    for (const int node : {centre, n.node[e]}) {
      double *w = virials.row(node);
      for (int a = 0; a < 3; ++a)
        for (int b = 0; b < 3; ++b) w[3 * a + b] += 0.5 * v[a] * n.gradient[b * n.stride + e];
    }
  }
}

template <class Real>
Evaluator<Real>::Evaluator(const Model &model, const std::vector<int> &element_of_type)
    : shared_(std::make_unique<Shared>(Shared{make_parameters<Real>(model, element_of_type),
                                              ZblTable(model, element_of_type), kernels<Real>()}))
{
}

template <class Real> Evaluator<Real>::~Evaluator() = default;

template <class Real> int Evaluator<Real>::layers() const
{
  return static_cast<int>(shared_->parameters.layers.size());
}

template <class Real> std::size_t Evaluator<Real>::feature_size() const
{
  if (layers() < 2) return 0;
  const int n = shared_->parameters.layers[1].l_in + 1;
  return static_cast<std::size_t>(n) * n * shared_->parameters.width;
}

template <class Real> std::size_t Evaluator<Real>::a_size() const
{
  return static_cast<std::size_t>(shared_->parameters.components) * shared_->parameters.width;
}

template <class Real> bool Evaluator<Real>::keeps_a() const
{
  return layers() > 1 && a_size() * sizeof(Real) <= kKeptBytes;
}

template <class Real> void Evaluator<Real>::add_adjoints(int node, const char *from)
{
  Real *to = &adjoints_[node * feature_size()];
  for (std::size_t k = 0; k < feature_size(); ++k) {
    Real value;
    std::memcpy(&value, from + k * sizeof(Real), sizeof(Real));
    to[k] += value;
  }
}

template <class Real> double Evaluator<Real>::memory() const
{
  double bytes = shared_->parameters.memory();
  for (const auto *rows : {&features_, &adjoints_, &shortcut_, &a_})
    bytes += static_cast<double>(rows->capacity()) * sizeof(Real);
  for (const auto *numbers : {&energies_, &forces_, &virials_})
    bytes += static_cast<double>(numbers->capacity()) * sizeof(double);
  for (const auto &worker : workers_)
    bytes += worker->block.memory() + worker->kept.memory() + worker->adjoints.memory() +
             worker->forces.memory() + worker->virials.memory();
  return bytes;
}

template <class Real> double Evaluator<Real>::radial_error() const
{
  return shared_->parameters.radial_error;
}

template <class Real> const char *Evaluator<Real>::instructions() const
{
  return shared_->kernels.name;
}

template <class Real>
void Evaluator<Real>::begin(const System &system, int threads, bool virials_of_atoms)
{
  system_ = system;
  threads_ = std::max(1, std::min(threads, std::max(1, system.centres / Block<Real>::kCentres)));
  virials_of_atoms_ = virials_of_atoms;
  while (static_cast<int>(workers_.size()) < threads_)
    workers_.push_back(std::make_unique<Worker>(*shared_));
  const std::size_t nodes = system.nodes, centres = system.centres;
  features_.resize(nodes * feature_size());
  adjoints_.resize(nodes * feature_size());
  shortcut_.resize(layers() > 1 ? centres * shared_->parameters.width : 0);
  a_.resize(keeps_a() ? centres * a_size() : 0);
  energies_.assign(centres, 0.0);
  forces_.assign(3 * nodes, 0.0);
  virials_.assign(virials_of_atoms ? 9 * nodes : 0, 0.0);
  std::fill_n(virial_, 9, 0.0);
}

// The first layer has gradients of its own where it is the only one.
template <class Real> bool Evaluator<Real>::has_gradients(Sweep sweep) const
{
  return sweep != Sweep::first || layers() == 1;
}

// What one thread does in for_blocks.
template <class Real>
template <class Do>
void Evaluator<Real>::do_share(Worker &worker, Sweep sweep, Do &&todo)
{
  const bool gradients = has_gradients(sweep), adjoints = sweep == Sweep::second;
  const int nodes = system_.nodes;
  std::fill_n(worker.virial, 9, 0.0);
  worker.edges = 0;
  if (gradients) worker.forces.begin(forces_.data(), 3, nodes, worker.share);
  if (gradients && virials_of_atoms_) worker.virials.begin(virials_.data(), 9, nodes, worker.share);
  if (sweep == Sweep::first)
    worker.kept.clear();
  else
    worker.kept.rewind();
  if (adjoints) worker.adjoints.begin(adjoints_.data(), feature_size(), nodes, worker.share);
  const int end = worker.share.centre_end;
  for (int first = worker.share.centre_first; first < end; first += Block<Real>::kCentres) {
    const int count = std::min(Block<Real>::kCentres, end - first);
    worker.block.load(system_, first, count, worker.kept, sweep != Sweep::first);
    worker.block.place_a(sweep == Sweep::second || a_.empty() ? nullptr : &a_[first * a_size()]);
    std::fill_n(worker.energies, count, 0.0);
    todo(worker);
    for (int c = 0; c < count; ++c) {
      if (system_.type[first + c] >= 0) energies_[first + c] += worker.energies[c];
      worker.edges += worker.block.neighbourhood(c).count;
    }
    if (gradients) worker.scatter_gradients(virials_of_atoms_);
  }
}

/* Every thread goes over its centres, block by block; what it computed for nodes of others is
   collected by their owners, in the order of the threads. */
template <class Real> template <class Do> void Evaluator<Real>::for_blocks(Sweep sweep, Do &&todo)
{
  const bool gradients = has_gradients(sweep), adjoints = sweep == Sweep::second;
  std::exception_ptr failure;  // memory ran out: no exception may leave a parallel region
#pragma omp parallel for schedule(static, 1) num_threads(threads_)
  for (int t = 0; t < threads_; ++t) try {
      workers_[t]->share = Share::of(t, threads_, system_.centres, system_.nodes);
      do_share(*workers_[t], sweep, todo);
    } catch (...) {
#pragma omp critical
      failure = std::current_exception();
    }
  if (failure) std::rethrow_exception(failure);
  if (threads_ > 1)
#pragma omp parallel for schedule(static, 1) num_threads(threads_)
    for (int t = 0; t < threads_; ++t)
      for (int other = 0; other < threads_; ++other) {
        if (other == t) continue;
        if (gradients) workers_[t]->forces.collect(workers_[other]->forces);
        if (gradients && virials_of_atoms_) workers_[t]->virials.collect(workers_[other]->virials);
        if (adjoints) workers_[t]->adjoints.collect(workers_[other]->adjoints);
      }
  edges_ = 0;
  for (int t = 0; t < threads_; ++t) edges_ += workers_[t]->edges;
  if (gradients)
    for (int t = 0; t < threads_; ++t)
      for (int k = 0; k < 9; ++k) virial_[k] += workers_[t]->virial[k];
}

template <class Real> void Evaluator<Real>::first_layer()
{
  const Parameters<Real> &p = shared_->parameters;
  for (int i = 0; i < system_.centres; ++i)
    if (system_.type[i] >= 0) energies_[i] = p.energies_0[system_.type[i]];
  const bool only = layers() == 1;
  for_blocks(Sweep::first, [&](Worker &worker) {
    Block<Real> &block = worker.block;
    block.first_message();
    block.product(0);
    block.add_shortcut(0, nullptr);
    block.clear_out_hat();
    block.readout(0, worker.energies);
    if (only) {
      block.product_back(0);
      block.first_message_back(worker.energies);
      return;
    }
    block.up(features_.data());
    if (p.layers[1].residual) block.skip(shortcut_.data());
  });
}

template <class Real> void Evaluator<Real>::second_layer()
{
  const Parameters<Real> &p = shared_->parameters;
  std::fill(adjoints_.begin(), adjoints_.end(), Real(0));
  for_blocks(Sweep::second, [&](Worker &worker) {
    Block<Real> &block = worker.block;
    block.later_message(features_.data());
    block.product(1);
    block.add_shortcut(1, shortcut_.data());
    block.clear_out_hat();
    block.readout(1, worker.energies);
    // from here on the shortcut is not needed: its place holds its adjoint
    if (p.layers[1].residual)
      for (int c = 0; c < block.count(); ++c)
        std::copy_n(block.out_hat(c), p.width,
                    &shortcut_[static_cast<std::size_t>(block.centre(c)) * p.width]);
    block.product_back(1);
    worker.collect_adjoint_rows();
    block.later_message_back(features_.data(), worker.adjoint_rows);
  });
}

template <class Real> void Evaluator<Real>::first_layer_back()
{
  const Parameters<Real> &p = shared_->parameters;
  for_blocks(Sweep::back, [&](Worker &worker) {
    Block<Real> &block = worker.block;
    if (a_.empty())
      block.first_message();
    else
      block.first_message_kept();
    block.clear_out_hat();
    double counted[Block<Real>::kCentres] = {};  // its energy is counted already
    const bool nonlinear = std::any_of(p.readouts.begin(), p.readouts.end(),
                                       [](const auto &r) { return r.layer == 0 && r.hidden > 0; });
    if (nonlinear) {
      block.product(0);
      block.add_shortcut(0, nullptr);
    }
    block.readout(0, counted);
    block.up_back(adjoints_.data());
    if (p.layers[1].residual) block.skip_back(shortcut_.data());
    block.product_back(0);
    block.first_message_back(worker.energies);
  });
}

template class Evaluator<float>;
template class Evaluator<double>;

std::unique_ptr<Engine> make_engine(const Model &model, const std::vector<int> &element_of_type,
                                    Precision precision)
{
  if (precision == Precision::single)
    return std::make_unique<Evaluator<float>>(model, element_of_type);
  return std::make_unique<Evaluator<double>>(model, element_of_type);
}

}  // namespace moalloy
