// Gzip: undoes the compression of a whole file (several members follow each other, as `cat a.gz b.gz` makes them). Reading only.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/status.h"

namespace helm::formats {

bool IsGzip(std::string_view content);

// `file` is the name in messages. Fails when the data is damaged or cut off, or longer than `bytes_most`.
Result<std::string> Gunzip(std::string_view content, const std::string& file, size_t bytes_most = size_t{1} << 36);

}  // namespace helm::formats
