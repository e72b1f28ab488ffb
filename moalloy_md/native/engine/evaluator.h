// The engine in one precision.
#ifndef MOALLOY_EVALUATOR_H
#define MOALLOY_EVALUATOR_H

#include "aligned.h"
#include "engine.h"

#include <memory>
#include <vector>

namespace moalloy
{

template <class Real> class Evaluator final : public Engine
{
 public:
  Evaluator(const Model &model, const std::vector<int> &element_of_type);
  ~Evaluator() override;

  int layers() const override;
  std::size_t feature_bytes() const override { return feature_size() * sizeof(Real); }
  std::size_t kept_bytes() const override { return keeps_a() ? a_size() * sizeof(Real) : 0; }
  double radial_error() const override;
  const char *instructions() const override;
  double memory() const override;

  void begin(const System &system, int threads, bool virials_of_atoms) override;
  void first_layer() override;
  void second_layer() override;
  void first_layer_back() override;

  char *features(int node) override
  {
    return reinterpret_cast<char *>(&features_[node * feature_size()]);
  }
  char *adjoints(int node) override
  {
    return reinterpret_cast<char *>(&adjoints_[node * feature_size()]);
  }
  void add_adjoints(int node, const char *from) override;
  std::size_t edges() const override { return edges_; }

 private:
  struct Shared;
  struct Worker;
  enum class Sweep { first, second, back };
  bool has_gradients(Sweep sweep) const;
  template <class Do> void do_share(Worker &worker, Sweep sweep, Do &&todo);
  template <class Do> void for_blocks(Sweep sweep, Do &&todo);

  std::size_t feature_size() const;  // numbers that a node sends
  std::size_t a_size() const;        // numbers of a centre's A
  bool keeps_a() const;

  std::unique_ptr<Shared> shared_;
  std::vector<std::unique_ptr<Worker>> workers_;
  System system_;
  int threads_ = 1;
  bool virials_of_atoms_ = false;
  std::size_t edges_ = 0;
  Array<Real> features_, adjoints_, shortcut_, a_;
};

}  // namespace moalloy

#endif
