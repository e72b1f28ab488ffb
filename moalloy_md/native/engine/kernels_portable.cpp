// Compiled with the compiler's own defaults, for every processor.
#define MOALLOY_KERNELS portable
#define MOALLOY_KERNELS_NAME "portable"
#define MOALLOY_VECTOR_BYTES 16
#include "kernels_impl.h"
