#include "base/status.h"

#include <cerrno>
#include <cstring>

namespace holdfast {

Status Status::FromErrno(std::string_view what, int error) {
  std::string message(what);
  message += ": ";
  message += std::strerror(error);
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return NoSpace(std::move(message));
    case ENOENT:
      return NotFound(std::move(message));
    default:
      return IoError(std::move(message));
  }
}

}  // namespace holdfast
