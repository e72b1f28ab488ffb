#include "kernels.h"

#include "model.h"

#include <cstdlib>
#include <string>

namespace moalloy
{

#define MOALLOY_DECLARE(isa)                                                                       \
  namespace isa                                                                                    \
  {                                                                                                \
  extern const Kernels<float> kernels_float;                                                       \
  extern const Kernels<double> kernels_double;                                                     \
  }
MOALLOY_DECLARE(portable)
#if defined(__x86_64__)
MOALLOY_DECLARE(avx2)
MOALLOY_DECLARE(avx512)
#endif

namespace
{

struct Choice {
  const Kernels<float> *in_float;
  const Kernels<double> *in_double;
};

// Best of those that the processor has and the user allows.
Choice choose()
{
  const char *asked = std::getenv("MOALLOY_ISA");
  const std::string most = asked && *asked ? asked : "avx512";
  if (most != "avx512" && most != "avx2" && most != "portable")
    throw ModelError("MOALLOY_ISA: expected avx512, avx2 or portable, found '" + most +
                     "'. Unset it to take the best that this processor has");
#if defined(__x86_64__)
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (most == "avx512" && has_avx2 && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw"))
    return {&avx512::kernels_float, &avx512::kernels_double};
  if (most != "portable" && has_avx2) return {&avx2::kernels_float, &avx2::kernels_double};
#endif
  return {&portable::kernels_float, &portable::kernels_double};
}

}  // namespace

template <> const Kernels<float> &kernels<float>() { return *choose().in_float; }
template <> const Kernels<double> &kernels<double>() { return *choose().in_double; }

}  // namespace moalloy
