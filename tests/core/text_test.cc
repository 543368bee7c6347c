#include "core/text.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstring>

namespace helm {
namespace {

TEST(Text, SplitKeepsEmptyPartsAndJoinUndoesIt) {
  EXPECT_EQ(Split("a,,b", ','), (std::vector<std::string>{"a", "", "b"}));
  EXPECT_EQ(Split("", ','), std::vector<std::string>{""});
  EXPECT_EQ(Split(",", ','), (std::vector<std::string>{"", ""}));
  EXPECT_EQ(Join({"a", "", "b"}, ","), "a,,b");
  EXPECT_EQ(Join({}, ","), "");
}

TEST(Text, TrimAndReplace) {
  EXPECT_EQ(Trim(" \t a b \r\n"), "a b");
  EXPECT_EQ(Trim(" \n"), "");
  EXPECT_EQ(ReplaceAll("aXbXX", "X", "XX"), "aXXbXXXX");
}

TEST(Text, EditDistanceCountsASwapAsOne) {
  EXPECT_EQ(EditDistance("tensor", "tensor"), 0);
  EXPECT_EQ(EditDistance("tensor", "tensro"), 1);   // swap
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);  // k->s, e->i, +g
  EXPECT_EQ(EditDistance("", "abc"), 3);
}

RC_GTEST_PROP(Text, EditDistanceIsSymmetricAndBounded, (const std::string& a, const std::string& b)) {
  const int distance = EditDistance(a, b);
  RC_ASSERT(distance == EditDistance(b, a));
  RC_ASSERT(distance <= static_cast<int>(std::max(a.size(), b.size())));
  RC_ASSERT((distance == 0) == (a == b));
}

TEST(Text, DidYouMeanTakesTheClosestWithinAThird) {
  const std::vector<std::string> keys = {"data", "tensor", "sequence_parallel", "micro_batch", "zb-h1"};
  EXPECT_EQ(DidYouMean("tensro", keys), "tensor");
  EXPECT_EQ(DidYouMean("micro-batch", keys), "micro_batch");
  EXPECT_EQ(DidYouMean("microbatch", keys), "micro_batch");
  EXPECT_EQ(DidYouMean("sequence_paralel", keys), "sequence_parallel");
  EXPECT_EQ(DidYouMean("pipeline", keys), std::nullopt);
  EXPECT_EQ(DidYouMean("x", {"y"}), std::nullopt);  // every letter wrong is no slip
}

TEST(Text, NumbersAreStrict) {
  EXPECT_EQ(ParseInt64("0"), 0);
  EXPECT_EQ(ParseInt64("-12"), -12);
  EXPECT_EQ(ParseInt64("9223372036854775807"), INT64_MAX);
  for (const char* bad : {"", "-", "010", "+1", " 1", "1 ", "0x10", "1_000", "1.0", "1e3", "9223372036854775808", "00", "-01"}) {
    EXPECT_EQ(ParseInt64(bad), std::nullopt) << bad;
  }
  EXPECT_EQ(ParseUint64("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(ParseUint64("-1"), std::nullopt);
  EXPECT_EQ(ParseDouble("1e-05"), 1e-5);
  EXPECT_EQ(ParseDouble("-3.25E+2"), -325.0);
  for (const char* bad : {"", ".5", "5.", "1e", "nan", "inf", "-inf", "1e999", "0x1p3", "01.5", "1.5 ", "1,5"}) {
    EXPECT_EQ(ParseDouble(bad), std::nullopt) << bad;
  }
}

RC_GTEST_PROP(Text, DoublesReadBackTheSame, (uint64_t bits)) {
  double value = 0;
  std::memcpy(&value, &bits, sizeof value);
  RC_PRE(std::isfinite(value));
  const std::string text = FormatDouble(value);
  RC_ASSERT(ParseDouble(text) == value);
  RC_ASSERT(!ParseInt64(text).has_value());
}

TEST(Text, SizesAndTimes) {
  EXPECT_EQ(FormatBytes(Bytes(0)), "0 B");
  EXPECT_EQ(FormatBytes(Bytes(1023)), "1023 B");
  EXPECT_EQ(FormatBytes(Bytes(1536)), "1.50 KiB");
  EXPECT_EQ(FormatBytes(Bytes(25 * 1024 * 1024)), "25.00 MiB");
  EXPECT_EQ(FormatBytes(Bytes::Gibibytes(79.15)), "79.15 GiB");
  EXPECT_EQ(FormatBytes(Bytes(-2048)), "-2.00 KiB");
  EXPECT_EQ(FormatDuration(Duration()), "0 s");
  EXPECT_EQ(FormatDuration(Duration::Picoseconds(812)), "812 ps");
  EXPECT_EQ(FormatDuration(Duration::Nanoseconds(3)), "3.00 ns");
  EXPECT_EQ(FormatDuration(Duration::Microseconds(41.25)), "41.2 us");
  EXPECT_EQ(FormatDuration(Duration::Milliseconds(12.34)), "12.34 ms");
  EXPECT_EQ(FormatDuration(Duration::Seconds(1.2345)), "1.234 s");
  EXPECT_EQ(FormatDuration(Duration::Seconds(312.52)), "312.5 s");
  EXPECT_EQ(FormatDuration(Duration::Seconds(-0.5)), "-500.00 ms");
  EXPECT_EQ(FormatCount(1234567), "1,234,567");
  EXPECT_EQ(FormatCount(-123), "-123");
  EXPECT_EQ(FormatCount(-1234), "-1,234");
  EXPECT_EQ(FormatCount(999), "999");
}

}  // namespace
}  // namespace helm
