// Who the neighbours of an atom are: a list of LAMMPS, or edges from Python.
#ifndef MOALLOY_NEIGHBOURS_H
#define MOALLOY_NEIGHBOURS_H

#include <vector>

namespace moalloy
{

// The first `count` entries of arrays that only grow.
struct NeighbourList {
  int count = 0;
  std::vector<int> node;
  std::vector<double> x, y, z;  // from the neighbour to the centre, Angstrom
  void make_room(int n)
  {
    if (static_cast<int>(node.size()) >= count + n) return;
    node.resize(count + n);
    for (auto *v : {&x, &y, &z}) v->resize(count + n);
  }
  // Without a branch, because nobody can predict which neighbours are within the cutoff.
  void add_if(bool wanted, int j, double dx, double dy, double dz)
  {
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
  // Appends the neighbours of `centre` that are nearer than r_max; called by several threads.
  virtual void gather(int centre, double r_max, NeighbourList &list) const = 0;
};

// Atoms whose energies are asked for come first; the other nodes are only neighbours.
struct System {
  int centres = 0, nodes = 0;
  const int *type = nullptr;  // (nodes), from 0; -1 for a centre that is not ours: no neighbours
  const NeighbourSource *neighbours = nullptr;
};

}  // namespace moalloy

#endif
