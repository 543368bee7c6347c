// The parts that the text forms of programs and of op signatures have in common: tensor types, scalar and list arguments, rank expressions.
//
// Types: `f32[512,384]`, with strides in braces where they are not contiguous: `f32[384,512]{1,384}`.
// Arguments: none, true, 3, -1, 0.5, "sum", bf16, [2, 4], [true, false]; an empty list of integers is `[]`, of booleans `bools[]`, of
// tensors `tensors[]`.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ir/program.h"
#include "ir/text_scanner.h"

namespace helm::ir {

struct TensorType {
  DataType dtype = DataType::kFloat32;
  Shape shape;
  Shape strides;
};

std::string TypeText(DataType dtype, const Shape& shape, const Shape& strides);
bool ParseType(TextScanner& scanner, TensorType& type);

// An argument that names no tensor and no op.
using PlainArgument = std::variant<NoneArgument, bool, int64_t, double, std::vector<int64_t>, std::vector<bool>, std::string, DataType>;

std::string PlainText(NoneArgument value);
std::string PlainText(bool value);
std::string PlainText(int64_t value);
std::string PlainText(double value);
std::string PlainText(const std::vector<int64_t>& value);
std::string PlainText(const std::vector<bool>& value);
std::string PlainText(const std::string& value);
std::string PlainText(DataType value);

bool ParsePlainArgument(TextScanner& scanner, PlainArgument& argument);
// The rest of a list after its `[`.
bool ParsePlainList(TextScanner& scanner, PlainArgument& argument);

// The whole numbers of `[1, 2]`, with its brackets.
bool ParseIntegers(TextScanner& scanner, std::string_view what, std::vector<int64_t>& values);

bool ParseRankExpression(TextScanner& scanner, RankExpression& expression);

// Items between separators: `, ` and the like.
std::string Join(const std::vector<std::string>& items, std::string_view separator);

}  // namespace helm::ir
