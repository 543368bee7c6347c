#include "core/located_yaml.h"

#include <ctime>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "core/json.h"

namespace helm {
namespace {

std::string ErrorOf(std::string_view text) {
  const auto parsed = ParseYaml(text, "f.yaml");
  return parsed.ok() ? "no error: " + ToJson(*parsed).dump() : parsed.status().message();
}

// The first line of a message: place and what is wrong.
std::string HeadOf(std::string_view text) {
  const std::string message = ErrorOf(text);
  return message.substr(0, message.find('\n'));
}

TEST(ParseYaml, BuildsATreeWithPlaces) {
  const auto root =
      ParseYaml("# comment\nmodel: llama  # trailing\nstrategy: {data: 2, list: [1, 'a b']}\nitems:\n  - x: null\n  - \"t\"\n", "f.yaml");
  ASSERT_TRUE(root.ok()) << root.status().message();
  EXPECT_EQ(ToJson(*root).dump(), R"({"model":"llama","strategy":{"data":2,"list":[1,"a b"]},"items":[{"x":null},"t"]})");
  EXPECT_EQ(root->Find("model")->where.ToString(), "f.yaml:2:8");
  EXPECT_EQ(root->Find("strategy")->where.ToString(), "f.yaml:3:11");
  EXPECT_EQ(root->Find("strategy")->entries[0].key_where.ToString(), "f.yaml:3:12");
  EXPECT_EQ(root->Find("strategy")->Find("list")->items[1].where.ToString(), "f.yaml:3:31");
  EXPECT_TRUE(root->Find("strategy")->Find("list")->items[1].quoted);
  EXPECT_EQ(root->Find("items")->items[0].Find("x")->where.ToString(), "f.yaml:5:8");
  EXPECT_EQ(root->Find("none"), nullptr);
}

TEST(ParseYaml, AcceptsFlowOverSeveralLinesAndWindowsLineEnds) {
  EXPECT_EQ(ErrorOf("a: {b: 1,  # one\n    c: [2,\n  3]}\nd: it's\n"), R"(no error: {"a":{"b":1,"c":[2,3]},"d":"it's"})");
  EXPECT_EQ(ErrorOf("a: 1\r\nb: \"x # y\"\r\n"), R"(no error: {"a":1,"b":"x # y"})");
  EXPECT_EQ(ErrorOf("---\na: x:y\nb: 'it''s'\nc: \"\\u00e9\\n\"\nd: \xc3\xa9\n"),
            "no error: {\"a\":\"x:y\",\"b\":\"it's\",\"c\":\"é\\n\",\"d\":\"é\"}");
  EXPECT_EQ(ErrorOf("a: [it's, {b: \"]\"}, 'x']  # [\n"), R"(no error: {"a":["it's",{"b":"]"},"x"]})");
}

TEST(ParseYaml, ShowsLineCaretAndRemedy) {
  EXPECT_EQ(ErrorOf("data: 2\ntensor: 4\ndata: 3\n"),
            "f.yaml:3:1: error: key 'data' is given twice\n"
            "    3 | data: 3\n"
            "      | ^\n"
            "  first given in line 1\n"
            "  fix: remove one of the two");
}

// 100,000 keys: well under a second; with a search through all keys before, for each, it was a minute.
TEST(ParseYaml, TakesLinearTimeForManyKeys) {
  std::string yaml, json = "{";
  for (int i = 0; i < 100'000; ++i) {
    yaml += fmt::format("key{}: 1\n", i);
    json += fmt::format("{}\"key{}\": 1", i == 0 ? "" : ", ", i);
  }
  const std::clock_t start = std::clock();
  EXPECT_TRUE(ParseYaml(yaml, "f.yaml").ok());
  EXPECT_TRUE(ParseLocatedJson(json + "}", "f.json").ok());
  EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, 5.0);
}

TEST(ParseYaml, RefusesWhatYamlCppAccepts) {
  EXPECT_EQ(HeadOf("a: {b: 1, b: 2}\n"), "f.yaml:1:11: error: key 'b' is given twice");
  EXPECT_EQ(HeadOf("a: {x: 1}\nb:\n  <<: {y: 2}\n"), "f.yaml:3:3: error: merge keys (`<<`) are not allowed");
  EXPECT_EQ(HeadOf("a: \"open\nb: 1\n"), "f.yaml:1:4: error: this quote is not closed on its line");
  EXPECT_EQ(HeadOf("a: 'open\n"), "f.yaml:1:4: error: this quote is not closed on its line");
  EXPECT_EQ(HeadOf("a: &x 1\nb: 2\n"), "f.yaml:1:4: error: anchors (`&name`) are not allowed");
  EXPECT_EQ(HeadOf("a: !!int 1\n"), "f.yaml:1:4: error: tags (`!name`) are not allowed");
  EXPECT_EQ(HeadOf("a: |\n  text\n"), "f.yaml:1:4: error: block scalars (`|`, `>`) are not allowed");
  EXPECT_EQ(HeadOf("a: one\n  two\n"), "f.yaml:1:4: error: a value that goes on over several lines");
  EXPECT_EQ(HeadOf("a:\nb: 1\n"), "f.yaml:1:1: error: key 'a' has no value");
  EXPECT_EQ(HeadOf("a: ~\n"), "f.yaml:1:4: error: `~` for null");
  EXPECT_EQ(HeadOf("a: 1\n---\nb: 2\n"), "f.yaml:2:1: error: a second document in the file");
  EXPECT_EQ(HeadOf("a: [x: 1]\n"), "f.yaml:1:5: error: a `key: value` in a list without braces");
  EXPECT_EQ(HeadOf("? [a]\n: 1\n"), "f.yaml:1:3: error: a key must be a word");
  EXPECT_EQ(HeadOf("%YAML 1.2\n---\na: 1\n"), "f.yaml:1:1: error: YAML directives are not used here");
  EXPECT_EQ(HeadOf("a:\n\tb: 1\n"), "f.yaml:2:1: error: a tab in the indentation");
  EXPECT_EQ(HeadOf("\xef\xbb\xbf"
                   "a: 1\n"),
            "f.yaml:1:1: error: the file begins with a byte order mark");
}

TEST(ParseYaml, RefusesGarbage) {
  for (const char* text : {"a: [1, 2\n",
                           "a: {x: 1\n",
                           "a: [1, 2] 3\n",
                           "a: [1, 2]]\n",
                           "a: {x: 1}}\n",
                           "a: \"x\" y\n",
                           "a: {b: 1 c: 2}\n",
                           "a: b: c\n",
                           "a: 1\n b: 2\n",
                           "a: 1\nb\n",
                           "- a\nb: 1\n",
                           "a: *x\n",
                           "a: @x\n",
                           "a: `x`\n",
                           "null: 1\n",
                           "",
                           "# only\n",
                           "a: [1,,2]\n",
                           "[a: 1\n",
                           "a: {\"x\" 1}\n",
                           "a: \"\\q\"\n",
                           "a: [\"x\" \"y\"]\n",
                           "- \n- 1\n",
                           "a: Null\n",
                           "a: 1 : 2\n",
                           "}",
                           "]: 1"}) {
    const auto parsed = ParseYaml(text, "f.yaml");
    EXPECT_FALSE(parsed.ok()) << text << " was read as " << ToJson(*parsed).dump();
    if (!parsed.ok()) {
      EXPECT_TRUE(parsed.status().message().starts_with("f.yaml")) << parsed.status().message();
    }
  }
}

TEST(ParseYaml, RefusesBytesThatAreNotUtf8) {
  EXPECT_EQ(HeadOf("a: \xff\n"), "f.yaml:1:4: error: byte 0xff is not UTF-8");
  EXPECT_EQ(HeadOf("a: 1\nb: \xc3(\n"), "f.yaml:2:4: error: byte 0xc3 is not UTF-8");
  EXPECT_EQ(HeadOf("a: \xed\xa0\x80\n"), "f.yaml:1:4: error: byte 0xed is not UTF-8");  // a surrogate
  EXPECT_EQ(HeadOf("a: \xc0\xaf\n"), "f.yaml:1:4: error: byte 0xc0 is not UTF-8");      // overlong '/'
  EXPECT_EQ(HeadOf(std::string_view("a: \0b\n", 6)), "f.yaml:1:4: error: control character 0x00");
}

TEST(ParseYaml, RefusesDeepNesting) {
  const std::string deep = "a: " + std::string(100000, '[');
  EXPECT_EQ(HeadOf(deep + std::string(100000, ']')), "f.yaml:1:67: error: nested deeper than 64 levels");
  EXPECT_FALSE(ParseYaml(deep, "f.yaml").ok());
  EXPECT_FALSE(ParseLocatedJson(std::string(100000, '['), "f.json").ok());
  EXPECT_FALSE(ParseJson(std::string(70, '[') + std::string(70, ']'), "f.json").ok());
}

TEST(ParseYaml, ReportsAllProblemsOfAFile) {
  const std::string message = ErrorOf("a: 1\na: 2\nb: &x 3\nc: \"x\" y\n");
  EXPECT_NE(message.find("f.yaml:2:1: error: key 'a' is given twice"), std::string::npos) << message;
  EXPECT_NE(message.find("f.yaml:3:4: error: anchors"), std::string::npos) << message;
  EXPECT_NE(message.find("f.yaml:4:7: error: text after a closing quote"), std::string::npos) << message;
}

// What is not closed is named once: the rest of the file is a guess.
TEST(ParseYaml, NamesWhatIsNotClosed) {
  EXPECT_EQ(ErrorOf("a: {b: \"x}\nc: 1\n"),
            "f.yaml:1:8: error: this quote is not closed on its line\n    1 | a: {b: \"x}\n      |        ^\n  fix: add the closing \"");
  EXPECT_EQ(ErrorOf("a: {b: [1, 2}\nc: 1\n"),
            "f.yaml:1:4: error: this '{' is not closed\n    1 | a: {b: [1, 2}\n      |    ^\n  fix: add the closing }");
  EXPECT_EQ(ErrorOf("a: &x {b: 1}\n").find("braces"), std::string::npos);
}

TEST(LocatedJson, HasTheSamePlacesAsYaml) {
  const auto root = ParseLocatedJson("{\"a\": 1,\n \"b\": [true, -1.5e3, \"x\\\"y\"],\n \"c\": {\"d\": null}}", "f.json");
  ASSERT_TRUE(root.ok()) << root.status().message();
  EXPECT_EQ(ToJson(*root).dump(), R"({"a":1,"b":[true,-1500.0,"x\"y"],"c":{"d":null}})");
  EXPECT_EQ(root->Find("a")->where.ToString(), "f.json:1:7");
  EXPECT_EQ(root->Find("b")->items[1].where.ToString(), "f.json:2:14");
  EXPECT_EQ(root->Find("b")->items[2].where.ToString(), "f.json:2:22");
  EXPECT_EQ(root->Find("c")->entries[0].key_where.ToString(), "f.json:3:8");
  EXPECT_EQ(root->Find("c")->Find("d")->where.ToString(), "f.json:3:13");
}

TEST(LocatedJson, RefusesWhatIsNotJson) {
  const auto head = [](std::string_view text) {
    const std::string message = ParseJson(text, "f.json").status().message();
    return message.substr(0, message.find('\n'));
  };
  EXPECT_EQ(head("{\"a\": 1, \"a\": 2}"), "f.json:1:10: error: key 'a' is given twice");
  EXPECT_EQ(head("{\"a\": 1,\n}"),
            "f.json:2:1: error: this is not JSON: syntax error while parsing object key - unexpected '}'; expected string literal");
  EXPECT_TRUE(head("{\"a\": NaN}").starts_with("f.json:1:7: error: this is not JSON")) << head("{\"a\": NaN}");
  for (const char* text : {"", "{} x", "// c\n{}", "{\"a\": 01}", "{'a': 1}", "[1 2]", "\"\xff\"", "{\"a\": 1e999}"}) {
    EXPECT_FALSE(ParseJson(text, "f.json").ok()) << text;
  }
}

namespace generators {

// Text of printable ASCII, a few bytes of UTF-8, and what YAML is touchy about.
rc::Gen<std::string> Text() {
  return rc::gen::oneOf(rc::gen::container<std::string>(rc::gen::inRange<char>(' ', '\x7f')),
                        rc::gen::element<std::string>("", "null", "yes", "010", "1e5", "a: b", "# x", "- x", "é\"\n\t", "'", "\\", "x #y",
                                                      ".inf", "=", "<<", "🙂", "a  b", " a", "a ", "0x10", "1_000", "2024-01-01", "...",
                                                      "---", "!x", "&x", "*x", "\x01", "a,b", "~"));
}

rc::Gen<nlohmann::ordered_json> Value(int depth);

rc::Gen<nlohmann::ordered_json> Scalar() {
  using Json = nlohmann::ordered_json;
  return rc::gen::oneOf(rc::gen::map(Text(), [](std::string s) { return Json(std::move(s)); }),
                        rc::gen::map(rc::gen::arbitrary<int64_t>(), [](int64_t i) { return Json(i); }),
                        rc::gen::map(rc::gen::arbitrary<double>(), [](double d) { return Json(d); }),
                        rc::gen::map(rc::gen::arbitrary<bool>(), [](bool b) { return Json(b); }), rc::gen::just(Json(nullptr)));
}

rc::Gen<nlohmann::ordered_json> Object(int depth) {
  return rc::gen::map(
      rc::gen::container<std::vector<std::pair<std::string, nlohmann::ordered_json>>>(rc::gen::pair(Text(), Value(depth - 1))),
      [](const auto& entries) {
        nlohmann::ordered_json object = nlohmann::ordered_json::object();
        for (const auto& [key, value] : entries) {
          if (object.size() < 5 && key != "<<") object[key] = value;
        }
        return object;
      });
}

rc::Gen<nlohmann::ordered_json> Value(int depth) {
  if (depth <= 0) return Scalar();
  const auto array = rc::gen::map(rc::gen::container<std::vector<nlohmann::ordered_json>>(Value(depth - 1)), [](const auto& items) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const auto& item : items) {
      if (list.size() < 5) list.push_back(item);
    }
    return list;
  });
  return rc::gen::oneOf(Scalar(), Object(depth), array);
}

}  // namespace generators

