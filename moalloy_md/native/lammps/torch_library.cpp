#include "torch_model.h"

#include <dlfcn.h>

namespace moalloy
{
namespace
{

constexpr char FILE_NAME[] = "moalloy_torch_model.so";

// Folder of this plugin, with its last slash.
std::string own_folder()
{
  Dl_info info{};
  dladdr(reinterpret_cast<void *>(&torch_library), &info);
  const std::string path = info.dli_fname ? info.dli_fname : "";
  return path.substr(0, path.rfind('/') + 1);
}

const TorchLibrary *open_library()
{
  const std::string path = own_folder() + FILE_NAME;
  // LAMMPS exports a BLAS of its own (dgemm_ and others, not optimised), which would take the place
  // of torch's for whatever is linked to torch in the usual way: a double precision step took 1.6
  // times as long. DEEPBIND makes torch and its dependencies look among themselves first.
  void *handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  void *entry = handle ? dlsym(handle, "moalloy_torch_library") : nullptr;
  if (!entry)
    throw ModelError(std::string("torch cannot be loaded (") + dlerror() +
                     "): run 'moalloy plugin build --force'");
  return reinterpret_cast<const TorchLibrary *(*)()>(entry)();
}

}  // namespace

const TorchLibrary &torch_library()
{
  static const TorchLibrary *library = open_library();
  return *library;
}

}  // namespace moalloy
