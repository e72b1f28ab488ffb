#include "model_deviation.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "lammps.h"

#include <algorithm>
#include <cmath>
#include <utility>

using namespace LAMMPS_NS;

namespace moalloy
{

ModelDeviation::ModelDeviation(LAMMPS *lmp, int every, std::string path)
    : lmp_(lmp), every_(every), path_(std::move(path))
{
}

ModelDeviation::~ModelDeviation()
{
  if (file_) fclose(file_);
}

bool ModelDeviation::wanted(bigint step) const
{
  return requested != 0 || (every_ > 0 && step % every_ == 0);
}

void ModelDeviation::begin(int models, int nodes)
{
  models_ = models;
  forces_.resize(static_cast<size_t>(nodes) * models * 3);
  virials_.assign(static_cast<size_t>(models) * 9, 0.0);
}

void ModelDeviation::add(int model, const std::vector<double> &forces, const double *virial)
{
  for (size_t i = 0; i < forces.size() / 3; ++i)
    for (int a = 0; a < 3; ++a) forces_[(i * models_ + model) * 3 + a] = forces[3 * i + a];
  std::copy_n(virial, 9, &virials_[static_cast<size_t>(model) * 9]);
}

void ModelDeviation::finish(bigint step, int local)
{
  of_atom.resize(lmp_->atom->nmax);
  double lowest = INFINITY, highest = 0.0, sum = 0.0;
  for (int i = 0; i < local; ++i) {
    const double *f = forces_of_node(i);
    double square = 0.0;
    for (int a = 0; a < 3; ++a) {
      double mean = 0.0;
      for (int m = 0; m < models_; ++m) mean += f[3 * m + a] / models_;
      for (int m = 0; m < models_; ++m) square += (f[3 * m + a] - mean) * (f[3 * m + a] - mean);
    }
    of_atom[i] = std::sqrt(square / models_);
    lowest = std::min(lowest, of_atom[i]);
    highest = std::max(highest, of_atom[i]);
    sum += of_atom[i];
  }
  if (every_ == 0 || step % every_ != 0) return;
  double force[3];
  MPI_Reduce(&highest, &force[0], 1, MPI_DOUBLE, MPI_MAX, 0, lmp_->world);
  MPI_Reduce(&lowest, &force[1], 1, MPI_DOUBLE, MPI_MIN, 0, lmp_->world);
  MPI_Reduce(&sum, &force[2], 1, MPI_DOUBLE, MPI_SUM, 0, lmp_->world);
  std::vector<double> all(virials_.size());
  MPI_Reduce(virials_.data(), all.data(), static_cast<int>(all.size()), MPI_DOUBLE, MPI_SUM, 0,
             lmp_->world);
  if (lmp_->comm->me != 0) return;
  const double atoms = static_cast<double>(lmp_->atom->natoms);
  force[2] /= atoms;
  double virial[3] = {0.0, INFINITY, 0.0};
  for (int c = 0; c < 9; ++c) {
    double mean = 0.0, square = 0.0;
    for (int m = 0; m < models_; ++m) mean += all[9 * m + c] / models_;
    for (int m = 0; m < models_; ++m) square += (all[9 * m + c] - mean) * (all[9 * m + c] - mean);
    const double deviation = std::sqrt(square / models_) / atoms;
    virial[0] = std::max(virial[0], deviation);
    virial[1] = std::min(virial[1], deviation);
    virial[2] += deviation * deviation / 9;
  }
  virial[2] = std::sqrt(virial[2]);
  write(step, virial, force);
}

void ModelDeviation::write(bigint step, const double virial[3], const double force[3])
{
  if (!file_) {
    file_ = fopen(path_.c_str(), "w");
    if (!file_)
      lmp_->error->one(FLERR, "pair_style mace/native: cannot write {}: choose another out_file",
                       path_);
    fprintf(file_, "#%11s%19s%19s%19s%19s%19s%19s\n", "step", "max_devi_v", "min_devi_v",
            "avg_devi_v", "max_devi_f", "min_devi_f", "avg_devi_f");
  }
  fprintf(file_, "%12lld", static_cast<long long>(step));
  for (int k = 0; k < 3; ++k) fprintf(file_, " %18.6e", virial[k]);
  for (int k = 0; k < 3; ++k) fprintf(file_, " %18.6e", force[k]);
  fprintf(file_, "\n");
  fflush(file_);
}

}  // namespace moalloy
