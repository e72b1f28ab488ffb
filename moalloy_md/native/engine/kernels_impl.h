/* The kernels, for one instruction set: each file that includes this is compiled with its own
   options and defines MOALLOY_KERNELS (the name of its namespace) and MOALLOY_VECTOR_BYTES.

   Nothing of the standard library may be used here: a template of it, compiled with AVX-512 in one
   of these files, could be the copy that the linker keeps for all. */
#include "kernels_atoms.h"
#include "kernels_edges.h"
#include "kernels_layers.h"

namespace moalloy
{
namespace MOALLOY_KERNELS
{
namespace
{

template <class Real> constexpr Kernels<Real> table(const char *name)
{
  return {name,
          measure<Real>,
          locate<Real>,
          strain<Real>,
          harmonics<Real>,
          gradients<Real>,
          multiply<Real>,
          project<Real>,
          project_back<Real>,
          couple<Real>,
          couple_back<Real>,
          {{path_forward<Real, 0, 0>, path_forward<Real, 0, 1>, path_forward<Real, 0, 2>,
            path_forward<Real, 0, 3>},
           {path_forward<Real, 1, 0>, path_forward<Real, 1, 1>, path_forward<Real, 1, 2>,
            path_forward<Real, 1, 3>},
           {path_forward<Real, 2, 0>, path_forward<Real, 2, 1>, path_forward<Real, 2, 2>,
            path_forward<Real, 2, 3>}},
          {{path_backward<Real, 0, 0>, path_backward<Real, 0, 1>, path_backward<Real, 0, 2>,
            path_backward<Real, 0, 3>},
           {path_backward<Real, 1, 0>, path_backward<Real, 1, 1>, path_backward<Real, 1, 2>,
            path_backward<Real, 1, 3>},
           {path_backward<Real, 2, 0>, path_backward<Real, 2, 1>, path_backward<Real, 2, 2>,
            path_backward<Real, 2, 3>}},
          contract<Real>,
          contract_back<Real>};
}

}  // namespace

extern const Kernels<float> kernels_float = table<float>(MOALLOY_KERNELS_NAME);
extern const Kernels<double> kernels_double = table<double>(MOALLOY_KERNELS_NAME);

}  // namespace MOALLOY_KERNELS
}  // namespace moalloy
