#include "core/json.h"

#include <gtest/gtest.h>

namespace helm {
namespace {

using Json = nlohmann::ordered_json;

TEST(Json, GettersSayWhatTheyExpected) {
  const Json object = Json::parse(R"({"i": 3, "d": 1.5, "s": "x", "b": true, "o": {}, "a": [], "big": 18446744073709551615})");
  EXPECT_EQ(JsonInt64(object, "i", "t").value(), 3);
  EXPECT_EQ(JsonDouble(object, "i", "t").value(), 3.0);
  EXPECT_EQ(JsonDouble(object, "d", "t").value(), 1.5);
  EXPECT_EQ(JsonString(object, "s", "t").value(), "x");
  EXPECT_EQ(JsonBool(object, "b", "t").value(), true);
  EXPECT_TRUE((*JsonObject(object, "o", "t"))->is_object());
  EXPECT_TRUE((*JsonArray(object, "a", "t"))->is_array());
  EXPECT_EQ(JsonInt64(object, "d", "t").status().message(), "t: error: 'd' must be a whole number, found 1.5");
  EXPECT_EQ(JsonInt64(object, "big", "t").status().message(), "t: error: 'big' must be a whole number, found 18446744073709551615");
  EXPECT_EQ(JsonString(object, "none", "t").status().message(), "t: error: the key 'none' is missing");
  EXPECT_EQ(JsonObject(object, "a", "t").status().message(), "t: error: 'a' must be an object, found []");
  EXPECT_EQ(JsonBool(Json::array(), "a", "t").status().message(), "t: error: expected an object, found array");
}

TEST(Json, UnknownVersionsAndKeysAreErrors) {
  EXPECT_TRUE(CheckSchemaVersion(Json{{"schema_version", 2}}, 2, "f.json").ok());
  EXPECT_EQ(CheckSchemaVersion(Json{{"schema_version", 3}}, 2, "f.json").message(),
            "f.json: error: schema_version is 3, which this version of HELM does not read\n  allowed: 2\n  fix: write the file again with "
            "this version of HELM");
  EXPECT_EQ(CheckSchemaVersion(Json::object(), 2, "f.json").message(), "f.json: error: the key 'schema_version' is missing");
  EXPECT_TRUE(CheckKeys(Json{{"a", 1}}, {"a", "b"}, "f.json").ok());
  EXPECT_EQ(CheckKeys(Json{{"devcie", 1}}, {"device"}, "f.json").message(),
            "f.json: error: unknown key 'devcie'\n  did you mean 'device'?\n  allowed: device");
}

}  // namespace
}  // namespace helm
