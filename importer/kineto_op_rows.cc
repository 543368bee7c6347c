#include "importer/kineto_op_rows.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/foreign_numbers.h"
#include "ir/signature.h"

namespace helm::importer {
namespace {

using formats::KinetoEvent;
using formats::KinetoOperand;
using formats::KinetoTrace;

struct Product {
  std::string_view name;
  std::string_view target;
  size_t tensors;
};
constexpr std::array<Product, 3> kProducts = {{{"aten::mm", "aten.mm", 2}, {"aten::bmm", "aten.bmm", 2}, {"aten::addmm", "aten.addmm", 3}}};

// As record_function writes element types.
constexpr std::array<std::pair<std::string_view, ir::DataType>, 3> kTypes = {
    {{"float", ir::DataType::kFloat32}, {"c10::BFloat16", ir::DataType::kBFloat16}, {"c10::Half", ir::DataType::kFloat16}}};

// Sizes that are positive, strides that are not negative, and no more elements than there are bytes.
bool Possible(const KinetoOperand& operand) {
  if (operand.shape.empty() || operand.strides.size() != operand.shape.size()) return false;
  int64_t elements = 1;
  for (const int64_t size : operand.shape) {
    if (size <= 0 || size > formats::kBytesMost / elements) return false;
    elements *= size;
  }
  return std::ranges::all_of(operand.strides, [](int64_t stride) { return stride >= 0 && stride <= formats::kBytesMost; });
}

std::optional<ir::TensorSignature> TensorOf(const KinetoOperand& operand) {
  const auto* type = std::ranges::find(kTypes, operand.type, &std::pair<std::string_view, ir::DataType>::first);
  if (type == kTypes.end() || !Possible(operand)) return std::nullopt;
  return ir::TensorSignature{.dtype = type->second, .shape = operand.shape, .strides = operand.strides};
}

// None: it says too little, or is a product with factors.
std::optional<ir::OpSignature> SignatureOf(const Product& product, const std::vector<KinetoOperand>& operands) {
  if (operands.size() < product.tensors) return std::nullopt;
  ir::OpSignature signature{.target = std::string(product.target), .arguments = {}};
  for (size_t i = 0; i < operands.size(); ++i) {
    if (i >= product.tensors) {
      if (operands[i].value != "1") return std::nullopt;  // beta and alpha, which a program leaves out
      continue;
    }
    const auto tensor = TensorOf(operands[i]);
    if (!tensor) return std::nullopt;
    signature.arguments.emplace_back(*tensor);
  }
  return signature;
}

void AddSamples(ir::OpSignature signature, Duration time, ImportedRows& rows) {
  const size_t markings = size_t{1} << signature.arguments.size();
  for (size_t marking = 0; marking < markings; ++marking) {
    for (size_t i = 0; i < signature.arguments.size(); ++i) {
      std::get<ir::TensorSignature>(signature.arguments[i]).persistent = (marking >> i & 1) != 0;
    }
    RowSamples& row = rows.ops[ir::ToText(signature)];
    row.times.push_back(time);
    ++row.measured;
  }
}

}  // namespace

void AddProducts(const KinetoTrace& trace, ImportedRows& rows) {
  std::map<int64_t, int64_t> kernels_ns;  // by external id
  for (const KinetoEvent& event : trace.events) {
    if (event.kind == KinetoEvent::Kind::kKernel && event.external_id != 0) kernels_ns[event.external_id] += event.duration_ns;
  }
  for (const KinetoEvent& event : trace.events) {
    if (event.kind != KinetoEvent::Kind::kOperator) continue;
    const auto* product = std::ranges::find(kProducts, std::string_view(trace.NameOf(event)), &Product::name);
    const auto kernels = kernels_ns.find(event.external_id);
    if (product == kProducts.end() || kernels == kernels_ns.end() || kernels->second <= 0) continue;
    const auto signature = event.operands < 0 ? std::nullopt : SignatureOf(*product, trace.operands[static_cast<size_t>(event.operands)]);
    if (signature) {
      AddSamples(*signature, Duration::Nanoseconds(kernels->second), rows);
    } else {
      rows.omissions.Add("matrix products without shapes (record_shapes), of other types or with factors");
    }
  }
}

}  // namespace helm::importer
