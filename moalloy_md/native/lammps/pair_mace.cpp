#include "pair_mace.h"

#include "local_graph.h"
#include "rank_forecast.h"
#include "torch_model.h"

#include "atom.h"
#include "comm.h"
#include "compute.h"
#include "error.h"
#include "force.h"
#include "modify.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "utils.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

using namespace LAMMPS_NS;

PairMACE::PairMACE(LAMMPS *lmp)
    : PairMACEBase(lmp, "mace"), local(std::make_unique<moalloy::LocalGraph>()),
      result(std::make_unique<moalloy::Evaluation>())
{
  std::string problem;
  try {
    moalloy::torch_library();
  } catch (const moalloy::ModelError &failure) {
    problem = failure.what();
  }
  stop_all_for(problem);
}

PairMACE::~PairMACE() { lower_ghost_cutoff(); }

void PairMACE::settings(int narg, char **arg)
{
  domain_decomposition = true;
  for (int i = 0; i < narg; ++i) {
    if (strcmp(arg[i], "no_domain_decomposition") == 0)
      domain_decomposition = false;
    else
      error->all(FLERR,
                 "pair_style mace: expected nothing or no_domain_decomposition, found {}: "
                 "mend the pair_style line",
                 arg[i]);
  }
}

void PairMACE::coeff(int narg, char **arg)
{
  check_coeff(narg, arg, 1, "model-lammps.pt");
  const std::string place = choose_device();
  std::unique_ptr<moalloy::TorchModel> loaded = load_model(arg[2], place);
  std::vector<int> species = map_types(arg[2], loaded->atomic_numbers(), arg + 3);
  // From here on nothing fails: after an error, which Python may catch, all is as it was.
  model = std::move(loaded);
  model_path = arg[2];
  device = place;
  species_of_type = std::move(species);
  use_types(species_of_type);
  r_max = model->r_max();
  announced = false;
}

std::unique_ptr<moalloy::TorchModel> PairMACE::load_model(const char *path,
                                                          const std::string &place)
{
  std::unique_ptr<moalloy::TorchModel> loaded;
  std::string problem;
  try {
    loaded = moalloy::torch_library().load(path, place);
  } catch (const moalloy::ModelError &failure) {
    problem = failure.what();
  }
  stop_all_for(problem);
  return loaded;
}

std::string PairMACE::choose_device()
{
  // collective: every rank takes part, whether it sees a device or not
  MPI_Comm node;
  MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  int rank;
  MPI_Comm_rank(node, &rank);
  MPI_Comm_size(node, &ranks_of_node);
  MPI_Comm_free(&node);
  const int n_devices = moalloy::torch_library().cuda_devices();
  const int mine = n_devices > 0 ? 1 : 0;
  int n_with_device;
  MPI_Allreduce(&mine, &n_with_device, 1, MPI_INT, MPI_SUM, world);
  if (n_with_device != 0 && n_with_device != comm->nprocs)
    error->all(
        FLERR,
        "pair_style mace: expected a CUDA device on all ranks or on none, found one on {} of "
        "{}: check nvidia-smi on each node, or set CUDA_VISIBLE_DEVICES to nothing for all",
        n_with_device, comm->nprocs);
  return n_devices == 0 ? "cpu" : "cuda:" + std::to_string(rank % n_devices);
}

void PairMACE::init_style()
{
  check_run();
  // Ranks see each other's atoms through ghosts alone: those that a message can reach an owned atom
  // from, and the neighbours of all but the outermost. On one rank every ghost is an image of an
  // owned atom, whose neighbours are known.
  const bool far = comm->nprocs > 1 && model->n_layers() > 1;
  const double reach = r_max * (comm->nprocs > 1 ? model->n_layers() : 1);
  neighbor->add_request(this,
                        far ? NeighConst::REQ_FULL | NeighConst::REQ_GHOST : NeighConst::REQ_FULL);
  lower_ghost_cutoff();
  if (far) raise_ghost_cutoff(reach + neighbor->skin);
  if (announced || comm->me != 0) return;
  announced = true;
  utils::logmesg(
      lmp,
      "pair_style mace: {}: {}, r_max {:g} A, {} layer{}, {} on {} with {} thread{} a rank; "
      "ghosts to {:g} A + skin{}\n",
      model_path, element_names(model->atomic_numbers()), r_max, model->n_layers(),
      model->n_layers() == 1 ? "" : "s", model->dtype(),
      device == "cpu" ? device : "CUDA, each rank of a node on the next device", comm->nthreads,
      comm->nthreads == 1 ? "" : "s", reach,
      domain_decomposition ? "" : "; no domain decomposition");
  if (model->has_pair_repulsion()) warn_of_second_repulsion();
  forecast();
}

void PairMACE::raise_ghost_cutoff(double wanted)
{
  if (comm->cutghostuser >= wanted) return;
  ghost_cutoff_before = comm->cutghostuser;
  comm->cutghostuser = ghost_cutoff = wanted;
}

// Another style that follows in the same input would carry these ghosts without need.
void PairMACE::lower_ghost_cutoff()
{
  if (ghost_cutoff > 0.0 && comm->cutghostuser == ghost_cutoff)
    comm->cutghostuser = ghost_cutoff_before;
  ghost_cutoff = 0.0;
}

