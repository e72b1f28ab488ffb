/* Where the engine's time goes, and how far each kernel is from what one core can do.

     roofline EDGES MODEL float|double REPEATS

   stands in for the engine's table of kernels with one that counts, for every call, its time, its
   floating-point operations and the bytes of its operands, from the shapes that it is called with.
   roofline.py compiles and calls this; it prints JSON. */
#include "engine.h"
#include "kernels.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <type_traits>
#include <vector>

namespace moalloy
{

namespace avx512
{
extern const Kernels<float> kernels_float;
extern const Kernels<double> kernels_double;
}  // namespace avx512
namespace avx2
{
extern const Kernels<float> kernels_float;
extern const Kernels<double> kernels_double;
}  // namespace avx2

namespace
{

enum Kind {
  kHarmonics,
  kGradients,
  kMultiply,
  kProject,
  kProjectBack,
  kCouple,
  kCoupleBack,
  kPathForward,
  kPathBackward,
  kContract,
  kContractBack,
  kKinds
};
constexpr const char *kNames[kKinds] = {
    "harmonics",   "gradients",    "multiply",      "project",  "project_back", "couple",
    "couple_back", "path_forward", "path_backward", "contract", "contract_back"};

struct Count {
  double calls = 0, seconds = 0, flop = 0, bytes = 0;
} counts[kKinds];

double now()
{
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

// A clock that costs some nanoseconds; its unit is found by comparison.
#if defined(__x86_64__)
double ticks() { return static_cast<double>(__builtin_ia32_rdtsc()); }
#else
double ticks() { return now(); }
#endif

template <class Do> void count(Kind kind, double flop, double numbers, std::size_t size, Do &&todo)
{
  const double start = ticks();
  todo();
  Count &c = counts[kind];
  c.seconds += ticks() - start;
  c.calls += 1;
  c.flop += flop;
  c.bytes += numbers * static_cast<double>(size);
}

template <class Real> const Kernels<Real> &of_processor()
{
#if defined(__x86_64__)
  const bool wide = __builtin_cpu_supports("avx512f");
  if constexpr (std::is_same_v<Real, float>)
    return wide ? avx512::kernels_float : avx2::kernels_float;
  else
    return wide ? avx512::kernels_double : avx2::kernels_double;
#else
#error "expected an x86-64 processor"
#endif
}

int harmonics_of(int l_max) { return (l_max + 1) * (l_max + 1); }

// Multiplications and additions of kernels_edges.h, an edge.
constexpr double kHarmonicsFlop[4] = {0, 3, 18, 45}, kGradientsFlop[4] = {16, 22, 51, 160};

template <class Real> struct Counting {
  static inline const Kernels<Real> *real;

  static void harmonics(int l_max, int n, int stride, const Real *u, Real *y)
  {
    count(kHarmonics, n * kHarmonicsFlop[l_max], n * (3.0 + harmonics_of(l_max)), sizeof(Real),
          [&] { real->harmonics(l_max, n, stride, u, y); });
  }
  static void gradients(int l_max, int n, int stride, const Real *u, const Real *inverse_r,
                        const Real *yhat, const Real *rhat, Real *gradient)
  {
    count(kGradients, n * kGradientsFlop[l_max], n * (8.0 + harmonics_of(l_max)), sizeof(Real),
          [&] { real->gradients(l_max, n, stride, u, inverse_r, yhat, rhat, gradient); });
  }
  static void multiply(const Real *const *x, Real *const *y, int rows, int n_in, int lines_out,
                       const Real *matrix, bool add)
  {
    const double in = n_in, out = lines_out * (64.0 / sizeof(Real));
    count(kMultiply, 2 * rows * in * out, in * out + rows * (in + (add ? 2 : 1) * out),
          sizeof(Real), [&] { real->multiply(x, y, rows, n_in, lines_out, matrix, add); });
  }
  static void project(const Edges<Real> &edges, const Real *rows, int n_basis, int components,
                      Real *sums, Real *scratch)
  {
    const double n = n_basis, e = edges.count;
    count(kProject, e * n * (10 + 2 * components), e * (6 * n + 1 + components) + n * components,
          sizeof(Real), [&] { real->project(edges, rows, n_basis, components, sums, scratch); });
  }
  static void project_back(const Edges<Real> &edges, const Real *rows, int n_basis, int components,
                           const Real *g, Real *scratch, Real *yhat, Real *rhat)
  {
    const double n = n_basis, e = edges.count;
    count(kProjectBack, e * n * (18 + 2 + 4 * components),
          e * (6 * n + 3 + 2 * components) + n * components, sizeof(Real),
          [&] { real->project_back(edges, rows, n_basis, components, g, scratch, yhat, rhat); });
  }
  static void couple(const Coupling<Real> *list, int n, int edges, int stride, const Real *y,
                     Real *coupled)
  {
    count(kCouple, 2.0 * n * edges, 2.0 * n * edges, sizeof(Real),
          [&] { real->couple(list, n, edges, stride, y, coupled); });
  }
  static void couple_back(const Coupling<Real> *list, int n, int edges, int stride, const Real *hat,
                          Real *yhat)
  {
    count(kCoupleBack, 2.0 * n * edges, 3.0 * n * edges, sizeof(Real),
          [&] { real->couple_back(list, n, edges, stride, hat, yhat); });
  }
  template <int L1, int L3>
  static void path_forward(const Edges<Real> &edges, const Real *rows, int width,
                           const Real *const *sender, const Real *coupled, Real *message,
                           int message_stride)
  {
    constexpr double n1 = 2 * L1 + 1, n3 = 2 * L3 + 1;
    const double e = edges.count, w = width;
    count(kPathForward, e * w * (10 + n1 * (1 + 2 * n3)),
          e * (6 * w + 1 + n1 * w + n1 * n3) + 2 * n3 * w, sizeof(Real), [&] {
            real->path_forward[L1][L3](edges, rows, width, sender, coupled, message,
                                       message_stride);
          });
  }
  template <int L1, int L3>
  static void path_backward(const Edges<Real> &edges, const Real *rows, int width,
                            const Real *const *sender, Real *const *sender_hat, const Real *coupled,
                            const Real *message_hat, int message_stride, Real *coupled_hat,
                            Real *rhat)
  {
    constexpr double n1 = 2 * L1 + 1, n3 = 2 * L3 + 1;
    const double e = edges.count, w = width;
    count(kPathBackward, e * w * (18 + n1 * (6 + 4 * n3)),
          e * (6 * w + 4 + 3 * n1 * w + 2 * n1 * n3) + n3 * w, sizeof(Real), [&] {
            real->path_backward[L1][L3](edges, rows, width, sender, sender_hat, coupled,
                                        message_hat, message_stride, coupled_hat, rhat);
          });
  }
  static void contract(const Polynomial &p, const Real *coefficients, int atoms, int width,
                       const Real *const *a, Real *const *out)
  {
    const double w = width, triples = p.terms - p.singles - p.pairs;
    count(kContract, atoms * w * (2.0 * p.singles + 3.0 * p.pairs + 2 * triples),
          w * (p.terms + atoms * (components(p) + 1.0)), sizeof(Real),
          [&] { real->contract(p, coefficients, atoms, width, a, out); });
  }
  static void contract_back(const Polynomial &p, const Real *coefficients, int atoms, int width,
                            const Real *const *a, const Real *const *out_hat, Real *const *a_hat)
  {
    const double w = width, triples = p.terms - p.singles - p.pairs;
    count(kContractBack, atoms * w * (2.0 * p.singles + 7.0 * p.pairs + 4 * triples),
          w * (p.terms + atoms * (3.0 * components(p) + 1)), sizeof(Real),
          [&] { real->contract_back(p, coefficients, atoms, width, a, out_hat, a_hat); });
  }
  static int components(const Polynomial &p)
  {
    int most = 0;
    for (int k = 0; k < p.pairs; ++k) most = std::max(most, p.pair[k].b);
    return most + 1;
  }

  static Kernels<Real> table()
  {
    real = &of_processor<Real>();
    Kernels<Real> t = *real;
    t.harmonics = harmonics;
    t.gradients = gradients;
    t.multiply = multiply;
    t.project = project;
    t.project_back = project_back;
    t.couple = couple;
    t.couple_back = couple_back;
    paths<0>(t);
    paths<1>(t);
    paths<2>(t);
    t.contract = contract;
    t.contract_back = contract_back;
    return t;
  }
  template <int L1> static void paths(Kernels<Real> &t)
  {
    t.path_forward[L1][0] = path_forward<L1, 0>;
    t.path_forward[L1][1] = path_forward<L1, 1>;
    t.path_forward[L1][2] = path_forward<L1, 2>;
    t.path_forward[L1][3] = path_forward<L1, 3>;
    t.path_backward[L1][0] = path_backward<L1, 0>;
    t.path_backward[L1][1] = path_backward<L1, 1>;
    t.path_backward[L1][2] = path_backward<L1, 2>;
    t.path_backward[L1][3] = path_backward<L1, 3>;
  }
};

}  // namespace

// Takes the place of kernels.cpp.
template <class Real> const Kernels<Real> &kernels()
{
  static const Kernels<Real> table = Counting<Real>::table();
  return table;
}
template const Kernels<float> &kernels<float>();
template const Kernels<double> &kernels<double>();

}  // namespace moalloy

namespace
{

using namespace moalloy;

// ---- what the machine can do ----

#ifdef __AVX512F__
constexpr int kVectorBytes = 64, kRegisters = 16;
#else
constexpr int kVectorBytes = 32, kRegisters = 12;
#endif

template <class Real> double peak_gflops()
{
  constexpr int n = kRegisters, lanes = kVectorBytes / sizeof(Real);
  typedef Real Vector __attribute__((vector_size(kVectorBytes)));
  double best = 0;
  for (int turn = 0; turn < 20; ++turn) {
    Vector total[n], a = Vector{} + Real(0.999), b = Vector{} + Real(0.001);
    for (int k = 0; k < n; ++k) total[k] = Vector{} + Real(k);
    const int steps = 200000;
    const double start = now();
    for (int s = 0; s < steps; ++s) {
#pragma GCC unroll 16
      for (int k = 0; k < n; ++k) total[k] = total[k] * a + b;
      asm volatile("" : "+v"(a), "+v"(b));
    }
    const double seconds = now() - start;
    Vector sum{};
    for (int k = 0; k < n; ++k) sum += total[k];
    if (sum[0] == Real(0.12345)) std::puts("");
    best = std::max(best, 2.0 * n * lanes * steps / seconds / 1e9);
  }
  return best;
}

// Reading an array of so many bytes again and again.
double read_gb_per_s(std::size_t bytes)
{
  typedef float Vector __attribute__((vector_size(kVectorBytes)));
  constexpr std::size_t n = 8;
  Vector *data = static_cast<Vector *>(std::aligned_alloc(4096, bytes));
  const std::size_t vectors = bytes / sizeof(Vector);
  std::fill_n(reinterpret_cast<float *>(data), bytes / sizeof(float), 1.0f);
  double best = 0;
  const int sweeps = static_cast<int>(std::max<std::size_t>(1, (std::size_t(64) << 20) / bytes));
  for (int turn = 0; turn < 8; ++turn) {
    Vector total[n] = {};
    const double start = now();
    for (int s = 0; s < sweeps; ++s) {
      for (std::size_t k = 0; k + n <= vectors; k += n)
#pragma GCC unroll 8
        for (std::size_t q = 0; q < n; ++q) total[q] += data[k + q];
      asm volatile("" : : : "memory");
    }
    const double seconds = now() - start;
    Vector sum{};
    for (const Vector &v : total) sum += v;
    if (sum[0] == 0.5f) std::puts("");
    best = std::max(best, static_cast<double>(bytes) * sweeps / seconds / 1e9);
  }
  std::free(data);
  return best;
}

// ---- what the engine does ----

struct EdgeFile : NeighbourSource {
  std::vector<int> types, first, senders;
  std::vector<double> vectors;

