// What both pair styles do alike: elements of atom types, what cannot run, one sentence for all
// ranks.
#ifndef MOALLOY_PAIR_COMMON_H
#define MOALLOY_PAIR_COMMON_H

#include <string>
#include <vector>

namespace LAMMPS_NS
{
class LAMMPS;
}

namespace moalloy
{

// Chemical symbols, separated by blanks.
std::string element_names(const std::vector<int> &atomic_numbers);

// A problem that one rank has stops all of them, with the sentence of the first. Collective.
void stop_all_for(LAMMPS_NS::LAMMPS *lmp, const std::string &style, std::string problem);

/* Index among `known` of the element of each type, from 1; -1 for NULL, which only hybrid styles
   may use. Sets setflag. */
std::vector<int> map_types(LAMMPS_NS::LAMMPS *lmp, const std::string &style,
                           const std::string &model_path, const std::vector<int> &known,
                           int n_types, char **symbols, int **setflag);

// Units, newton, atom IDs.
void check_can_run(LAMMPS_NS::LAMMPS *lmp, const std::string &style);

}  // namespace moalloy

#endif
