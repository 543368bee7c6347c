// Whole folders: what makes a folder of files appear, move and go as one thing. Making one: core/file.h.
#pragma once

#include <string>

#include "core/status.h"

namespace helm {

Status RemoveFolder(const std::string& path);  // with all that is in it; ok if it is not there
// On the disk when it returns. `to` is on the same file system, and is not there or is an empty folder.
Status RenameFolder(const std::string& from, const std::string& to);
// Makes what was created in, renamed to or removed from the folder survive a loss of power.
Status SynchroniseFolder(const std::string& folder);

}  // namespace helm
