#include "ir/signature.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/sample_programs.h"

namespace helm::ir {
namespace {

std::string TextOf(std::string_view statements, size_t op) {
  const Program program = test::ParseSample(statements);
  return ToText(SignatureOf(program, program.ops[op]));
}

void ExpectRoundTrip(const OpSignature& signature) {
  const Result<OpSignature> read = ParseOpSignature(ToText(signature));
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(*read, signature);
}

double FlopsOfText(std::string_view text) { return FlopsOf(ParseOpSignature(text).value()).count(); }

TEST(Signature, OfTheLinearProgram) {
  EXPECT_EQ(TextOf(test::kLinearProgram, 0), "aten.t(@f32[6,4])");
  EXPECT_EQ(TextOf(test::kLinearProgram, 1), "aten.mm(f32[5,4], @f32[4,6]{1,4})");  // an input is not marked, a weight is
  EXPECT_EQ(TextOf(test::kLinearProgram, 5), "aten.full([5, 6], 1.0, f32)");
  EXPECT_EQ(TextOf(test::kLinearProgram, 7), "aten.mm.out(f32[6,5]{1,6}, f32[5,4], @f32[6,4])");
  EXPECT_EQ(TextOf(test::kLinearProgram, 10), "aten.add_.Tensor(@f32[6,4], @f32[6,4], -0.1)");
}

TEST(Signature, RankExpressionsBecomeTheirConstant) {
  EXPECT_EQ(TextOf("helm-program/1\nstorage x: 32 bytes input persistent\ntensor %x: i64[4] @x\n"
                   "%y: i64[4] = aten.sub.Scalar(%x, rank(5+100*tensor))\n",
                   0),
            "aten.sub.Scalar(i64[4], 5)");
}

// What each op indexes: rows of the table, num_weights, the dimension dim (negative: from the end), classes, one dimension for each index.
TEST(Signature, IndexBoundsComeFromTheSchema) {
  constexpr std::string_view kPorts = R"(helm-program/1
program p device=cpu
storage s: 100000 bytes input persistent
tensor %table: f32[257,8] @s
tensor %i: i64[4] @s
tensor %i2: i64[4,2] @s
tensor %g: f32[4,8] @s
tensor %logits: f32[4,300] @s
tensor %one: f32[] @s
)";
  const auto text = [&](std::string_view op) { return TextOf(std::string(kPorts) + std::string(op), 0); };
  EXPECT_EQ(text("%y: f32[4,8] = aten.embedding(%table, %i)"), "aten.embedding(f32[257,8], i64[4]<257)");
  EXPECT_EQ(text("%y: f32[99,8] = aten.embedding_dense_backward(%g, %i, 99, -1, false)"),
            "aten.embedding_dense_backward(f32[4,8], i64[4]<99, 99, -1, false)");
  EXPECT_EQ(text("%y: f32[4,2] = aten.gather(%logits, -1, %i2)"), "aten.gather(f32[4,300], -1, i64[4,2]<300)");
  EXPECT_EQ(text("%y: f32[4,300] @s = aten.scatter_add_(%logits, 1, %i2, %g)"), "aten.scatter_add_(f32[4,300], 1, i64[4,2]<300, f32[4,8])");
  EXPECT_EQ(text("%y: f32[4,8] = aten.index_select(%table, 0, %i)"), "aten.index_select(f32[257,8], 0, i64[4]<257)");
  EXPECT_EQ(text("%y: f32[4] = aten.index.Tensor(%logits, [%i, %i])"), "aten.index.Tensor(f32[4,300], [i64[4]<4, i64[4]<300])");
  EXPECT_EQ(text("%y: f32[], %w: f32[] = aten.nll_loss_forward(%logits, %i, none, 1, -100)"),
            "aten.nll_loss_forward(f32[4,300], i64[4]<300, none, 1, -100)");
  EXPECT_EQ(text("%y: f32[4,300] = aten.nll_loss_backward(%one, %logits, %i, none, 1, -100, %one)"),
            "aten.nll_loss_backward(f32[], f32[4,300], i64[4]<300, none, 1, -100, f32[])");
}

TEST(Signature, EveryKindOfArgumentReadsBack) {
  const TensorSignature tensor{DataType::kBFloat16, {2, 3}, {1, 2}, true, 0};
  const TensorSignature index{DataType::kInt64, {}, {}, false, 17};
  ExpectRoundTrip({"aten.everything.out",
                   {NoneArgument(),
                    tensor,
                    index,
                    std::vector<TensorSignature>{tensor, index},
                    std::vector<TensorSignature>{},
                    true,
                    false,
                    int64_t{-5},
                    std::numeric_limits<int64_t>::min(),
                    1.0,
                    -0.0,
                    1e-5,
                    1e300,
                    std::numeric_limits<double>::infinity(),
                    -std::numeric_limits<double>::infinity(),
                    std::vector<int64_t>{1, -1},
                    std::vector<int64_t>{},
                    std::vector<bool>{true, false},
                    std::vector<bool>{},
                    std::string("a \"quoted\" \\ \n text"),
                    std::string(),
                    DataType::kBool}});
  ExpectRoundTrip({"aten.none", {}});
}

TEST(Signature, ErrorsSayWhatWasExpected) {
  const auto error = [](std::string_view text) { return ParseOpSignature(text).status().message(); };
  EXPECT_EQ(error("aten.mm(f32[2,3)"), R"(op signature:1:16: error: expected ',' or ']', found ')'
    1 | aten.mm(f32[2,3)
      |                ^)");
  EXPECT_EQ(error("aten.mm(f32[2,3]) x"), R"(op signature:1:19: error: expected the end of the signature, found 'x'
    1 | aten.mm(f32[2,3]) x
      |                   ^)");
  EXPECT_EQ(error("aten.embedding(i64[2]<0)"), R"(op signature:1:23: error: the bound of an index must be positive
    1 | aten.embedding(i64[2]<0)
      |                       ^)");
}

TEST(Signature, BytesReadAreThoseOfAllTensors) {
  // 2 x 3 x 2 bytes, 4 x 8 bytes, 5 x 4 bytes
  EXPECT_EQ(BytesRead(ParseOpSignature("aten.x(bf16[2,3], [i64[4], f32[5]], 3)").value()), Bytes(12 + 32 + 20));
}

// 2 m n k for a product; attention: two products of 2 s s d for each batch and head, half of it when causal, 5/2 of it backward.
TEST(Flops, OfProductsAndAttention) {
  EXPECT_EQ(FlopsOfText("aten.mm(f32[5,7], f32[7,3])"), 2.0 * 5 * 7 * 3);
  EXPECT_EQ(FlopsOfText("aten._scaled_mm(u8[5,7], u8[7,3], f32[], f32[])"), 2.0 * 5 * 7 * 3);
  // Ten rows, each meets one of four experts; the weight gradients of those experts.
  EXPECT_EQ(FlopsOfText("aten._grouped_mm(bf16[10,7], bf16[4,7,3], i32[4])"), 2.0 * 10 * 7 * 3);
  EXPECT_EQ(FlopsOfText("aten._grouped_mm(bf16[7,10], bf16[10,3], i32[4])"), 2.0 * 10 * 7 * 3);
  EXPECT_EQ(FlopsOfText("aten.mm.out(f32[5,7], f32[7,3], f32[5,3])"), 2.0 * 5 * 7 * 3);
  EXPECT_EQ(FlopsOfText("aten.addmm(f32[3], f32[5,7], f32[7,3])"), 2.0 * 5 * 7 * 3);
  EXPECT_EQ(FlopsOfText("aten.addmm_(f32[5,3], f32[5,7], f32[7,3])"), 2.0 * 5 * 7 * 3);
  EXPECT_EQ(FlopsOfText("aten.bmm(f32[2,5,7], f32[2,7,3])"), 2.0 * 2 * 5 * 7 * 3);
  EXPECT_EQ(FlopsOfText("aten.baddbmm(f32[2,5,3], f32[2,5,7], f32[2,7,3])"), 2.0 * 2 * 5 * 7 * 3);
  const double full = 2 * 2.0 * 2 * 3 * 16 * 16 * 8;  // batch 2, heads 3, sequence 16, head 8
  const std::string qkv = "f32[2,3,16,8], f32[2,3,16,8], f32[2,3,16,8]";
  EXPECT_EQ(FlopsOfText("aten._scaled_dot_product_flash_attention_for_cpu(" + qkv + ", 0.0, false)"), full);
  EXPECT_EQ(FlopsOfText("aten._scaled_dot_product_flash_attention_for_cpu(" + qkv + ", 0.0, true)"), full / 2);
  EXPECT_EQ(FlopsOfText("aten._scaled_dot_product_flash_attention(" + qkv + ", 0.0, true, false)"), full / 2);
  // Four queries behind twelve keys that all of them see: 4 x 12 pairs and half of 4 x 4. Four such tiles are the whole, 16 x 16 / 2.
  EXPECT_EQ(FlopsOfText("aten._scaled_dot_product_flash_attention(f32[2,3,4,8], f32[2,3,16,8], f32[2,3,16,8], 0.0, true)"),
            full / 256 * (4 * 12 + 8));
  EXPECT_EQ(ScoresOf(4, 4, true) + ScoresOf(4, 8, true) + ScoresOf(4, 12, true) + ScoresOf(4, 16, true), ScoresOf(16, 16, true));
  EXPECT_EQ(FlopsOfText("aten._scaled_dot_product_flash_attention_for_cpu_backward(f32[2,3,16,8], " + qkv +
                        ", f32[2,3,16,8], f32[2,3,16], 0.0, true)"),
            full / 2 * 2.5);
  EXPECT_EQ(FlopsOfText("aten._scaled_dot_product_flash_attention_backward(f32[2,3,16,8], " + qkv +
                        ", f32[2,3,16,8], f32[2,3,16], none, none, 16, 16, 0.0, true, i64[], i64[])"),
            full / 2 * 2.5);
  EXPECT_EQ(FlopsOfText("aten._scaled_dot_product_cudnn_attention(" + qkv + ", none, true, 0.0, true)"), full / 2);
  EXPECT_EQ(FlopsOfText("aten._scaled_dot_product_cudnn_attention_backward(f32[2,3,16,8], " + qkv +
                        ", f32[2,3,16,8], f32[2,3,16], i64[], i64[], none, none, none, 16, 16, 0.0, true)"),
            full / 2 * 2.5);
  EXPECT_EQ(FlopsOfText("aten.add.Tensor(f32[5,7], f32[5,7])"), 0.0);
}

TEST(CollectiveSignature, ReadsBack) {
  const CollectiveSignature signature{"all_reduce", DataType::kBFloat16, 4, 2, Bytes(1048576)};
  EXPECT_EQ(ToText(signature), "all_reduce bf16 ranks=4 per_node=2 bytes=1048576");
  EXPECT_EQ(ParseCollectiveSignature(ToText(signature)).value(), signature);
  CollectiveSignature beside_others = signature;
  beside_others.groups_per_node = 4;
  EXPECT_EQ(ToText(beside_others), "all_reduce bf16 ranks=4 per_node=2 groups=4 bytes=1048576");
  EXPECT_EQ(ParseCollectiveSignature(ToText(beside_others)).value(), beside_others);
  EXPECT_FALSE(ParseCollectiveSignature("all_reduce bf16 ranks=4 per_node=2 groups=1 bytes=8").ok());
  EXPECT_EQ(ParseCollectiveSignature("all_reduce bf16 ranks=4").status().message(),
            R"(collective signature:1:24: error: expected 'per_node=', found the end of the text
    1 | all_reduce bf16 ranks=4
      |                        ^)");
}

}  // namespace
}  // namespace helm::ir
