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

// What a program's text leaves out: the kind that the target of an op usually has, the role of the storage of a fresh result.
OpKind UsualKind(std::string_view target);
StorageRole UsualRole(const Op& op);

struct TensorType {
  DataType dtype = DataType::kFloat32;
  Shape shape;
  Shape strides;
};

std::string TypeText(DataType dtype, const Shape& shape, const Shape& strides);
// Refuses sizes whose bytes do not fit the arithmetic of 64 bits.
bool ParseType(TextScanner& scanner, TensorType& type);
// A whole number that counts elements, bytes or ranks: no more than 2^40 either way, so that products with an element size or a group size
// fit.
bool ParseSize(TextScanner& scanner, std::string_view what, int64_t& value);
// Fails at `position` when the elements of the shape, or the reach of the strides, are more than 2^56.
bool CheckShape(TextScanner& scanner, TextPosition position, const Shape& shape, const Shape& strides);

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

// The sizes of `[1, 2]`, with its brackets.
bool ParseSizes(TextScanner& scanner, std::string_view what, std::vector<int64_t>& values);

bool ParseRankExpression(TextScanner& scanner, RankExpression& expression);

}  // namespace helm::ir
