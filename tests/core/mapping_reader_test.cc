#include "core/mapping_reader.h"

#include <gtest/gtest.h>

namespace helm {
namespace {

YamlValue Parse(std::string_view text) { return ParseYaml(text, "f.yaml").value(); }

// All that a reader of one key says about `text`.
template <typename Read>
std::string Complaint(std::string_view text, Read read) {
  const YamlValue root = Parse(text);
  Diagnostics diagnostics;
  {
    MappingReader reader(root, "the test", diagnostics);
    read(reader);
  }
  return diagnostics.ToStatus().message();
}

std::string IntComplaint(std::string_view text, IntRange range = {}) {
  return Complaint(text, [&](MappingReader& reader) { reader.Int64("a", range); });
}

TEST(MappingReader, ReadsEveryType) {
  const YamlValue root = Parse("i: 3\nd: 1\nb: true\ns: x\nq: \"7\"\nc: two\nl: [1, 2]\nn: null\nt: [a, b]\nf: [0.5, 1]\n");
  Diagnostics diagnostics;
  MappingReader reader(root, "the test", diagnostics);
  enum class Number { kOne, kTwo };
  EXPECT_EQ(reader.Int64("i"), 3);
  EXPECT_EQ(reader.Double("d"), 1.0);
  EXPECT_EQ(reader.Bool("b"), true);
  EXPECT_EQ(reader.String("s"), "x");
  EXPECT_EQ(reader.RequireString("q"), "7");
  EXPECT_EQ(reader.Enum<Number>("c", {{"one", Number::kOne}, {"two", Number::kTwo}}), Number::kTwo);
  EXPECT_EQ(reader.Int64List("l"), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(reader.StringList("t"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(reader.DoubleList("f"), (std::vector<double>{0.5, 1.0}));
  EXPECT_EQ(reader.Int64("n"), std::nullopt);
  EXPECT_FALSE(reader.Given("n"));
  EXPECT_EQ(reader.Int64("absent"), std::nullopt);
  int64_t kept = 9;
  EXPECT_FALSE(reader.Read("n", kept));
  EXPECT_EQ(kept, 9);
  reader.Finish();
  EXPECT_TRUE(diagnostics.ok()) << diagnostics.ToStatus().message();
}

TEST(MappingReader, NamesUnknownKeysWithSuggestionAndAllowedKeys) {
  EXPECT_EQ(Complaint("data: 2\ntensro: 4\n",
                      [](MappingReader& r) {
                        r.Int64("data");
                        r.Int64("tensor");
                      }),
            "f.yaml:2:1: error: unknown key 'tensro' in the test\n"
            "    2 | tensro: 4\n"
            "      | ^\n"
            "  did you mean 'tensor'?\n"
            "  allowed: data, tensor");
}

TEST(MappingReader, ReportsMissingKeysAtTheMapping) {
  EXPECT_EQ(Complaint("x: {}\n", [](MappingReader& r) { MappingReader(*r.Value("x"), "`x`", r.diagnostics()).RequireInt64("layers"); }),
            "f.yaml:1:4: error: `x` needs the key 'layers'\n"
            "    1 | x: {}\n"
            "      |    ^\n"
            "  fix: add `layers: ...`");
}

TEST(MappingReader, WholeNumbersAreStrict) {
  EXPECT_EQ(IntComplaint("a: 010\n"),
            "f.yaml:1:4: error: 'a' must be a whole number, found '010'\n    1 | a: 010\n      |    ^\n  fix: numbers are decimal, without "
            "leading zeros");
  EXPECT_EQ(IntComplaint("a: 5us\n"),
            "f.yaml:1:4: error: 'a' must be a whole number, found '5us'\n    1 | a: 5us\n      |    ^\n"
            "  fix: write the number alone, without 'us'; the unit is in the name of the key");
  EXPECT_EQ(
      IntComplaint("a: \"8\"\n"),
      "f.yaml:1:4: error: 'a' must be a whole number, found the text \"8\"\n    1 | a: \"8\"\n      |    ^\n  fix: write 8 without quotes");
  EXPECT_EQ(IntComplaint("a: 0\n", kPositive),
            "f.yaml:1:4: error: 'a' is 0, which is out of range\n    1 | a: 0\n      |    ^\n  allowed: whole numbers from 1");
  EXPECT_EQ(IntComplaint("a: 9\n", {1, 8}),
            "f.yaml:1:4: error: 'a' is 9, which is out of range\n    1 | a: 9\n      |    ^\n  allowed: whole numbers from 1 to 8");
  EXPECT_EQ(IntComplaint("a: 99999999999999999999\n", kPositive),
            "f.yaml:1:4: error: 'a' is 99999999999999999999, which is out of range\n    1 | a: 99999999999999999999\n      |    ^\n"
            "  allowed: whole numbers from 1");
  for (const char* bad : {"0x10", "1.0", "1e3", "1_000", "+1", "[1]", "{}", "x", "true", ".5", "''"}) {
    EXPECT_NE(IntComplaint("a: " + std::string(bad) + "\n"), "") << bad;
  }
}

TEST(MappingReader, NumbersBooleansTextsAreStrict) {
  const auto complaint = [](const char* text, auto read) {
    const std::string message = Complaint(text, read);
    const size_t line = message.find('\n');
    const size_t note = message.find("^\n");
    return message.substr(0, line) + (note == std::string::npos ? "" : " |" + message.substr(note + 1));
  };
  const auto read_double = [](MappingReader& r) { r.Double("a", kFraction); };
  const auto read_bool = [](MappingReader& r) { r.Bool("a"); };
  const auto read_string = [](MappingReader& r) { r.String("a"); };
  EXPECT_EQ(complaint("a: .5\n", read_double),
            "f.yaml:1:4: error: 'a' must be a number, found '.5' |\n  fix: a digit must stand before and after the point");
  EXPECT_EQ(complaint("a: 1.5\n", read_double), "f.yaml:1:4: error: 'a' is 1.5, which is out of range |\n  allowed: numbers from 0 to 1");
  EXPECT_EQ(complaint("a: 15%\n", read_double), "f.yaml:1:4: error: 'a' must be a number, found '15%' |\n  fix: write the fraction 0.15");
  EXPECT_EQ(complaint("a: 2.0\n", [](MappingReader& r) { r.Int64("a"); }),
            "f.yaml:1:4: error: 'a' must be a whole number, found '2.0' |\n  fix: write 2");
  EXPECT_EQ(complaint("a: 8k\n", [](MappingReader& r) { r.Int64("a"); }),
            "f.yaml:1:4: error: 'a' must be a whole number, found '8k' |\n  fix: write the number in full, without 'k'");
  EXPECT_EQ(complaint("a: .nan\n", read_double),
            "f.yaml:1:4: error: 'a' must be a number, found '.nan' |\n  fix: a digit must stand before and after the point");
  EXPECT_EQ(complaint("a: yes\n", read_bool),
            "f.yaml:1:4: error: 'a' must be true or false, found 'yes' |\n  allowed: true, false\n  fix: write true");
  EXPECT_EQ(complaint("a: False\n", read_bool),
            "f.yaml:1:4: error: 'a' must be true or false, found 'False' |\n  allowed: true, false\n  fix: write false");
  EXPECT_EQ(complaint("a: 010\n", read_string),
            "f.yaml:1:4: error: 'a' must be a text, found '010' |\n  fix: write \"010\" if the text is meant");
  EXPECT_EQ(complaint("a: [x]\n", read_string), "f.yaml:1:4: error: 'a' must be a text, found a list");
  EXPECT_EQ(complaint("a: {}\n", read_double), "f.yaml:1:4: error: 'a' must be a number, found a mapping");
  EXPECT_EQ(complaint("a: 0\n", [](MappingReader& r) { r.Double("a", kPositiveNumber); }),
            "f.yaml:1:4: error: 'a' is 0, which is out of range |\n  allowed: numbers above 0");
}

TEST(MappingReader, ChoicesSuggest) {
  EXPECT_EQ(Complaint("a: rmsnrom\n", [](MappingReader& r) { r.Choice("a", {"layernorm", "rmsnorm"}); }),
            "f.yaml:1:4: error: 'a' cannot be 'rmsnrom'\n    1 | a: rmsnrom\n      |    ^\n  did you mean 'rmsnorm'?\n  allowed: "
            "layernorm, rmsnorm");
}

TEST(MappingReader, ListsNameTheirItems) {
  const std::string message = Complaint("a: [1, x, 3.5]\n", [](MappingReader& r) { EXPECT_EQ(r.Int64List("a"), std::nullopt); });
  EXPECT_NE(message.find("f.yaml:1:8: error: an item of 'a' must be a whole number, found 'x'"), std::string::npos) << message;
  EXPECT_NE(message.find("f.yaml:1:11: error: an item of 'a' must be a whole number, found '3.5'"), std::string::npos) << message;
  EXPECT_NE(Complaint("a: 1\n", [](MappingReader& r) { r.Int64List("a"); }).find("'a' must be a list, found '1'"), std::string::npos);
}

TEST(MappingReader, AValueThatIsNoMappingIsReportedOnce) {
  EXPECT_EQ(Complaint("- 1\n",
                      [](MappingReader& r) {
                        r.RequireInt64("a");
                        r.Int64("b");
                      }),
            "f.yaml:1:1: error: the test must be a mapping (`key: value` lines), found a list\n    1 | - 1\n      | ^");
}

TEST(Diagnostics, SortsByPlaceAndDropsRepetitions) {
  const YamlValue root = Parse("a: x\nb: y\n");
  Diagnostics diagnostics;
  diagnostics.Error(root.Find("b")->where, "second");
  diagnostics.Error(root.Find("a")->where, "first");
  diagnostics.Error(root.Find("a")->where, "first");
  diagnostics.Add(InvalidError("other.yaml: error: third"));
  diagnostics.Add(OkStatus());
  EXPECT_EQ(diagnostics.ToStatus().message(),
            "f.yaml:1:4: error: first\n    1 | a: x\n      |    ^\n"
            "f.yaml:2:4: error: second\n    2 | b: y\n      |    ^\n"
            "other.yaml: error: third");
  EXPECT_EQ(diagnostics.ToStatus().code(), StatusCode::kInvalid);
  Diagnostics machine;
  machine.Add(UnavailableError("no GPU"));
  EXPECT_EQ(machine.ToStatus().code(), StatusCode::kUnavailable);
}

TEST(Diagnostics, CaretStandsUnderTheCharacterInLongAndAccentedLines) {
  const auto accented = std::make_shared<const SourceText>("f", "\xc3\xa9\xc3\xa9: x");
  EXPECT_EQ(RenderError({accented, 1, 7}, "m"), "f:1:7: error: m\n    1 | \xc3\xa9\xc3\xa9: x\n      |     ^");
  const auto longer = std::make_shared<const SourceText>("f", std::string(500, 'a') + "X" + std::string(500, 'b'));
  EXPECT_EQ(RenderError({longer, 1, 501}, "m"),
            "f:1:501: error: m\n    1 | " + std::string(80, 'a') + "X" + std::string(79, 'b') + "\n      | " + std::string(80, ' ') + "^");
  EXPECT_EQ(RenderError({accented, 0, 0}, "m", {"fix: n"}), "f: error: m\n  fix: n");
  EXPECT_EQ(RenderError({}, "m"), "error: m");
}

}  // namespace
}  // namespace helm
