#include "local_graph.h"

#include "neigh_list.h"

#include <algorithm>

namespace moalloy
{

int64_t LocalGraph::add_node(int atom, int species)
{
  graph_.species.push_back(species);
  node_atom_.push_back(atom);
  return graph_.n_nodes() - 1;
}

void LocalGraph::build(const Atoms &atoms, const LAMMPS_NS::NeighList &list,
                       const std::vector<int> &species_of_type, double r_max, int n_layers,
                       bool merge_outermost)
{
  graph_.species.clear();
  graph_.edge_index.clear();
  graph_.vectors.clear();
  receivers_.clear();
  node_atom_.clear();
  edge_sender_.clear();
  edge_receiver_.clear();
  node_of_tag_.clear();
  merged_node_.assign(1 + *std::max_element(species_of_type.begin(), species_of_type.end()), -1);

  // With `pair_style hybrid` the list holds only the atoms whose types are ours.
  for (int k = 0; k < list.inum; ++k) {
    const int i = list.ilist[k];
    node_of_tag_.emplace(atoms.tag[i], add_node(i, species_of_type[atoms.type[i]]));
  }
  graph_.n_owned = list.inum;

  // Nodes are added in the order in which they are reached, so each level is one range of nodes.
  int64_t level_begin = 0, level_end = graph_.n_owned;
  for (int level = 1; level <= n_layers; ++level) {
    const bool merge = merge_outermost && level == n_layers;
    for (int64_t receiver = level_begin; receiver < level_end; ++receiver) {
      const int i = node_atom_[receiver];
      const int *neighbors = list.firstneigh[i];
      for (int jj = 0; jj < list.numneigh[i]; ++jj) {
        const int j = neighbors[jj] & NEIGHMASK;
        const double v[3] = {atoms.x[i][0] - atoms.x[j][0], atoms.x[i][1] - atoms.x[j][1],
                             atoms.x[i][2] - atoms.x[j][2]};
        if (v[0] * v[0] + v[1] * v[1] + v[2] * v[2] >= r_max * r_max) continue;
        const int species = species_of_type[atoms.type[j]];
        if (species < 0) continue;
        int64_t sender;
        if (const auto known = node_of_tag_.find(atoms.tag[j]); known != node_of_tag_.end()) {
          sender = known->second;
        } else if (merge) {
          if (merged_node_[species] < 0) merged_node_[species] = add_node(-1, species);
          sender = merged_node_[species];
        } else {
          sender = add_node(j, species);
          node_of_tag_.emplace(atoms.tag[j], sender);
        }
        graph_.edge_index.push_back(sender);
        receivers_.push_back(receiver);
        graph_.vectors.insert(graph_.vectors.end(), v, v + 3);
        edge_sender_.push_back(j);
        edge_receiver_.push_back(i);
      }
    }
    level_begin = level_end;
    level_end = graph_.n_nodes();
  }
  graph_.edge_index.insert(graph_.edge_index.end(), receivers_.begin(), receivers_.end());
}

}  // namespace moalloy
