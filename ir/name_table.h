// NameTable: the names of one kind of thing in a text, with a provisional id and the place of the first mention of each, and its place
// among the declarations once it is declared. Internal to the program parser (ir/program_parser.cc); lets a name be used before its
// declaration.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "core/id.h"
#include "ir/text_scanner.h"

namespace helm::ir {

template <typename Tag>
class NameTable {
 public:
  Id<Tag> Mention(const std::string& name, TextPosition at) {
    const auto [entry, added] = ids_.try_emplace(name, Id<Tag>(names_.size()));
    if (added) {
      names_.push_back(name);
      mentions_.push_back(at);
      declared_.emplace_back();
    }
    return entry->second;
  }
  // RETURNS false when the id is declared already.
  bool Declare(Id<Tag> id) {
    if (declared_[id.index()].valid()) return false;
    declared_[id.index()] = Id<Tag>(count_++);
    return true;
  }
  bool IsDeclared(Id<Tag> id) const { return declared_[id.index()].valid(); }
  Id<Tag> Declared(Id<Tag> id) const { return id.valid() ? declared_[id.index()] : id; }
  size_t size() const { return names_.size(); }
  const std::string& name(size_t index) const { return names_[index]; }
  TextPosition mention(size_t index) const { return mentions_[index]; }

 private:
  std::unordered_map<std::string, Id<Tag>> ids_;
  std::vector<std::string> names_;
  std::vector<TextPosition> mentions_;
  std::vector<Id<Tag>> declared_;  // place among the declarations
  size_t count_ = 0;
};

}  // namespace helm::ir
