// Arrays for vector loads: every row that a kernel reads starts on a cache line.
#ifndef MOALLOY_ALIGNED_H
#define MOALLOY_ALIGNED_H

#include <cstddef>
#include <new>
#include <vector>

namespace moalloy
{

// Widest vector of any kernel, and a cache line.
inline constexpr std::size_t kLine = 64;

// Lanes of one line: channels are padded with zeros to a multiple of it, whatever the machine.
template <class Real> inline constexpr int kLanes = static_cast<int>(kLine / sizeof(Real));

template <class Real> constexpr int padded(int n)
{
  return (n + kLanes<Real> - 1) / kLanes<Real> * kLanes<Real>;
}

template <class T> struct LineAllocator {
  using value_type = T;
  LineAllocator() = default;
  template <class U> LineAllocator(const LineAllocator<U> &) {}
  T *allocate(std::size_t n)
  {
    return static_cast<T *>(::operator new(n * sizeof(T), std::align_val_t{kLine}));
  }
  void deallocate(T *p, std::size_t) { ::operator delete(p, std::align_val_t{kLine}); }
  template <class U> bool operator==(const LineAllocator<U> &) const { return true; }
};

template <class T> using Array = std::vector<T, LineAllocator<T>>;

}  // namespace moalloy

#endif
