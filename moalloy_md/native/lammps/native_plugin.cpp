// Entry of the plugin that needs nothing but LAMMPS: registers `pair_style mace/native`.
#include "lammps_plugin.h"
#include "pair_mace_native.h"

#ifndef MOALLOY_LAMMPS_VERSION
#error "MOALLOY_LAMMPS_VERSION must hold the version of the LAMMPS that this is compiled for"
#endif

static void *make_pair_mace_native(void *lmp)
{
  return new LAMMPS_NS::PairMACENative(static_cast<LAMMPS_NS::LAMMPS *>(lmp));
}

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle,
                                                                         void *regfunc)
{
  lammpsplugin_t plugin{};
  plugin.version = MOALLOY_LAMMPS_VERSION;
  plugin.style = "pair";
  plugin.name = "mace/native";
  plugin.info = "MACE interatomic potential, evaluated without torch";
  plugin.author = "moalloy_md";
  plugin.creator.v1 = make_pair_mace_native;
  plugin.handle = handle;
  reinterpret_cast<lammpsplugin_regfunc>(regfunc)(&plugin, lmp);
}
