// pair_style mace/native: MACE models evaluated by the native engine.
#ifndef LMP_PAIR_MACE_NATIVE_H
#define LMP_PAIR_MACE_NATIVE_H

#include "pair.h"

#include <memory>
#include <string>
#include <vector>

namespace moalloy
{
class Engine;
class ModelDeviation;
struct Model;
}  // namespace moalloy

namespace LAMMPS_NS
{

class PairMACENative : public Pair
{
 public:
  explicit PairMACENative(class LAMMPS *);
  ~PairMACENative() override;

  void settings(int, char **) override;
  void coeff(int, char **) override;
  void init_style() override;
  double init_one(int, int) override;
  void compute(int, int) override;
  void finish() override;

  int pack_forward_comm(int, int *, double *, int, int *) override;
  void unpack_forward_comm(int, int, double *) override;
  int pack_reverse_comm(int, int, double *) override;
  void unpack_reverse_comm(int, int *, double *) override;

  double memory_usage() override;
  void *extract(const char *, int &) override;
  void *extract_peratom(const char *, int &) override;

 private:
  // One model of a committee, or the only one.
  struct Member {
    std::string path;
    std::vector<int> species_of_type;  // per LAMMPS type, from 1; -1: not ours (hybrid only)
    std::vector<int> type_of_type;     // the same for the engine's types, from 0
    std::unique_ptr<moalloy::Model> model;
    std::unique_ptr<moalloy::Engine> engine;
  };

  void allocate();
  void load(Member &, const char *path, int n_types, char **symbols);
  void make_engines();
  void forecast();
  void evaluate(Member &);
  void tally(const Member &, double share);
  void communicate(bool forward);

  std::vector<Member> members;
  std::string precision = "file";  // float, double, or that of the file
  bool announced = false;
  double r_max = 0.0;

  // What the messages of now carry: features or adjoints of one engine, or forces of all members.
  moalloy::Engine *talking = nullptr;
  std::vector<int> node_type;

  std::unique_ptr<moalloy::ModelDeviation> deviation;

  double wall = 0.0, wall_communication = 0.0;  // s, since the last report
  double atom_steps = 0.0, edge_steps = 0.0;
  bigint steps = 0;
};

}  // namespace LAMMPS_NS

#endif
