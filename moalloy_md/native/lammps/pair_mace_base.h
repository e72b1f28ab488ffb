// What both pair styles do alike: what they tell LAMMPS about themselves, the pair_coeff line, what
// cannot run, one sentence for all ranks.
#ifndef LMP_PAIR_MACE_BASE_H
#define LMP_PAIR_MACE_BASE_H

#include "pair.h"

#include <string>
#include <vector>

namespace LAMMPS_NS
{

class PairMACEBase : public Pair
{
 public:
  ~PairMACEBase() override;
  double init_one(int, int) override { return r_max; }

 protected:
  PairMACEBase(class LAMMPS *, const char *style);

  // Refuses a line that is not '* *', n_files model files (as `files` shows) and an element for
  // each type. Makes the arrays that every pair style has.
  void check_coeff(int narg, char **arg, int n_files, const std::string &files);

  /* Index among `known` of the element of each type, from 1; -1 for NULL, which only hybrid styles
     may use. */
  std::vector<int> map_types(const std::string &model_path, const std::vector<int> &known,
                             char **symbols);

  // Tells LAMMPS which pairs of types are ours.
  void use_types(const std::vector<int> &species);

  // Chemical symbols, separated by blanks.
  static std::string element_names(const std::vector<int> &atomic_numbers);

  // A problem that one rank has stops all of them, with the sentence of the first. Collective.
  void stop_all_for(std::string problem);

  // Units, newton, atom IDs, neighbours.
  void check_can_run();

  // A model that has the repulsion of the nuclei, beside pair_style zbl for the same pairs of
  // types.
  void warn_of_second_repulsion();

  // Stops a run whose energy is infinite or not a number.
  void check_energy(double energy);

  const std::string style;
  double r_max = 0.0;  // of the models, Angstrom
  bool announced = false;

 private:
  void allocate();
  // Whether neigh_modify exclude leaves out pairs of ours. Collective.
  bool neighbours_are_left_out();
};

}  // namespace LAMMPS_NS

#endif
