// pair_style mace: a MACE model in a TorchScript file.
#ifndef LMP_PAIR_MACE_H
#define LMP_PAIR_MACE_H

#include "pair_mace_base.h"

#include <memory>
#include <string>
#include <vector>

namespace moalloy
{
class LocalGraph;
class TorchModel;
struct Evaluation;
}  // namespace moalloy

namespace LAMMPS_NS
{

class PairMACE : public PairMACEBase
{
 public:
  explicit PairMACE(class LAMMPS *);
  ~PairMACE() override;

  void settings(int, char **) override;
  void coeff(int, char **) override;
  void init_style() override;
  void compute(int, int) override;

 private:
  std::unique_ptr<moalloy::TorchModel> load_model(const char *path, const std::string &place);
  void check_run();
  void forecast();
  void raise_ghost_cutoff(double);
  void lower_ghost_cutoff();
  [[noreturn]] void refuse_stress_of_atoms();
  std::string choose_device();
  void tally_edges();
  void tally_nodes();

  bool domain_decomposition = true;
  int ranks_of_node = 1;
  double ghost_cutoff = 0.0, ghost_cutoff_before = 0.0;  // what we set, 0 for nothing; Angstrom
  std::string device, model_path;
  std::vector<int> species_of_type;  // per type, from 1; -1: not ours (hybrid only)
  std::unique_ptr<moalloy::TorchModel> model;
  std::unique_ptr<moalloy::LocalGraph> local;
  std::unique_ptr<moalloy::Evaluation> result;
};

}  // namespace LAMMPS_NS

#endif
