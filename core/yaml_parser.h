// The inside of located_yaml.cc that its parts share: checks of a text's bytes, and of how a scalar is written. Not for other modules.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "core/diagnostics.h"

namespace helm {

inline constexpr size_t kYamlDepthMax = 64;

// Reports bytes that are not UTF-8, control characters, a byte order mark, tabs in indentation, directives.
void CheckBytes(std::string_view text, const std::shared_ptr<const SourceText>& source, Diagnostics& diagnostics);

// The offset after the quoted scalar that begins at `start`, or npos if it does not end on its line (`over_lines`: in the text).
size_t EndOfQuoted(std::string_view text, size_t start, bool over_lines);
// The offset after the bracket that closes the one at `start`, or npos if none does; then `culprit` is the offset of what is not closed: a
// quote inside, or the bracket.
size_t EndOfBrackets(std::string_view text, size_t start, bool over_lines, size_t& culprit);
// What may follow a value that ends at `end`: blanks, then the end of the line, a comment, or one of `delimiters`.
bool EndsWell(std::string_view text, size_t end, std::string_view delimiters);

}  // namespace helm
