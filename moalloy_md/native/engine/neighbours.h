// Who the neighbours of an atom are: a list of LAMMPS, or edges from Python.
#ifndef MOALLOY_NEIGHBOURS_H
#define MOALLOY_NEIGHBOURS_H

#include <vector>

namespace moalloy
{

struct NeighbourList {
  std::vector<int> node;
  std::vector<double> x, y, z;  // from the neighbour to the centre, Angstrom
  void clear()
  {
    node.clear();
    x.clear();
    y.clear();
    z.clear();
  }
  void add(int j, double dx, double dy, double dz)
  {
    node.push_back(j);
    x.push_back(dx);
    y.push_back(dy);
    z.push_back(dz);
  }
};

class NeighbourSource
{
 public:
  virtual ~NeighbourSource() = default;
  // Appends the neighbours of `centre`, at least all within r_max; called by several threads.
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
