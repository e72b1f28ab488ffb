#include "pair_mace_native.h"

#include "engine.h"
#include "model_deviation.h"
#include "native_log.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"
#include "utils.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

using namespace LAMMPS_NS;

namespace
{

// LAMMPS's full neighbour list: images are ghosts, so each has an index of its own.
class ListOfLammps : public moalloy::NeighbourSource
{
 public:
  ListOfLammps(const NeighList &list, const double *const *x) : list_(list), x_(x) {}

  void gather(int i, double r_max, moalloy::NeighbourList &found) const override
  {
    const double limit = r_max * r_max;
    const int *neighbours = list_.firstneigh[i];
    found.make_room(list_.numneigh[i]);
    for (int k = 0; k < list_.numneigh[i]; ++k) {
      const int j = neighbours[k] & NEIGHMASK;
      const double dx = x_[i][0] - x_[j][0], dy = x_[i][1] - x_[j][1], dz = x_[i][2] - x_[j][2];
      found.add_if(dx * dx + dy * dy + dz * dz < limit, j, j, dx, dy, dz);
    }
  }
  void look_up(int i, const int *handles, int count, int *node, double *x, double *y,
               double *z) const override
  {
    for (int k = 0; k < count; ++k) {
      const double *other = x_[node[k] = handles[k]];
      x[k] = x_[i][0] - other[0];
      y[k] = x_[i][1] - other[1];
      z[k] = x_[i][2] - other[2];
    }
  }

 private:
  const NeighList &list_;
  const double *const *x_;
};

}  // namespace

PairMACENative::PairMACENative(LAMMPS *lmp)
    : PairMACEBase(lmp, "mace/native"), deviation(std::make_unique<moalloy::ModelDeviation>(lmp)),
      cost(std::make_unique<moalloy::RunCost>(lmp))
{
}

PairMACENative::~PairMACENative() = default;

void PairMACENative::settings(int narg, char **arg)
{
  precision = "file";
  int every = 0;
  std::string path;
  for (int i = 0; i < narg; i += 2) {
    const std::string keyword = arg[i], value = i + 1 < narg ? arg[i + 1] : "nothing";
    if (keyword == "precision" && (value == "float" || value == "double"))
      precision = value;
    else if (keyword == "precision")
      error->all(FLERR, "pair_style {}: expected precision float or double, found {}", style,
                 value);
    else if (keyword == "out_freq") {
      if (utils::is_integer(value)) every = utils::inumeric(FLERR, value, false, lmp);
      if (every <= 0)
        error->all(FLERR, "pair_style {}: expected out_freq and a number of steps, found {}", style,
                   value);
    } else if (keyword == "out_file" && i + 1 < narg)
      path = value;
    else if (keyword == "out_file")
      error->all(FLERR, "pair_style {}: expected out_file and a name, found nothing", style);
    else
      error->all(FLERR,
                 "pair_style {}: expected precision float|double, out_freq N or out_file FILE, "
                 "found {}: mend the pair_style line",
                 style, keyword);
  }
  if (!path.empty() && every == 0)
    error->all(FLERR,
               "pair_style {}: expected out_freq N beside out_file {}, found none: say every how "
               "many steps to write, or leave out the file",
               style, path);
  deviation->configure(every, path.empty() ? "model_devi.out" : path);
  // the same style again, to change a setting: LAMMPS keeps this object and its coefficients
  make_engines(members);
}

void PairMACENative::coeff(int narg, char **arg)
{
  // the first is a file whatever its name; more of them make a committee
  int n_files = 1;
  while (2 + n_files < narg && std::string_view(arg[2 + n_files]).ends_with(".safetensors"))
    ++n_files;
  check_coeff(narg, arg, n_files, "model.safetensors [other.safetensors ...]");
  std::vector<Member> loaded(n_files);
  for (int k = 0; k < n_files; ++k) load(loaded[k], arg[2 + k], arg + 2 + n_files);
  make_engines(loaded);
  // From here on nothing fails: after an error, which Python may catch, all is as it was.
  members = std::move(loaded);
  use_types(members.front().species_of_type);
  r_max = 0.0;
  for (const Member &member : members) r_max = std::max(r_max, member.model->r_max);
}

void PairMACENative::load(Member &member, const char *path, char **symbols)
{
  member.path = path;
  std::string problem;
  try {
    member.model = std::make_unique<moalloy::Model>(moalloy::load_model(path));
  } catch (const std::exception &failure) {
    problem = failure.what();
  }
  stop_all_for(problem);
  member.species_of_type = map_types(path, member.model->atomic_numbers, symbols);
}

