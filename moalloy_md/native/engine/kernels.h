// The inner loops, compiled once for each instruction set and chosen at run time.
#ifndef MOALLOY_KERNELS_H
#define MOALLOY_KERNELS_H

namespace moalloy
{

/* Edges of one centre (or a part of them) as structure of arrays; each array begins on a cache line
   and is padded to whole lines. A component of several (harmonics) follows the one before
   at a distance of `stride` numbers. */
template <class Real> struct Edges {
  int count;
  int stride;
  const int *interval;    // of the radial functions, see Grid
  const Real *t;          // in it
  const Real *rate;       // dt / dr
  const Real *harmonics;  // ((l_max + 1)^2)
};

// Where on [0, r_max] the intervals of radial functions are: see Grid in radial.h.
struct Sections {
  static constexpr int kCount = 16;  // of equal length
  double inverse_length;             // 1 / Angstrom
  double intervals[kCount];          // of each, of equal length
  int first[kCount];                 // among all
};

/* One component M of the symmetric contraction: a sum over nested monomials
     sum_a c_a A_a + sum_ab A_a A_b (c_ab + sum_c c_abc A_c),  a <= b <= c.
   The same for all elements and channels; coefficients are streamed in this order: singles, then
   for each pair c_ab and its c_abc. */
struct Polynomial {
  struct Pair {
    int a, b, triples;
  };
  int singles, pairs, terms;
  const int *single;  // (singles): a
  const Pair *pair;   // (pairs)
  const int *third;   // c of every triple, pair after pair
};

// coupled[out] = sum value * harmonic, over entries in the order of `out`.
template <class Real> struct Coupling {
  int harmonic, out;
  Real value;
};

/* Channels are the innermost index everywhere and padded to whole lines; `width` is their padded
   number. Rows are given by pointers where they lie apart. */
template <class Real> struct Kernels {
  const char *name;

  // Lengths of vectors, and unit vectors (3) times 1 / length.
  void (*measure)(int count, int stride, const double *x, const double *y, const double *z,
                  double *r, Real *inverse_r, Real *u);

  // Interval, t and dt / dr at distances.
  void (*locate)(const Sections &sections, int count, const double *r, int *interval, Real *t,
                 Real *rate);

  // sum[a] = sum_e g_a, strain[3 a + b] += sum_e v_a g_b, of vectors v and gradients g (3).
  void (*strain)(int count, int stride, const double *x, const double *y, const double *z,
                 const Real *gradient, double *sum, double *strain);

  // Real spherical harmonics of unit vectors as e3nn has them, and
  // gradient = rhat u + (1 - u u^T) / r (dY/du)^T yhat; count is rounded up to whole lines.
  void (*harmonics)(int l_max, int count, int stride, const Real *u, Real *y);
  void (*gradients)(int l_max, int count, int stride, const Real *u, const Real *inverse_r,
                    const Real *yhat, const Real *rhat, Real *gradient);

  // y[row] (+)= x[row] . matrix; matrix packed by `pack` (parameters.h): (lines of out, in, lane)
  void (*multiply)(const Real *const *x, Real *const *y, int rows, int n_in, int lines_out,
                   const Real *matrix, bool add);

  /* First layer: sums[c][n] = sum_edges Y_c phi_n, and back:
     yhat[c][e] = sum_n phi_n g[c][n], rhat[e] += sum_n phi'_n sum_c Y_c g[c][n].
     scratch: 2 n_basis * stride numbers */
  void (*project)(const Edges<Real> &edges, const Real *polynomials, int n_basis, int components,
                  Real *sums, Real *scratch);
  void (*project_back)(const Edges<Real> &edges, const Real *polynomials, int n_basis,
                       int components, const Real *g, Real *scratch, Real *yhat, Real *rhat);

  // Couplings of each edge with its harmonics, and back: yhat[harmonic] += value * hat[out].
  void (*couple)(const Coupling<Real> *list, int n, int count, int stride, const Real *y,
                 Real *coupled);
  void (*couple_back)(const Coupling<Real> *list, int n, int count, int stride,
                      const Real *coupled_hat, Real *yhat);

  /* One path (l1, l3) of a later layer: message[m3] += sum_e R(r_e) sum_m1 u_e[m1] c[m1,m3][e],
     where c are couplings with the harmonics of each edge ((2 l1 + 1)(2 l3 + 1), stride apart);
     sender[e] points to u_e at m1 = 0. And back from mhat: uhat, chat, and rhat. */
  using PathForward = void (*)(const Edges<Real> &edges, const Real *polynomials, int width,
                               const Real *const *sender, const Real *coupled, Real *message,
                               int message_stride);
  using PathBackward = void (*)(const Edges<Real> &edges, const Real *polynomials, int width,
                                const Real *const *sender, Real *const *sender_hat,
                                const Real *coupled, const Real *message_hat, int message_stride,
                                Real *coupled_hat, Real *rhat);
  PathForward path_forward[3][4];
  PathBackward path_backward[3][4];

  // out[atom] = polynomial(a[atom]); a_hat[atom] += out_hat[atom] d polynomial / d a
  void (*contract)(const Polynomial &polynomial, const Real *coefficients, int atoms, int width,
                   const Real *const *a, Real *const *out);
  void (*contract_back)(const Polynomial &polynomial, const Real *coefficients, int atoms,
                        int width, const Real *const *a, const Real *const *out_hat,
                        Real *const *a_hat);
};

// Those that this processor can run, best first; MOALLOY_ISA=avx512|avx2|portable narrows it.
template <class Real> const Kernels<Real> &kernels();

}  // namespace moalloy

#endif
