// Entry of the plugin that needs libtorch.
#include "lammps_plugin.h"
#include "pair_mace.h"

void lammpsplugin_init(void *lmp, void *handle, void *regfunc)
{
  moalloy::register_pair_style<LAMMPS_NS::PairMACE>(
      lmp, handle, regfunc, "mace", "MACE interatomic potential from a TorchScript file");
}