void PairMACENative::make_engines(std::vector<Member> &made)
{
  int forward = 0, reverse = 0;
  for (Member &member : made) {
    std::vector<int> elements;
    member.type_of_type.assign(member.species_of_type.size(), -1);
    for (size_t t = 1; t < member.species_of_type.size(); ++t) {
      const int species = member.species_of_type[t];
      if (species < 0) continue;
      const auto found = std::find(elements.begin(), elements.end(), species);
      member.type_of_type[t] = static_cast<int>(found - elements.begin());
      if (found == elements.end()) elements.push_back(species);
    }
    const moalloy::Precision chosen = precision == "file"    ? member.model->precision
                                      : precision == "float" ? moalloy::Precision::single
                                                             : moalloy::Precision::dbl;
    std::string problem;
    try {
      member.engine = moalloy::make_engine(*member.model, elements, chosen);
    } catch (const std::bad_alloc &) {
      problem = "the tables of " + member.path +
                " do not fit into memory: start fewer ranks a "
                "node, or export the model with --elements";
    } catch (const std::exception &failure) {
      problem = failure.what();
    }
    stop_all_for(problem);
    const int doubles = static_cast<int>(member.engine->feature_bytes() / sizeof(double));
    forward = std::max(forward, doubles);
    reverse = std::max(reverse, doubles);
  }
  if (made.size() > 1) reverse = std::max(reverse, 3 * static_cast<int>(made.size()));
  comm_forward = forward;
  comm_reverse = reverse;
  announced = false;
}

void PairMACENative::init_style()
{
  check_can_run();
  if (deviation->writes() && members.size() < 2)
    error->all(FLERR,
               "pair_style {}: expected several model files for out_freq, which compares their "
               "forces, found one: add files to the pair_coeff line or remove out_freq",
               style);
  stop_all_for(deviation->open());
  // Hybrid styles take the sizes of messages when they are made, before models are known; the
  // buffers are made from theirs, after this.
  force->pair->comm_forward = std::max(force->pair->comm_forward, comm_forward);
  force->pair->comm_reverse = std::max(force->pair->comm_reverse, comm_reverse);
  // Messages go between the layers, so neighbours within one r_max are all that a rank needs.
  neighbor->add_request(this, NeighConst::REQ_FULL);
  cost->clear();
  if (announced || comm->me != 0) return;
  announced = true;
  for (const Member &member : members) {
    const moalloy::Model &m = *member.model;
    utils::logmesg(
        lmp,
        "pair_style {}: {}: {}, r_max {:g} A, {} layer{}, {} channels, {} with {} and {} thread{} "
        "a rank; slopes of the radial functions to {:.0e}\n",
        style, member.path, element_names(m.atomic_numbers), m.r_max, m.layers.size(),
        m.layers.size() == 1 ? "" : "s", m.channels,
        precision == "file" ? (m.precision == moalloy::Precision::single ? "float" : "double")
                            : precision,
        member.engine->instructions(), comm->nthreads, comm->nthreads == 1 ? "" : "s",
        member.engine->radial_error());
  }
  if (std::any_of(members.begin(), members.end(), [](const Member &m) { return m.model->zbl; }))
    warn_of_second_repulsion();
  moalloy::ForecastOfEngines engines;
  for (const Member &member : members) {
    engines.tables += member.engine->memory();
    engines.feature_bytes += static_cast<double>(member.engine->feature_bytes());
    engines.kept_bytes += static_cast<double>(member.engine->kept_bytes());
    engines.n += 1;
  }
  utils::logmesg(lmp, moalloy::forecast(lmp, style, r_max, engines));
}

void PairMACENative::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  const double start = platform::walltime();
  deviation->write_before(update->ntimestep);
  const bool compare = members.size() > 1 && deviation->wanted(update->ntimestep);
  if (compare) deviation->begin(static_cast<int>(members.size()), atom->nlocal + atom->nghost);
  for (size_t k = 0; k < members.size(); ++k) {
    try {
      evaluate(members[k]);
    } catch (const std::bad_alloc &) {
      error->one(
          FLERR,
          "pair_style {}: out of memory at step {} with {} atoms and {} ghosts on this rank: "
          "use more ranks on more nodes, or a model with fewer channels",
          style, update->ntimestep, atom->nlocal, atom->nghost);
    }
    tally(members[k], 1.0 / static_cast<double>(members.size()));
    if (compare)
      deviation->add(static_cast<int>(k), members[k].engine->forces(), members[k].engine->virial());
  }
  if (compare) {
    talking = nullptr;
    communicate(false);
    deviation->finish(update->ntimestep, atom->nlocal);
  }
  cost->wall_s += platform::walltime() - start;
  cost->atom_steps += atom->nlocal;
  ++cost->steps;
}

void PairMACENative::evaluate(Member &member)
{
  moalloy::Engine &engine = *member.engine;
  const int all = atom->nlocal + atom->nghost;
  // A hybrid style may give all pairs of a type to other styles. Then its atoms are in no list of
  // this one, and their neighbours were never counted.
  node_type.assign(all, -1);
  for (int k = 0; k < list->inum; ++k) {
    const int i = list->ilist[k];
    node_type[i] = member.type_of_type[atom->type[i]];
  }
  for (int i = atom->nlocal; i < all; ++i) node_type[i] = member.type_of_type[atom->type[i]];
  const ListOfLammps source(*list, atom->x);
  engine.begin({atom->nlocal, all, node_type.data(), &source}, comm->nthreads, vflag_atom != 0);
  talking = &engine;
  engine.first_layer();
  if (engine.layers() > 1) {
    communicate(true);
    engine.second_layer();
    communicate(false);
    engine.first_layer_back();
  }
  cost->edge_steps += static_cast<double>(engine.edges());
}

