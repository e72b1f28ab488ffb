#include "local_graph.h"

#include "neigh_list.h"

#include <algorithm>
#include <cmath>
#include <random>

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

Graph sample_graph(int n_atoms, int n_neighbours, double r_max)
{
  Graph graph;
  graph.n_owned = n_atoms;
  graph.species.assign(n_atoms, 0);
  const size_t n_edges = static_cast<size_t>(n_atoms) * n_neighbours;
  graph.edge_index.resize(2 * n_edges);
  std::minstd_rand random(1);
  std::uniform_real_distribution<double> cosine(-1.0, 1.0), angle(0.0, 2.0 * M_PI),
      share(0.5, 1.0);  // of r_max: closer than that atoms repel beyond all measure
  for (size_t e = 0; e < n_edges; ++e) {
    graph.edge_index[e] = random() % n_atoms;
    graph.edge_index[n_edges + e] = static_cast<int64_t>(e) / n_neighbours;
    const double r = r_max * share(random), z = cosine(random), phi = angle(random);
    const double in_plane = r * std::sqrt(1.0 - z * z);
    const double v[3] = {in_plane * std::cos(phi), in_plane * std::sin(phi), r * z};
    graph.vectors.insert(graph.vectors.end(), v, v + 3);
  }
  return graph;
}

}  // namespace moalloy