  explicit EdgeFile(const char *path)
  {
    std::ifstream file(path, std::ios::binary);
    int sizes[2] = {};
    file.read(reinterpret_cast<char *>(sizes), sizeof sizes);
    read(file, types, sizes[0]);
    read(file, first, sizes[0] + 1);
    read(file, senders, sizes[1]);
    read(file, vectors, 3 * static_cast<std::size_t>(sizes[1]));
    if (!file) throw std::runtime_error(std::string(path) + ": expected edges of roofline.py");
  }
  template <class T> static void read(std::ifstream &file, std::vector<T> &to, std::size_t n)
  {
    to.resize(n);
    file.read(reinterpret_cast<char *>(to.data()), static_cast<std::streamsize>(n * sizeof(T)));
  }
  void gather(int centre, double, NeighbourList &list) const override
  {
    list.make_room(first[centre + 1] - first[centre]);
    for (int e = first[centre]; e < first[centre + 1]; ++e)
      list.add_if(true, e, senders[e], vectors[3 * e], vectors[3 * e + 1], vectors[3 * e + 2]);
  }
  void look_up(int, const int *handles, int count, int *node, double *x, double *y,
               double *z) const override
  {
    for (int k = 0; k < count; ++k) {
      const double *v = &vectors[3 * static_cast<std::size_t>(handles[k])];
      node[k] = senders[handles[k]];
      x[k] = v[0];
      y[k] = v[1];
      z[k] = v[2];
    }
  }
};

double quickest(const std::vector<double> &x) { return *std::min_element(x.begin(), x.end()); }

void evaluate(Engine &engine, const EdgeFile &edges)
{
  const int n = static_cast<int>(edges.types.size());
  engine.begin({n, n, edges.types.data(), &edges}, 1, false);
  engine.first_layer();
  if (engine.layers() > 1) {
    engine.second_layer();
    engine.first_layer_back();
  }
}

void print(const char *name, const Count &c, double seconds, double atoms, const char *end)
{
  std::printf(
      "  {\"name\": \"%s\", \"calls\": %.4g, \"us\": %.5g, \"flop\": %.6g, \"bytes\": %.6g}%s\n",
      name, c.calls / atoms, 1e6 * seconds / atoms, c.flop / atoms, c.bytes / atoms, end);
}

template <class Real> void measure(Engine &engine, const EdgeFile &edges, int repeats)
{
  const double atoms = static_cast<double>(edges.types.size());
  for (int k = 0; k < 3; ++k) evaluate(engine, edges);
  std::vector<double> all, of_kind[kKinds];
  for (int k = 0; k < repeats; ++k) {
    for (Count &c : counts) c = Count{};
    const double start = now(), start_ticks = ticks();
    evaluate(engine, edges);
    const double seconds = now() - start, tick = seconds / (ticks() - start_ticks);
    all.push_back(seconds);
    for (int q = 0; q < kKinds; ++q) of_kind[q].push_back(counts[q].seconds * tick);
  }
  std::printf(" \"kernels\": [\n");
  double rest = quickest(all);
  for (int q = 0; q < kKinds; ++q) {
    print(kNames[q], counts[q], quickest(of_kind[q]), atoms, ",");
    rest -= quickest(of_kind[q]);
  }
  print("rest", Count{}, rest, atoms, "");
  std::printf(" ],\n \"us\": %.5g,\n", 1e6 * quickest(all) / atoms);
  std::printf(" \"peak_gflops\": %.4g,\n \"gb_per_s\": {", peak_gflops<Real>());
  const char *separator = "";
  for (const std::size_t kib : {16, 384, 8192, 262144}) {
    std::printf("%s\"%zu KiB\": %.4g", separator, kib, read_gb_per_s(kib << 10));
    separator = ", ";
  }
  std::printf("}\n");
}

}  // namespace

int main(int argc, char **argv)
try {
  if (argc != 5) throw std::runtime_error("expected EDGES MODEL float|double REPEATS");
  const EdgeFile edges(argv[1]);
  const Model model = load_model(argv[2]);
  const bool single = std::string(argv[3]) == "float";
  std::vector<int> rows;
  for (int z : {42, 75})
    rows.push_back(
        static_cast<int>(std::find(model.atomic_numbers.begin(), model.atomic_numbers.end(), z) -
                         model.atomic_numbers.begin()));
  const auto engine = make_engine(model, rows, single ? Precision::single : Precision::dbl);
  std::printf("{\"instructions\": \"%s\",\n \"tables_bytes\": %.0f,\n", engine->instructions(),
              engine->memory());
  if (single)
    measure<float>(*engine, edges, std::atoi(argv[4]));
  else
    measure<double>(*engine, edges, std::atoi(argv[4]));
  std::printf("}\n");
} catch (const std::exception &failure) {
  std::fprintf(stderr, "%s\n", failure.what());
  return 1;
}
