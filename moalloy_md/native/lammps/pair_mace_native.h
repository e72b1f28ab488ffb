// pair_style mace/native: MACE models evaluated by the native engine.
#ifndef LMP_PAIR_MACE_NATIVE_H
#define LMP_PAIR_MACE_NATIVE_H

#include "pair_mace_base.h"

#include <memory>
#include <string>
#include <vector>

namespace moalloy
{
class Engine;
class ModelDeviation;
class RunCost;
struct Model;
}  // namespace moalloy

namespace LAMMPS_NS
{

class PairMACENative : public PairMACEBase
{
 public:
  explicit PairMACENative(class LAMMPS *);
  ~PairMACENative() override;

  void settings(int, char **) override;
  void coeff(int, char **) override;
  void init_style() override;
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

  void load(Member &, const char *path, char **symbols);
  void make_engines(std::vector<Member> &);
  void evaluate(Member &);
  void tally(const Member &, double share);
  void communicate(bool forward);

  std::vector<Member> members;
  std::string precision = "file";  // float, double, or that of the file

  // What the messages of now carry: features or adjoints of one engine, or forces of all members.
  moalloy::Engine *talking = nullptr;
  std::vector<int> node_type;

  std::unique_ptr<moalloy::ModelDeviation> deviation;
  std::unique_ptr<moalloy::RunCost> cost;
};

}  // namespace LAMMPS_NS

#endif
