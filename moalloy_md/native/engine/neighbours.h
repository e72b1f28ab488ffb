// Who the neighbours of an atom are: a list of LAMMPS, or edges from Python.
#ifndef MOALLOY_NEIGHBOURS_H
#define MOALLOY_NEIGHBOURS_H

#include <cstddef>
#include <vector>

namespace moalloy
{

// The first `count` entries of arrays that only grow.
struct NeighbourList {
  int count = 0;
  std::vector<int> node, handle;
  std::vector<double> x, y, z;  // from the neighbour to the centre, Angstrom
  void make_room(int n)
  {
    if (static_cast<int>(node.size()) >= count + n) return;
    node.resize(count + n);
    handle.resize(count + n);
    for (auto *v : {&x, &y, &z}) v->resize(count + n);
  }
  // Without a branch, because nobody can predict which neighbours are within the cutoff.
  void add_if(bool wanted, int found_as, int j, double dx, double dy, double dz)
  {
    handle[count] = found_as;
    node[count] = j;
    x[count] = dx;
    y[count] = dy;
    z[count] = dz;
    count += wanted ? 1 : 0;
  }
};

class NeighbourSource
{
 public:
  virtual ~NeighbourSource() = default;
  // Appends the neighbours of `centre` that are nearer than r_max, each with a number by which
  // look_up finds it again. Both are called by several threads.
  virtual void gather(int centre, double r_max, NeighbourList &list) const = 0;
  virtual void look_up(int centre, const int *handles, int count, int *node, double *x, double *y,
                       double *z) const = 0;
};

/* The neighbours of one centre after the other, from the first sweep of a step to the last. Later
   sweeps need not look at all that a list holds: it reaches further than the cutoff. */
class KeptNeighbours
{
 public:
  struct Found {
    const int *handles;
    int count;
  };
  void clear()
  {
    counts_.clear();
    handles_.clear();
  }
  void keep(const int *handles, int count)
  {
    counts_.push_back(count);
    handles_.insert(handles_.end(), handles, handles + count);
  }
  void rewind() { centre_ = first_ = 0; }
  Found next()
  {
    const Found found{handles_.data() + first_, counts_[centre_++]};
    first_ += found.count;
    return found;
  }
  double memory() const
  {
    return static_cast<double>(counts_.capacity() + handles_.capacity()) * sizeof(int);
  }

 private:
  std::vector<int> counts_, handles_;
  std::size_t centre_ = 0, first_ = 0;
};

// Atoms whose energies are asked for come first; the other nodes are only neighbours.
struct System {
  int centres = 0, nodes = 0;
  const int *type = nullptr;  // (nodes), from 0; -1 for a centre that is not ours: no neighbours
  const NeighbourSource *neighbours = nullptr;
};

}  // namespace moalloy

#endif
