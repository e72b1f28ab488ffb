// Sums into rows that belong to other threads, without locks and always in the same order.
#ifndef MOALLOY_SCATTER_H
#define MOALLOY_SCATTER_H

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "aligned.h"

namespace moalloy
{

// The nodes that one thread owns: a range of the centres and a range of the other nodes.
struct Share {
  int centre_first, centre_end, other_first, other_end;

  static Share of(int thread, int threads, int centres, int nodes)
  {
    auto cut = [&](int first, int end, int k) {
      return first + static_cast<int>(static_cast<long>(end - first) * k / threads);
    };
    return {cut(0, centres, thread), cut(0, centres, thread + 1), cut(centres, nodes, thread),
            cut(centres, nodes, thread + 1)};
  }
  bool has(int node) const
  {
    return (node >= centre_first && node < centre_end) || (node >= other_first && node < other_end);
  }
};

/* One thread's view of an array (nodes, width) to which all threads add. Rows of its own share are
   the array's; for others it keeps rows of its own, which their owners collect after a barrier.
   Atoms near in space are near in index, so there are few of them. */
template <class T> class Scatter
{
 public:
  void begin(T *target, int width, int nodes, const Share &share)
  {
    target_ = target;
    width_ = width;
    share_ = share;
    for (int node : kept_) slot_[node] = -1;
    kept_.clear();
    rows_.clear();
    if (share.centre_end - share.centre_first + share.other_end - share.other_first < nodes)
      slot_.resize(std::max(slot_.size(), static_cast<std::size_t>(nodes)), -1);
  }

  // Makes rows for nodes, so that pointers to rows stay valid afterwards.
  void reserve(std::span<const int> nodes)
  {
    if (slot_.empty()) return;  // all are its own
    for (const int node : nodes) {
      if (share_.has(node) || slot_[node] >= 0) continue;
      slot_[node] = static_cast<int>(kept_.size());
      kept_.push_back(node);
    }
    rows_.resize(kept_.size() * width_);
  }

  T *row(int node)
  {
    if (share_.has(node)) return target_ + static_cast<std::size_t>(node) * width_;
    return &rows_[static_cast<std::size_t>(slot_[node]) * width_];
  }

  // Adds to the rows of this thread what another one kept for them.
  void collect(const Scatter &other)
  {
    for (std::size_t k = 0; k < other.kept_.size(); ++k) {
      if (!share_.has(other.kept_[k])) continue;
      T *to = row(other.kept_[k]);
      const T *from = &other.rows_[k * width_];
      for (int c = 0; c < width_; ++c) to[c] += from[c];
    }
  }

  double memory() const
  {
    return static_cast<double>(rows_.capacity()) * sizeof(T) +
           static_cast<double>(slot_.capacity() + kept_.capacity()) * sizeof(int);
  }

 private:
  T *target_ = nullptr;
  int width_ = 0;
  Share share_{};
  std::vector<int> slot_;  // of every node, -1 for none
  std::vector<int> kept_;  // nodes that have a row here
  Array<T> rows_;
};

}  // namespace moalloy

#endif