void PairMACENative::tally(const Member &member, double share)
{
  const moalloy::Engine &engine = *member.engine;
  double energy = 0.0;
  for (const double e : engine.energies()) energy += e;
  check_energy(energy);
  const int all = atom->nlocal + atom->nghost;
  double **f = atom->f;
  const std::vector<double> &forces = engine.forces();
  for (int i = 0; i < all; ++i)
    for (int a = 0; a < 3; ++a) f[i][a] += share * forces[3 * static_cast<size_t>(i) + a];
  if (eflag_global) eng_vdwl += share * energy;
  if (eflag_atom)
    for (int i = 0; i < atom->nlocal; ++i) eatom[i] += share * engine.energies()[i];
  // LAMMPS's virial is minus dE/d strain; order xx yy zz xy xz yz
  constexpr int row[6] = {0, 1, 2, 0, 0, 1}, column[6] = {0, 1, 2, 1, 2, 2};
  auto component = [&](const double *w, int k) {
    return -0.5 * share * (w[3 * row[k] + column[k]] + w[3 * column[k] + row[k]]);
  };
  if (vflag_global)
    for (int k = 0; k < 6; ++k) virial[k] += component(engine.virial(), k);
  if (vflag_atom)
    for (int i = 0; i < all; ++i)
      for (int k = 0; k < 6; ++k)
        vatom[i][k] += component(&engine.virials()[9 * static_cast<size_t>(i)], k);
}

// ---- messages between the layers ----

void PairMACENative::communicate(bool forward)
{
  const double start = platform::walltime();
  const int doubles = talking ? static_cast<int>(talking->feature_bytes() / sizeof(double))
                              : deviation->numbers_of_node();
  if (forward)
    comm->forward_comm(this, doubles);
  else
    comm->reverse_comm(this, doubles);
  cost->communication_s += platform::walltime() - start;
}

int PairMACENative::pack_forward_comm(int n, int *nodes, double *buffer, int, int *)
{
  const size_t bytes = talking->feature_bytes();
  char *to = reinterpret_cast<char *>(buffer);
  for (int k = 0; k < n; ++k) std::memcpy(to + k * bytes, talking->features(nodes[k]), bytes);
  cost->message_bytes += static_cast<double>(n * bytes);
  return n * static_cast<int>(bytes / sizeof(double));
}

void PairMACENative::unpack_forward_comm(int n, int first, double *buffer)
{
  const size_t bytes = talking->feature_bytes();
  if (n > 0) std::memcpy(talking->features(first), buffer, n * bytes);
}

int PairMACENative::pack_reverse_comm(int n, int first, double *buffer)
{
  if (talking) {
    const size_t bytes = talking->feature_bytes();
    if (n > 0) std::memcpy(buffer, talking->adjoints(first), n * bytes);
    cost->message_bytes += static_cast<double>(n * bytes);
    return n * static_cast<int>(bytes / sizeof(double));
  }
  const int numbers = deviation->numbers_of_node();
  if (n > 0) std::copy_n(deviation->forces_of_node(first), n * numbers, buffer);
  cost->message_bytes += static_cast<double>(n) * numbers * sizeof(double);
  return n * numbers;
}

void PairMACENative::unpack_reverse_comm(int n, int *nodes, double *buffer)
{
  if (talking) {
    const size_t bytes = talking->feature_bytes();
    const char *from = reinterpret_cast<const char *>(buffer);
    for (int k = 0; k < n; ++k) talking->add_adjoints(nodes[k], from + k * bytes);
    return;
  }
  const int numbers = deviation->numbers_of_node();
  for (int k = 0; k < n; ++k)
    for (int c = 0; c < numbers; ++c)
      deviation->forces_of_node(nodes[k])[c] += buffer[k * numbers + c];
}

// ---- what it tells ----

void PairMACENative::finish()
{
  deviation->write_pending();
  cost->report(style, static_cast<int>(members.size()), memory_usage());
  cost->clear();
}

double PairMACENative::memory_usage()
{
  double bytes = Pair::memory_usage();
  for (const Member &member : members)
    if (member.engine) bytes += member.engine->memory();
  return bytes;
}

void *PairMACENative::extract(const char *name, int &dimension)
{
  dimension = 0;
  if (strcmp(name, "deviation_flag") == 0) return &deviation->requested;
  return nullptr;
}

// For fix pair: `fix d all pair 100 mace/native deviation 1` gives f_d, eV/Angstrom, to dumps.
void *PairMACENative::extract_peratom(const char *name, int &columns)
{
  columns = 0;
  if (strcmp(name, "deviation") != 0) return nullptr;
  if (members.size() == 1)
    error->all(FLERR,
               "pair_style {}: expected several model files for the deviation that fix pair asks "
               "for, found one: add files to the pair_coeff line or remove the fix",
               style);
  return deviation->of_atoms(update->ntimestep);
}
