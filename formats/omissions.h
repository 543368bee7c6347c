// Omissions: what a reader of a foreign file did not take over, by reason, with how often and where first. A reader leaves no record out
// in silence: it counts it here, and whoever shows the result shows these too.
//
// Not for files that cannot be read at all: those are a Status.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace helm::formats {

struct Omission {
  int64_t count = 0;
  std::string place;  // of the first one: "FILE:LINE"; empty where the format has no places
  bool operator==(const Omission&) const = default;
};

class Omissions {
 public:
  // `reason` names what was left out and why: "rows whose results were wrong".
  void Add(const std::string& reason, std::string_view place = {}, int64_t count = 1);
  void Add(const Omissions& other);

  bool empty() const { return by_reason_.empty(); }
  const std::map<std::string, Omission>& by_reason() const { return by_reason_; }
  // One line for each reason: "left out: rows whose results were wrong: 12 (the first at all_reduce.txt:31)".
  std::vector<std::string> Lines() const;

 private:
  std::map<std::string, Omission> by_reason_;
};

}  // namespace helm::formats
