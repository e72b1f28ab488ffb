#include "model_deviation.h"

#include "atom.h"
#include "comm.h"
#include "lammps.h"
#include "update.h"
#include "utils.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

using namespace LAMMPS_NS;

namespace moalloy
{

ModelDeviation::~ModelDeviation()
{
  write_pending();
  if (file_) fclose(file_);
}

void ModelDeviation::configure(int every, const std::string &path)
{
  if (file_ && path != path_) {
    write_pending();
    fclose(file_);
    file_ = nullptr;
  }
  every_ = every;
  path_ = path;
}

std::string ModelDeviation::open()
{
  if (file_ || every_ == 0 || lmp_->comm->me != 0) return {};
  const std::string rows = earlier_rows(), written = path_ + ".new";
  file_ = fopen(written.c_str(), "w");
  if (file_) {
    fprintf(file_, "#%11s%19s%19s%19s%19s%19s%19s\n%s", "step", "max_devi_v", "min_devi_v",
            "avg_devi_v", "max_devi_f", "min_devi_f", "avg_devi_f", rows.c_str());
    fflush(file_);
  }
  // under another name first: a kill in between leaves the rows of before
  if (!file_ || ferror(file_) || std::rename(written.c_str(), path_.c_str()) != 0) {
    const std::string why = std::strerror(errno);
    if (file_) fclose(file_);
    file_ = nullptr;
    std::remove(written.c_str());
    return "expected an out_file that can be written, found " + path_ + ": " + why +
           ". Choose another";
  }
  return {};
}

// A run that goes on from a restart keeps what came before it, and does the rest anew.
std::string ModelDeviation::earlier_rows() const
{
  std::string kept;
  std::ifstream file(path_);
  for (std::string line; std::getline(file, line);) {
    std::istringstream numbers(line);
    bigint step;
    if (!file.eof() && numbers >> step && step < lmp_->update->ntimestep) kept += line + "\n";
  }
  return kept;
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
  step_ = step;
  of_atom_.resize(std::max(lmp_->atom->nmax, 1));
  double lowest = INFINITY, highest = 0.0, sum = 0.0;
  for (int i = 0; i < local; ++i) {
    const double *f = forces_of_node(i);
    double square = 0.0;
    for (int a = 0; a < 3; ++a) {
      double mean = 0.0;
      for (int m = 0; m < models_; ++m) mean += f[3 * m + a] / models_;
      for (int m = 0; m < models_; ++m) square += (f[3 * m + a] - mean) * (f[3 * m + a] - mean);
    }
    of_atom_[i] = std::sqrt(square / models_);
    lowest = std::min(lowest, of_atom_[i]);
    highest = std::max(highest, of_atom_[i]);
    sum += of_atom_[i];
  }
  if (every_ == 0 || step % every_ != 0) return;
  Row row{step, {0.0, INFINITY, 0.0}, {}};
  MPI_Reduce(&highest, &row.force[0], 1, MPI_DOUBLE, MPI_MAX, 0, lmp_->world);
  MPI_Reduce(&lowest, &row.force[1], 1, MPI_DOUBLE, MPI_MIN, 0, lmp_->world);
  MPI_Reduce(&sum, &row.force[2], 1, MPI_DOUBLE, MPI_SUM, 0, lmp_->world);
  std::vector<double> all(virials_.size());
  MPI_Reduce(virials_.data(), all.data(), static_cast<int>(all.size()), MPI_DOUBLE, MPI_SUM, 0,
             lmp_->world);
  if (lmp_->comm->me != 0) return;
  const double atoms = static_cast<double>(lmp_->atom->natoms);
  row.force[2] /= atoms;
  for (int c = 0; c < 9; ++c) {
    double mean = 0.0, square = 0.0;
    for (int m = 0; m < models_; ++m) mean += all[9 * m + c] / models_;
    for (int m = 0; m < models_; ++m) square += (all[9 * m + c] - mean) * (all[9 * m + c] - mean);
    const double deviation = std::sqrt(square / models_) / atoms;
    row.virial[0] = std::max(row.virial[0], deviation);
    row.virial[1] = std::min(row.virial[1], deviation);
    row.virial[2] += deviation * deviation / 9;
  }
  row.virial[2] = std::sqrt(row.virial[2]);
  pending_ = row;
}

double *ModelDeviation::of_atoms(bigint step) { return step == step_ ? of_atom_.data() : nullptr; }

void ModelDeviation::write_before(bigint step)
{
  if (pending_ && pending_->step != step) write_pending();
}

void ModelDeviation::write_pending()
{
  if (!pending_ || !file_) return;
  std::string line = fmt::format("{:12d}", pending_->step);
  for (const double v : pending_->virial) line += fmt::format(" {:18.6e}", v);
  for (const double f : pending_->force) line += fmt::format(" {:18.6e}", f);
  pending_.reset();
  // the last step of a run is the first of the next
  if (line == last_line_) return;
  last_line_ = line;
  fprintf(file_, "%s\n", line.c_str());
  fflush(file_);
}

}  // namespace moalloy
