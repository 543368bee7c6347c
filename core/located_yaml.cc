#include "core/located_yaml.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "core/file.h"
#include "core/text.h"
#include "core/yaml_parser.h"

namespace helm {
namespace {

// Thrown by the handler through yaml-cpp, and caught in BuildTree, where all that follows would be a guess.
struct Stop {};

// Builds the tree from yaml-cpp's events and checks, against the text, what yaml-cpp is lenient about.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view text, std::shared_ptr<const SourceText> source, const YamlOptions& options, Diagnostics& diagnostics)
      : text_(text), source_(std::move(source)), options_(options), diagnostics_(diagnostics) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    CheckAnchor(mark, anchor);
    const std::string_view word = WordAt(mark);
    YamlValue value;
    value.where = At(mark);
    if (AtKey()) {
      diagnostics_.Error(value.where, "a key is missing here, or it is null", {"fix: write `key: value`"});
    } else if (word == "Null" || word == "NULL" || word == "~") {
      diagnostics_.Error(value.where, fmt::format("`{}` for null", word), {"fix: write `null`"});
    } else if (word != "null") {
      ReportEmpty(value);
    }
    Add(std::move(value));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    diagnostics_.Error(At(mark), "aliases (`*name`) are not allowed", {"fix: write the value out"});
    YamlValue value;
    value.where = At(mark);
    Add(std::move(value));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& text) override {
    YamlValue value;
    value.kind = YamlKind::kScalar;
    value.text = text;
    value.where = At(mark);
    const char first = CharacterAt(mark);
    value.quoted = first == '"' || first == '\'';
    if (CheckAnchor(mark, anchor) && CheckTag(mark, tag)) CheckScalar(mark, value);
    Add(std::move(value));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value style) override {
    Open(mark, tag, anchor, style, YamlKind::kSequence);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value style) override {
    Open(mark, tag, anchor, style, YamlKind::kMapping);
  }
  void OnMapEnd() override { Close(); }

  YamlValue TakeRoot() { return std::move(root_); }

 private:
  struct Frame {
    YamlValue value;
    std::optional<YamlEntry> entry;             // of a mapping: the key that waits for its value
    std::unordered_map<std::string, int> keys;  // of a mapping: given so far, and in which line
    bool flow = false;
  };

  Location At(const YAML::Mark& mark) const { return {source_, mark.line + 1, mark.column + 1}; }
  char CharacterAt(const YAML::Mark& mark) const { return Offset(mark) < text_.size() ? text_[Offset(mark)] : '\0'; }
  static size_t Offset(const YAML::Mark& mark) { return static_cast<size_t>(mark.pos); }
  bool AtKey() const { return !open_.empty() && open_.back().value.is_mapping() && !open_.back().entry; }
  bool InFlow() const { return !open_.empty() && open_.back().flow; }

  std::string_view WordAt(const YAML::Mark& mark) const {
    const size_t start = std::min(Offset(mark), text_.size());
    const size_t end = std::min(text_.find_first_of(" \t\r\n,]}#:", start), text_.size());
    return text_.substr(start, end - start);
  }

