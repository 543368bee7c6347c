#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "core/located_yaml.h"
#include "core/text.h"
#include "core/yaml_parser.h"

namespace helm {
namespace {

using Json = nlohmann::ordered_json;

// Follows the parser through the text: nlohmann's events carry no places, but they come in the order of the tokens, so a cursor that skips
// one token per event knows where each began.
class Cursor {
 public:
  Cursor(std::string_view text, std::shared_ptr<const SourceText> source) : text_(text), source_(std::move(source)) {}

  // The place of the next token; moves behind it. RETURNS also its text.
  std::pair<Location, std::string_view> Next() {
    while (at_ < text_.size() && std::string_view(" \t\r\n,:").find(text_[at_]) != std::string_view::npos) Step();
    const Location where{source_, line_, static_cast<int>(at_ - line_start_) + 1};
    const size_t start = at_;
    const size_t end = EndOfToken(start);
    while (at_ < end) Step();
    return {where, text_.substr(start, end - start)};
  }

 private:
  size_t EndOfToken(size_t start) const {
    if (start >= text_.size()) return start;
    if (text_[start] == '"') return std::min(EndOfQuoted(text_, start, false), text_.size());
    if (std::string_view("{}[]").find(text_[start]) != std::string_view::npos) return start + 1;
    return std::min(text_.find_first_of(" \t\r\n,:]}", start), text_.size());
  }

  void Step() {
    if (text_[at_] == '\n') {
      ++line_;
      line_start_ = at_ + 1;
    }
    ++at_;
  }

  std::string_view text_;
  std::shared_ptr<const SourceText> source_;
  size_t at_ = 0;
  size_t line_start_ = 0;
  int line_ = 1;
};

// The events of nlohmann's parser; each returns whether to go on.
class JsonTreeBuilder : public nlohmann::json_sax<Json> {
 public:
  JsonTreeBuilder(std::string_view text, std::shared_ptr<const SourceText> source, Diagnostics& diagnostics)
      : text_(text), source_(std::move(source)), cursor_(text, source_), diagnostics_(diagnostics) {}

  bool null() override { return AddScalar(YamlKind::kNull, {}, false); }
  bool boolean(bool value) override { return AddScalar(YamlKind::kScalar, value ? "true" : "false", false); }
  bool number_integer(number_integer_t) override { return AddNumber(); }
  bool number_unsigned(number_unsigned_t) override { return AddNumber(); }
  bool number_float(number_float_t, const string_t&) override { return AddNumber(); }
  bool string(string_t& value) override { return AddScalar(YamlKind::kScalar, value, true); }
  bool binary(binary_t&) override { return false; }  // never in text

  bool start_object(std::size_t) override { return Open(YamlKind::kMapping); }
  bool start_array(std::size_t) override { return Open(YamlKind::kSequence); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    const Location where = cursor_.Next().first;
    if (!open_.back().keys.insert(name).second) {
      diagnostics_.Error(where, fmt::format("key '{}' is given twice", name), {"fix: remove one of the two"});
    }
    open_.back().key = {name, where, {}};
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& problem) override {
    std::string reason = problem.what();
    if (const size_t start = reason.find("syntax error"); start != std::string::npos) reason = reason.substr(start);
    if (reason.starts_with("[json.exception.")) reason = reason.substr(std::min(reason.find("] ") + 2, reason.size()));
    diagnostics_.Error(LocationOfOffset(source_, text_, position > 0 ? position - 1 : 0), fmt::format("this is not JSON: {}", reason));
    return false;
  }

  YamlValue TakeRoot() { return std::move(root_); }

 private:
  struct Frame {
    YamlValue value;
    YamlEntry key;                         // of an object: what waits for its value
    std::unordered_set<std::string> keys;  // of an object: given so far
  };

  bool AddNumber() {
    YamlValue value;
    const auto [where, text] = cursor_.Next();
    value.kind = YamlKind::kScalar;
    value.text = std::string(text);
    value.where = where;
    return Add(std::move(value));
  }

  bool AddScalar(YamlKind kind, std::string text, bool quoted) {
    YamlValue value;
    value.kind = kind;
    value.text = std::move(text);
    value.quoted = quoted;
    value.where = cursor_.Next().first;
    return Add(std::move(value));
  }

  bool Open(YamlKind kind) {
    Frame frame;
    frame.value.kind = kind;
    frame.value.where = cursor_.Next().first;
    if (open_.size() >= kYamlDepthMax) {
      diagnostics_.Error(frame.value.where, fmt::format("nested deeper than {} levels", kYamlDepthMax));
      return false;
    }
    open_.push_back(std::move(frame));
    return true;
  }

  bool Close() {
    cursor_.Next();
    YamlValue value = std::move(open_.back().value);
    open_.pop_back();
    return Add(std::move(value));
  }

  bool Add(YamlValue value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().value.is_sequence()) {
      open_.back().value.items.push_back(std::move(value));
    } else {
      open_.back().key.value = std::move(value);
      open_.back().value.entries.push_back(std::move(open_.back().key));
    }
    return true;
  }

  std::string_view text_;
  std::shared_ptr<const SourceText> source_;
  Cursor cursor_;
  Diagnostics& diagnostics_;
  std::vector<Frame> open_;
  YamlValue root_;
};

YamlValue FromJson(const Json& document, const Location& where) {
  YamlValue value;
  value.where = where;
  if (document.is_object()) {
    value.kind = YamlKind::kMapping;
    for (const auto& [key, child] : document.items()) value.entries.push_back({key, where, FromJson(child, where)});
  } else if (document.is_array()) {
    value.kind = YamlKind::kSequence;
    for (const auto& child : document) value.items.push_back(FromJson(child, where));
  } else if (!document.is_null()) {
    value.kind = YamlKind::kScalar;
    value.quoted = document.is_string();
    value.text = document.is_string()         ? document.get<std::string>()
                 : document.is_number_float() ? FormatDouble(document.get<double>())
                                              : document.dump();
  }
  return value;
}

Json ScalarToJson(const YamlValue& value) {
  if (value.quoted) return value.text;
  if (value.text == "true") return true;
  if (value.text == "false") return false;
  if (const auto number = ParseInt64(value.text)) return *number;
  if (const auto number = ParseUint64(value.text)) return *number;
  if (const auto number = ParseDouble(value.text)) return *number;
  return value.text;
}

}  // namespace

Result<YamlValue> ParseLocatedJson(std::string_view text, const std::string& file) {
  const auto source = std::make_shared<const SourceText>(file, text);
  Diagnostics diagnostics;
  JsonTreeBuilder builder(text, source, diagnostics);
  Json::sax_parse(text.begin(), text.end(), &builder);
  if (!diagnostics.ok()) return diagnostics.ToStatus();
  return builder.TakeRoot();
}

YamlValue FromJson(const Json& document, const std::string& file) {
  return FromJson(document, Location{std::make_shared<const SourceText>(file, ""), 0, 0});
}

Json ToJson(const YamlValue& value) {
  if (value.is_null()) return nullptr;
  if (value.is_scalar()) return ScalarToJson(value);
  if (value.is_sequence()) {
    Json array = Json::array();
    for (const YamlValue& item : value.items) array.push_back(ToJson(item));
    return array;
  }
  Json object = Json::object();
  for (const YamlEntry& entry : value.entries) object[entry.key] = ToJson(entry.value);
  return object;
}

}  // namespace helm
