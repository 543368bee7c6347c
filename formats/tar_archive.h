// Tar archive: regular files, one after the other, in the ustar form of POSIX.1-2001 (pax, "ustar Interchange Format"). Writing only; times
// and owners are zero, so that equal contents give equal bytes.
#pragma once

#include <string>
#include <vector>

#include "core/status.h"

namespace helm::formats {

struct TarMember {
  std::string name;  // at most 100 bytes
  std::string content;
};

// Fails (invalid) when a name is empty or too long, or a content has 8 GiB or more: the form's fields hold no more.
Result<std::string> ToTar(const std::vector<TarMember>& members);

}  // namespace helm::formats
