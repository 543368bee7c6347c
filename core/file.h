// Whole files: reading, writing so that nobody ever sees half a file, and the few path functions that the readers need.
//
// Invariant of WriteFileAtomically: after it, and after a crash at any moment, `path` holds either its old content or all of the new one.
#pragma once

#include <string>
#include <string_view>

#include "core/status.h"

namespace helm {

// The whole file, byte for byte. A missing or unreadable file is kInvalid, with the operating system's reason.
Result<std::string> ReadFile(const std::string& path);

// Temporary file in the same folder (it must exist), fsync, rename, fsync. A link's target is replaced; devices and pipes are written to.
Status WriteFileAtomically(const std::string& path, std::string_view content);

bool FileExists(const std::string& path);     // a regular file, or a link to one
bool FolderExists(const std::string& path);   // a folder, or a link to one
Status MakeFolders(const std::string& path);  // with all its parents; ok if it is already there

// "a/b.yaml" -> "a"; "b.yaml" -> ".".
std::string FolderOf(const std::string& path);
// `path` as seen from `folder`: unchanged if absolute, else folder/path, without "." and "..": ("runs", "../models/a.json") ->
// "models/a.json".
std::string ResolvePath(const std::string& folder, const std::string& path);
// Of the running program (/proc/self/exe).
std::string ExecutableFolder();

}  // namespace helm
