// Node lists as Slurm writes them: "login1,node[01-04,7],rack[1-2]n[1,3]" (slurm.conf(5), scontrol show hostnames).
//
// Brackets hold numbers and ranges; a range counts with as many digits as its first number has ("01-04": 01, 02, 03, 04). Several brackets
// in a name are a product, the last one running fastest. Nothing is resolved: names are text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace helm::exec {

// Every host, in order. kInvalid for an empty list, an empty name, unbalanced brackets, a range that runs backwards, or more than 2^20
// hosts; the message quotes the list.
Result<std::vector<std::string>> ExpandNodeList(std::string_view list);

}  // namespace helm::exec
