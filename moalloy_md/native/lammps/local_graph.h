// The graph that one rank has to evaluate for the energies of its own atoms.
#ifndef MOALLOY_LOCAL_GRAPH_H
#define MOALLOY_LOCAL_GRAPH_H

#include "torch_model.h"

#include "lmptype.h"

#include <unordered_map>
#include <vector>

namespace LAMMPS_NS
{
class NeighList;
}

namespace moalloy
{

// What LAMMPS knows of the atoms.
struct Atoms {
  const double *const *x;
  const int *type;
  const LAMMPS_NS::tagint *tag;
};

/* A model of n layers sees n edges far. From the owned atoms (level 0) the edges are followed
   backwards, and an edge enters only if its receiver lies less than n edges from an owned atom: for
   two layers the receivers are the owned atoms and the ghosts that are their neighbours.

   Every periodic image of an atom has the same surroundings, so all of them are one node: a ghost
   whose owner is this rank is that owned atom. Edges carry their own vector, so nothing is lost.

   Atoms at level n send only what their element says (no edge leads to them); where the model
   returns gradients of edges, one node per element stands for all of them. */
class LocalGraph
{
 public:
  // species_of_type: per LAMMPS type (from 1) the model's element index, -1 for none
  // merge_outermost: one node per element at level n
  void build(const Atoms &atoms, const LAMMPS_NS::NeighList &list,
             const std::vector<int> &species_of_type, double r_max, int n_layers,
             bool merge_outermost);

  const Graph &graph() const { return graph_; }
  // LAMMPS indices of the atoms behind nodes and edges; -1 for a merged node
  const std::vector<int> &node_atom() const { return node_atom_; }
  const std::vector<int> &edge_sender() const { return edge_sender_; }
  const std::vector<int> &edge_receiver() const { return edge_receiver_; }

 private:
  int64_t add_node(int atom, int species);

  Graph graph_;
  std::vector<int64_t> receivers_;
  std::vector<int> node_atom_, edge_sender_, edge_receiver_;
  std::unordered_map<LAMMPS_NS::tagint, int64_t> node_of_tag_;
  std::vector<int64_t> merged_node_;
};

// Atoms of one element with as many neighbours each, at random places: to try a model on.
Graph sample_graph(int n_atoms, int n_neighbours, double r_max);

}  // namespace moalloy

#endif