  bool CheckAnchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor == 0) return true;
    diagnostics_.Error(At(mark), "anchors (`&name`) are not allowed", {"fix: remove the anchor and write values out where they are used"});
    return false;
  }

  // yaml-cpp's own names for "none given": "?" for a plain scalar, "!" for a quoted one.
  bool CheckTag(const YAML::Mark& mark, const std::string& tag) {
    if ((tag.empty() || tag == "?" || tag == "!") && CharacterAt(mark) != '!') return true;
    diagnostics_.Error(At(mark), "tags (`!name`) are not allowed", {"fix: remove the tag"});
    return false;
  }

  void ReportEmpty(YamlValue& value) {
    if (!open_.empty() && open_.back().entry) {
      const YamlEntry& entry = *open_.back().entry;
      value.where = entry.key_where;
      diagnostics_.Error(entry.key_where, fmt::format("key '{}' has no value", entry.key), {"fix: write a value, or `null` for not given"});
    } else if (!open_.empty()) {
      diagnostics_.Error(value.where, "a list item without a value", {"fix: remove it, or write `null`"});
    }
  }

  void CheckScalar(const YAML::Mark& mark, const YamlValue& value) {
    const char first = CharacterAt(mark);
    if (value.quoted) return CheckQuoted(mark);
    if (first == '|' || first == '>') {
      diagnostics_.Error(At(mark), "block scalars (`|`, `>`) are not allowed", {"fix: write the text in quotes on one line"});
    } else if (text_.substr(Offset(mark), value.text.size()) != value.text) {
      if (options_.scalars_over_lines) return;
      diagnostics_.Error(At(mark), "a value that goes on over several lines",
                         {"fix: write it on one line, or check the indentation and the colons of the lines below"});
    } else if (!EndsWell(text_, Offset(mark) + value.text.size(), AtKey() ? ":" : ",]}")) {
      diagnostics_.Error(At(mark), fmt::format("'{}' does not end here as it should", value.text),
                         {"fix: put a text with special characters in quotes"});
    }
  }

  // A quote or a bracket that is not closed.
  void ReportOpen(size_t offset) {
    const char open = text_[offset];
    const bool quote = open == '"' || open == '\'';
    const char close = quote ? open : (open == '{' ? '}' : ']');
    diagnostics_.Error(LocationOfOffset(source_, text_, offset),
                       quote ? "this quote is not closed on its line" : fmt::format("this '{}' is not closed", open),
                       {fmt::format("fix: add the closing {}", close)});
  }

  void CheckQuoted(const YAML::Mark& mark) {
    const size_t end = EndOfQuoted(text_, Offset(mark), options_.scalars_over_lines);
    if (end == std::string_view::npos) {
      ReportOpen(Offset(mark));
      throw Stop();
    }
    if (!EndsWell(text_, end, AtKey() ? ":" : (InFlow() ? ",]}" : ""))) {
      diagnostics_.Error(LocationOfOffset(source_, text_, end), "text after a closing quote", {"fix: put the whole value in the quotes"});
    }
  }

  void Open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value style, YamlKind kind) {
    if (open_.size() >= kYamlDepthMax) {
      diagnostics_.Error(At(mark), fmt::format("nested deeper than {} levels", kYamlDepthMax),
                         {"fix: this is not a HELM file; check the brackets"});
      throw Stop();
    }
    const bool flow = style == YAML::EmitterStyle::Flow;
    // With an anchor or a tag the mark is theirs, not the bracket's.
    if (CheckAnchor(mark, anchor) && CheckTag(mark, tag) && flow) CheckFlow(mark, kind);
    if (AtKey()) diagnostics_.Error(At(mark), "a key must be a word", {"fix: write `key: value`"});
    Frame frame;
    frame.value.kind = kind;
    frame.value.where = At(mark);
    frame.flow = flow;
    open_.push_back(std::move(frame));
  }

  void CheckFlow(const YAML::Mark& mark, YamlKind kind) {
    if (kind == YamlKind::kMapping && CharacterAt(mark) != '{') {
      diagnostics_.Error(At(mark), "a `key: value` in a list without braces", {"fix: write {key: value}"});
    } else if (!InFlow()) {
      CheckBrackets(mark);
    }
  }

  void CheckBrackets(const YAML::Mark& mark) {
    size_t culprit = 0;
    const size_t end = EndOfBrackets(text_, Offset(mark), options_.scalars_over_lines, culprit);
    if (end == std::string_view::npos) {
      ReportOpen(culprit);
      throw Stop();
    }
    if (!EndsWell(text_, end, "")) {
      diagnostics_.Error(LocationOfOffset(source_, text_, end), "text after a closing bracket", {"fix: remove it, or check the brackets"});
    }
  }

  void Close() {
    YamlValue value = std::move(open_.back().value);
    open_.pop_back();
    Add(std::move(value));
  }

  void Add(YamlValue value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().value.is_sequence()) {
      open_.back().value.items.push_back(std::move(value));
    } else if (!open_.back().entry) {
      open_.back().entry = YamlEntry{value.text, value.where, {}};
    } else {
      AddEntry(std::move(value));
    }
  }

  void AddEntry(YamlValue value) {
    Frame& frame = open_.back();
    YamlEntry entry = std::move(*frame.entry);
    frame.entry.reset();
    entry.value = std::move(value);
    if (entry.key == "<<") {
      diagnostics_.Error(entry.key_where, "merge keys (`<<`) are not allowed", {"fix: write the keys out"});
      return;
    }
    const auto [first, is_new] = frame.keys.try_emplace(entry.key, entry.value.where.line);
    if (!is_new) {
      diagnostics_.Error(entry.key_where, fmt::format("key '{}' is given twice", entry.key),
                         {fmt::format("first given in line {}", first->second), "fix: remove one of the two"});
      return;
    }
    frame.value.entries.push_back(std::move(entry));
  }

  std::string_view text_;
  std::shared_ptr<const SourceText> source_;
  YamlOptions options_;
  Diagnostics& diagnostics_;
  std::vector<Frame> open_;
  YamlValue root_;
};

// Ignores a document: only whether there is one matters.
class Ignorer : public YAML::EventHandler {
  void OnDocumentStart(const YAML::Mark& mark) override { where = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

 public:
  YAML::Mark where;
};

// REQUIRES: CheckBytes found nothing.
YamlValue BuildTree(std::string_view text, const std::shared_ptr<const SourceText>& source, const YamlOptions& options,
                    Diagnostics& diagnostics) {
  TreeBuilder builder(text, source, options, diagnostics);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) {
      diagnostics.Error({source, 0, 0}, "the file is empty", {"fix: write `key: value` lines"});
      return {};
    }
    Ignorer rest;
    if (diagnostics.ok() && parser.HandleNextDocument(rest)) {
      diagnostics.Error({source, rest.where.line + 1, rest.where.column + 1}, "a second document in the file",
                        {"fix: put each document in a file of its own"});
    }
  } catch (const Stop&) {
  } catch (const YAML::ParserException& problem) {
    // What yaml-cpp stumbles over is often only the consequence of what was found before.
    if (diagnostics.ok()) {
      diagnostics.Error({source, problem.mark.line + 1, problem.mark.column + 1}, fmt::format("this is not YAML: {}", problem.msg),
                        {"fix: check indentation, quotes, brackets and colons here and in the line above"});
    }
  }
  return builder.TakeRoot();
}

}  // namespace

const YamlValue* YamlValue::Find(std::string_view key) const {
  for (const YamlEntry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

YamlValue* YamlValue::Find(std::string_view key) { return const_cast<YamlValue*>(std::as_const(*this).Find(key)); }

Result<YamlValue> ParseYaml(std::string_view text, const std::string& file, const YamlOptions& options) {
  const auto source = std::make_shared<const SourceText>(file, text);
  Diagnostics diagnostics;
  CheckBytes(text, source, diagnostics);
  if (!diagnostics.ok()) return diagnostics.ToStatus();
  YamlValue root = BuildTree(text, source, options, diagnostics);
  if (!diagnostics.ok()) return diagnostics.ToStatus();
  return root;
}

Result<YamlValue> ReadYamlFile(const std::string& path) {
  HELM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return path.ends_with(".json") ? ParseLocatedJson(text, path) : ParseYaml(text, path);
}

}  // namespace helm