// Memory is what the process has now, and that of an evaluation in small with as many neighbours as
// there will be; a quarter more for what the C library keeps (measured: 1.2 to 1.3 times).
void PairMACE::forecast()
{
  const moalloy::RankForecast rank(lmp);
  if (!rank.known()) return;
  const int layers = comm->nprocs > 1 ? model->n_layers() : 1;
  const double neighbours = rank.neighbours(r_max);
  // of the ghosts, those are computed whose message reaches an atom of the rank
  const double computed = rank.within(r_max * (layers - 1));
  const int n = static_cast<int>(std::ceil(std::min(computed, 8.0)));
  const double peak =
      model->peak_memory(moalloy::sample_graph(n, static_cast<int>(std::ceil(neighbours)), r_max));
  const double more = 1.25 * peak * computed / n;
  utils::logmesg(
      lmp,
      "pair_style {}: forecast for a rank: {:.0f} atoms, {:.0f} ghosts, {:.0f} neighbours an atom, "
      "{:.0f} edges, {}\n",
      style, rank.atoms(),
      rank.ghosts(std::max(r_max * layers + neighbor->skin, comm->cutghostuser)), neighbours,
      computed * neighbours,
      peak > 0 ? moalloy::amount(moalloy::resident_memory() + more)
               : "memory of the device not known: see nvidia-smi");
  const double available = moalloy::available_memory();
  if (more * ranks_of_node > available)
    error->warning(FLERR,
                   "pair_style {}: {} rank{} of this node will need {} more, found {} free: use "
                   "fewer atoms, more nodes, a smaller model, float32, or pair_style mace/native, "
                   "which needs a hundredth",
                   style, ranks_of_node, ranks_of_node == 1 ? "" : "s",
                   moalloy::amount(more * ranks_of_node), moalloy::amount(available));
}

void PairMACE::check_run()
{
  check_can_run();
  if (!domain_decomposition && comm->nprocs > 1)
    error->all(FLERR,
               "pair_style mace: no_domain_decomposition works on one rank, found {}: remove the "
               "keyword or start one rank",
               comm->nprocs);
  if (comm->nprocs > 1 && model->n_layers() > 1 && comm->mode != Comm::SINGLE)
    error->all(
        FLERR,
        "pair_style mace: expected comm_modify mode single on several ranks, found mode multi, "
        "which ships too few ghosts: remove it");
  if (model->has_edge_gradient()) return;
  for (const Compute *compute : modify->get_compute_list())
    if (compute->pressatomflag) refuse_stress_of_atoms();
}

void PairMACE::refuse_stress_of_atoms()
{
  error->all(
      FLERR,
      "pair_style mace: {} has no forces of edges, which per-atom stress needs: make the file "
      "with 'moalloy export', or leave out compute stress/atom",
      model_path);
}

void PairMACE::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  if (vflag_atom && !model->has_edge_gradient()) refuse_stress_of_atoms();
  moalloy::torch_library().set_threads(comm->nthreads);
  try {
    local->build({atom->x, atom->type, atom->tag}, *list, species_of_type, r_max,
                 domain_decomposition && comm->nprocs > 1 ? model->n_layers() : 1,
                 model->has_edge_gradient());
    if (local->graph().n_owned == 0) return;  // nothing to add; no message is waited for
    model->evaluate(local->graph(), vflag_global != 0, *result);
  } catch (const moalloy::ModelError &failure) {
    error->one(FLERR, "pair_style mace: {}", failure.what());
  } catch (const std::bad_alloc &) {
    error->one(FLERR,
               "pair_style mace: memory ran out for the edges of {} atoms and {} ghosts of this "
               "rank: use fewer atoms, more nodes, or pair_style mace/native",
               atom->nlocal, atom->nghost);
  }
  double energy = 0.0;
  for (const double e : result->node_energy) energy += e;
  check_energy(energy);
  if (eflag_global) eng_vdwl += energy;
  if (eflag_atom)
    for (int64_t k = 0; k < local->graph().n_owned; ++k)
      eatom[local->node_atom()[k]] += result->node_energy[k];
  if (model->has_edge_gradient())
    tally_edges();
  else
    tally_nodes();
}

// With v = x_receiver - x_sender and g = dE/dv the receiver feels -g and the sender g, so an edge
// adds -v g to the virial, sum_i x_i F_i; half of it is given to each end.
void PairMACE::tally_edges()
{
  const auto &senders = local->edge_sender();
  const auto &receivers = local->edge_receiver();
  const double *v = local->graph().vectors.data();
  const double *g = result->edge_gradient.data();
  double **f = atom->f;
  for (size_t e = 0; e < senders.size(); ++e, v += 3, g += 3) {
    const int i = receivers[e], j = senders[e];
    for (int a = 0; a < 3; ++a) {
      f[i][a] -= g[a];
      f[j][a] += g[a];
    }
    if (!vflag_either) continue;
    const double w[6] = {-v[0] * g[0],
                         -v[1] * g[1],
                         -v[2] * g[2],
                         -0.5 * (v[0] * g[1] + v[1] * g[0]),
                         -0.5 * (v[0] * g[2] + v[2] * g[0]),
                         -0.5 * (v[1] * g[2] + v[2] * g[1])};
    for (int a = 0; a < 6; ++a) {
      if (vflag_global) virial[a] += w[a];
      if (vflag_atom) {
        vatom[i][a] += 0.5 * w[a];
        vatom[j][a] += 0.5 * w[a];
      }
    }
  }
}

void PairMACE::tally_nodes()
{
  const auto &atoms = local->node_atom();
  double **f = atom->f;
  for (size_t k = 0; k < atoms.size(); ++k)
    for (int a = 0; a < 3; ++a) f[atoms[k]][a] += result->node_force[3 * k + a];
  if (vflag_global)
    for (int a = 0; a < 6; ++a) virial[a] += result->virial[a];
}
