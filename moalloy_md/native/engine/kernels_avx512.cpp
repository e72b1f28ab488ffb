// Compiled with AVX-512; kernels.cpp chooses it where the processor has it.
#define MOALLOY_KERNELS avx512
#define MOALLOY_KERNELS_NAME "avx512"
#define MOALLOY_VECTOR_BYTES 64
#include "kernels_impl.h"
