// TomlSections: the part of TOML that torchtitan's job configurations need: sections of `key = value` lines, values on one line.
//
// Not a TOML library: no nested tables, dates or multi-line strings. A value is kept as it is written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"

namespace helm::exporter {

class TomlSections {
 public:
  void Add(const std::string& section, const std::string& key, int64_t value);
  void Add(const std::string& section, const std::string& key, double value);
  void AddText(const std::string& section, const std::string& key, const std::string& value);
  void AddRaw(const std::string& section, const std::string& key, const std::string& value);

  std::string ToText() const;
  static Result<TomlSections> Parse(std::string_view text);

  // Each key is taken once; what is left at the end nobody knows.
  std::optional<std::string> TakeRaw(const std::string& section, const std::string& key);
  std::string TakeText(const std::string& section, const std::string& key, const std::string& fallback);
  int64_t TakeInt(const std::string& section, const std::string& key, int64_t fallback);
  double TakeDouble(const std::string& section, const std::string& key, double fallback);
  Status Finish() const;

 private:
  struct Entry {
    std::string section, key, value;
  };
  std::vector<Entry> entries_;
  std::vector<std::string> problems_;
};

}  // namespace helm::exporter
