// Synonyms: what other tools call the keys and words of HELM's files, so that whoever types theirs is told HELM's.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace helm {

// The one of `allowed` that is meant: what another tool's word stands for, or the nearest in spelling (core/text.h).
std::optional<std::string> WhatIsMeant(std::string_view word, const std::vector<std::string>& allowed);

}  // namespace helm