RC_GTEST_PROP(EmitYaml, ReadsBackToTheSameDocument, ()) {
  const auto document = *rc::gen::resize(20, generators::Object(2));
  const std::string text = EmitYaml(document);
  RC_LOG() << text;
  const auto parsed = ParseYaml(text, "f.yaml");
  RC_LOG() << parsed.status().message();
  RC_ASSERT(parsed.ok());
  RC_ASSERT(ToJson(*parsed) == document);
}

RC_GTEST_PROP(LocatedJson, AgreesWithThePlainParser, ()) {
  const auto document = *rc::gen::resize(20, generators::Object(2));
  const auto located = ParseLocatedJson(document.dump(2), "f.json");
  RC_ASSERT(located.ok());
  RC_ASSERT(ToJson(*located) == document);
  RC_ASSERT(ParseJson(document.dump(), "f.json").value() == document);
  RC_ASSERT(ToJson(FromJson(document, "f.json")) == document);
}

// Whatever the bytes are, the answer is a tree or a message, never a crash.
RC_GTEST_PROP(ParseYaml, NeverCrashes, ()) {
  const auto text =
      *rc::gen::container<std::string>(rc::gen::element('a', '1', ':', ' ', '\n', '-', '{', '}', '[', ']', '"', '\'', ',', '#', '&', '*',
                                                        '!', '|', '?', '\t', '<', '~', '\\', '%', '@', '.', '\r'));
  const auto parsed = ParseYaml(text, "f.yaml");
  RC_ASSERT(parsed.ok() || parsed.status().message().starts_with("f.yaml"));
}

