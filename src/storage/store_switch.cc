#include "storage/store_switch.h"

namespace holdfast::storage {

std::string IncomingPath(const std::string& path) { return path + ".incoming"; }
std::string OldPath(const std::string& path) { return path + ".old"; }

Status SwitchStores(StoreFactory* factory, const std::string& path) {
  RETURN_IF_ERROR(factory->Rename(path, OldPath(path)));
  RETURN_IF_ERROR(factory->Rename(IncomingPath(path), path));
  return factory->Destroy(OldPath(path));
}

Status SettleSwitch(StoreFactory* factory, const std::string& path) {
  Result<bool> present = factory->Exists(path);
  if (!present.ok()) return present.status();
  if (!present.value()) {
    Result<bool> old = factory->Exists(OldPath(path));
    if (!old.ok()) return old.status();
    if (old.value()) RETURN_IF_ERROR(factory->Rename(OldPath(path), path));
  }
  RETURN_IF_ERROR(factory->Destroy(OldPath(path)));
  return factory->Destroy(IncomingPath(path));
}

}  // namespace holdfast::storage
