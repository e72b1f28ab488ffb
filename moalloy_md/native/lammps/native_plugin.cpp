// Entry of the plugin that needs nothing but LAMMPS.
#include "lammps_plugin.h"
#include "pair_mace_native.h"

void lammpsplugin_init(void *lmp, void *handle, void *regfunc)
{
  moalloy::register_pair_style<LAMMPS_NS::PairMACENative>(
      lmp, handle, regfunc, "mace/native", "MACE interatomic potential, evaluated without torch");
}