TEST(EmitYaml, IsReadable) {
  const auto document = nlohmann::ordered_json::parse(
      R"({"format": "helm-plan/1", "model": {"layers": 2, "norm": "rmsnorm", "eps": 1e-5}, "passes": [{"pass": "a", "value": ""}], "sizes": [1, 2], "none": {}})");
  EXPECT_EQ(EmitYaml(document),
            "format: helm-plan/1\n"
            "model:\n"
            "  layers: 2\n"
            "  norm: rmsnorm\n"
            "  eps: 1e-05\n"
            "passes:\n"
            "  - pass: a\n"
            "    value: \"\"\n"
            "sizes: [1, 2]\n"
            "none: {}\n");
}

// YAML 1.2, 7.3: a line break in a quoted or plain scalar is folded into one blank.
TEST(ParseYaml, TextsOverSeveralLinesWhereTheCallerAllowsThem) {
  EXPECT_FALSE(ParseYaml("a: 'one\n  two'\n", "f.yaml").ok());
  EXPECT_FALSE(ParseYaml("a: 'open\n  b\n", "f.yaml", {.scalars_over_lines = true}).ok());
  const auto root = ParseYaml("a: {x: 'it''s\n    {one', y: plain text\n    that goes on}\nb: 2\n", "f.yaml", {.scalars_over_lines = true});
  ASSERT_TRUE(root.ok()) << root.status().message();
  EXPECT_EQ(ToJson(*root).dump(), R"({"a":{"x":"it's {one","y":"plain text that goes on"},"b":2})");
}

}  // namespace
}  // namespace helm
