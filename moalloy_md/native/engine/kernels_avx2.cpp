// Compiled with AVX2 and FMA; kernels.cpp chooses it where the processor has no AVX-512.
#define MOALLOY_KERNELS avx2
#define MOALLOY_KERNELS_NAME "avx2"
#define MOALLOY_VECTOR_BYTES 32
#include "kernels_impl.h"
