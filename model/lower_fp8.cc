// Matrix products of 8-bit operands: casts with their scales, products, and the transposed copies that these need. Forward and backward.
//
// As Transformer Engine does it (transformer_engine/pytorch/module/linear.py and layernorm_linear.py; tensor/float8_tensor.py). A tensor is
// multiplied by the scale that brings its largest magnitude to the largest number of the 8-bit type: E4M3 (448) for activations and
// weights, E5M2 (57344) for gradients (Micikevicius et al. 2022, arXiv 2209.05433, sections 3 and 3.1). 8-bit products exist for a
// row-major left and a column-major right operand alone, so that the gradients of inputs and weights read transposed copies, which the cast
// writes along. Weights are cast once a step into copies that stay, both ways (2 bytes a parameter beside the parameter itself), each with
// the number that gets it back; where parameters are gathered, at each use. Inputs are kept for backward in 8 bits, transposed; with
// sequence parallelism as this rank's rows, which travel in 8 bits too.
//
// Scaling: current, by the largest magnitude of the very tensor, which a pass before the cast finds; or delayed, by the largest one of the
// step before, which its casts noted (a history of one step where Transformer Engine's default is the largest of up to 1024).
#include <algorithm>
#include <utility>

#include "model/step.h"

namespace helm::model {

using ir::DataType;
using ir::NoneArgument;
using ir::Shape;
using ir::TensorId;

namespace {

// What a cast is of: the input, the weight or the output's gradient of a product.
enum class Of : uint8_t { kInput, kWeight, kGradient };

// A tensor of zeros has some scale, too.
constexpr double kLargestLeast = 1e-12;

DataType TypeOf(Of what) { return what == Of::kGradient ? DataType::kFloat8E5M2 : DataType::kFloat8E4M3; }
double MostOf(Of what) { return what == Of::kGradient ? 57344.0 : 448.0; }

bool Delayed(const Step& step) { return step.software.fp8_recipe == ir::Fp8Recipe::kDelayed; }
bool IsGathered(const Step& step, ParameterIndex index) {
  return step.plan.buckets[step.plan.bucket_of[static_cast<size_t>(index)]].gathered;
}

// The last two dimensions swapped.
TensorId Swapped(ProgramBuilder& b, TensorId x) {
  const auto rank = static_cast<int64_t>(b.shape(x).size());
  return rank == 2 ? b.T(x) : b.Transpose(x, rank - 2, rank - 1);
}
Shape SwappedShape(Shape shape) {
  std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
  return shape;
}

// --- scales, fp32 [1] ---

struct Scale {
  TensorId factor, inverse;
};

int64_t Slot(const Step& step, Of what, ParameterIndex of) {
  return static_cast<int64_t>(what) * static_cast<int64_t>(step.plan.parameters.size()) + of;
}

TensorId Largest(Step& step, TensorId x) {
  ProgramBuilder& b = step.b;
  return b.View(b.ToType(b.Max(b.Unary("aten.abs", x)), DataType::kFloat32), {1});
}

// Ranks that gather each other's rows have to have one scale.
Scale ScaleOfNow(Step& step, TensorId x, Of what) {
  ProgramBuilder& b = step.b;
  TensorId largest;
  {
    const FusedKernel kernel(b, step.cuda);
    largest = Largest(step, x);
  }
  if (step.sequence_parallel && what != Of::kWeight) largest = b.Wait(b.AllReduce(largest, step.tensor_group, "max"));
  const FusedKernel kernel(b, step.cuda);
  const TensorId inverse = b.DivScalar_(b.AddScalar_(largest, kLargestLeast), MostOf(what));
  return {b.Unary("aten.reciprocal", inverse), inverse};
}

Scale ScaleOfLastStep(Step& step, Of what, ParameterIndex of) {
  const int64_t slot = Slot(step, what, of);
  return {step.b.Slice(step.fp8.scales, 0, slot, slot + 1), step.b.Slice(step.fp8.inverses, 0, slot, slot + 1)};
}

// Notes the largest magnitude for the next step.
void Note(Step& step, TensorId x, Of what, ParameterIndex of) {
  ProgramBuilder& b = step.b;
  const int64_t slot = Slot(step, what, of);
  const TensorId window = b.AsStrided(step.fp8.largest, {1}, {1}, slot);
  step.fp8.largest = b.MaximumOut(window, Largest(step, x), window);
}

// --- casts ---

struct Ways {
  bool rows = true, columns = true;
};

// Into `into`, or new tensors.
EightBits Cast(Step& step, TensorId x, Of what, ParameterIndex of, const Ways& ways, EightBits into = {}) {
  ProgramBuilder& b = step.b;
  const Scale scale = Delayed(step) ? ScaleOfLastStep(step, what, of) : ScaleOfNow(step, x, what);
  const DataType type = TypeOf(what);
  const FusedKernel kernel(b, step.cuda);
  if (!into.rows.valid() && ways.rows) into.rows = b.NewEmpty(x, b.shape(x), type);
  if (!into.columns.valid() && ways.columns) into.columns = b.NewEmpty(x, SwappedShape(b.shape(x)), type);
  if (Delayed(step)) Note(step, x, what, of);
  const TensorId scaled = b.Clamp(b.Mul(x, scale.factor), -MostOf(what), MostOf(what));
  EightBits result;
  result.inverse = into.inverse.valid() ? b.Copy_(into.inverse, scale.inverse) : scale.inverse;
  if (ways.rows) result.rows = b.Copy_(into.rows, scaled);
  if (ways.columns) result.columns = b.Copy_(into.columns, Swapped(b, scaled));
  return result;
}

// [m, k] x ([n, k])^T in the compute type, or of each expert where there is a third dimension.
TensorId Product(Step& step, TensorId left, TensorId left_inverse, TensorId right, TensorId right_inverse, TensorId bias = {}) {
  ProgramBuilder& b = step.b;
  const Shape l = b.shape(left), r = b.shape(right);
  const auto arguments = [&](TensorId x, TensorId y) {
    return std::vector<ir::Argument>{x,
                                     b.T(y),
                                     left_inverse,
                                     right_inverse,
                                     bias.valid() ? ir::Argument(bias) : ir::Argument(NoneArgument{}),
                                     NoneArgument{},
                                     step.workload.dtype,
                                     false};
  };
  if (l.size() == 2) return b.Compute("aten._scaled_mm", arguments(left, right), {{{step.workload.dtype, {l[0], r[0]}, {}}}})[0];
  const auto matrix = [&](TensorId of, const Shape& shape, int64_t i) { return b.View(b.Slice(of, 0, i, i + 1), {shape[1], shape[2]}); };
  const Shape shape = {l[0], l[1], r[1]};
  const TensorId whole = b.NewEmpty(left, shape, step.workload.dtype);
  TensorId newest = whole;
  for (int64_t i = 0; i < l[0]; ++i) {
    const TensorId out = b.AsStrided(newest, {l[1], r[1]}, {r[1], 1}, i * l[1] * r[1]);
    std::vector<ir::Argument> all = arguments(matrix(left, l, i), matrix(right, r, i));
    all.emplace_back(out);
    newest = b.Write("aten._scaled_mm.out", std::move(all), {out})[0];
  }
  return b.Restride(newest, whole);
}

// Transformer Engine's product of a weight gradient adds to what is kept, as with 16-bit operands (transformer_engine/pytorch/module/
// linear.py, backward: general_gemm with accumulate and out = main_grad under fuse_wgrad_accumulation).
void WriteGradient(Step& step, ParameterIndex weight, const EightBits& output, TensorId input_columns, TensorId input_inverse) {
  step.gradients.WriteProduct(weight, [&] { return Product(step, output.columns, output.inverse, input_columns, input_inverse); });
}

EightBits Weight(Step& step, ParameterIndex weight, const Ways& ways) {
  const auto kept = step.fp8.weights.find(weight);
  return kept != step.fp8.weights.end() ? kept->second : Cast(step, step.gradients.Weight(weight), Of::kWeight, weight, ways);
}

// Whether backward computes the input of this product again.
bool IsInputAgain(const Step& step, const Recomputed& again, ParameterIndex weight) {
  const LayerParameters& layer = step.plan.layers[static_cast<size_t>(step.b.layer())];
  if (weight == layer.qkv_weight || weight == layer.mlp.up_weight) return again.norm;
  if (weight == layer.latent.q_up && layer.latent.q_down < 0) return again.norm;  // straight from the layer's norm
  if (weight == layer.latent.q_up || weight == layer.latent.kv_up) return again.mla_up_projection || again.qkv_projection;
  if (weight == layer.out_weight) return again.attention_output;  // cast again by its own forward
  if (weight == layer.mlp.down_weight) return again.mlp_activation;
  if (weight == layer.experts.up_weight) return again.moe;
  if (weight == layer.experts.down_weight) return again.moe || again.moe_activation;
  if (weight == layer.shared.up_weight) return again.norm;
  return weight == layer.shared.down_weight && (again.moe || again.shared_experts);
}

// Whether backward will cast this input again, so that forward need not keep it transposed.
bool IsCastAgain(const Step& step, ParameterIndex weight) {
  if (step.b.phase() != ir::Phase::kForward) return false;
  const Recomputed& again = RecomputedHere(step);
  return again.whole || IsInputAgain(step, again, weight);
}

// The input of a product in the ways that its backward reads; cast only now where it was computed again, and the product was not.
EightBits KeptInput(Step& step, TensorId input, ParameterIndex weight, const Ways& ways) {
  const auto known = step.fp8.inputs.find(input);
  return known != step.fp8.inputs.end() ? known->second : Cast(step, input, Of::kInput, weight, ways);
}
EightBits InputColumns(Step& step, TensorId input, ParameterIndex weight) { return KeptInput(step, input, weight, {false, true}); }

// Rows that are gathered from the tensor ranks, transposed.
TensorId GatheredColumns(Step& step, TensorId rows) {
  ProgramBuilder& b = step.b;
  const TensorId columns = Swapped(b, rows);
  return b.Copy_(b.NewEmpty(rows, b.shape(columns), b.dtype(rows)), columns);
}

// Of the layers' products that have 8-bit operands.
std::vector<ParameterIndex> Matrices(const LayerParameters& layer) {
  std::vector<ParameterIndex> matrices = {
      layer.qkv_weight,      layer.out_weight,       layer.latent.q_up,        layer.latent.kv_up,      layer.mlp.up_weight,
      layer.mlp.down_weight, layer.shared.up_weight, layer.shared.down_weight, layer.experts.up_weight, layer.experts.down_weight};
  std::erase(matrices, -1);
  return matrices;
}

// Scales from the largest magnitudes of the step before; 1 where none was noted.
void MakeScales(Step& step, int64_t parameters) {
  ProgramBuilder& b = step.b;
  const int64_t slots = 3 * parameters;
  const ir::StorageId storage = b.AddStorage("fp8.largest", slots * 4, ir::StorageRole::kOptimizerState);
  const TensorId largest = b.AddPersistent("fp8.largest", DataType::kFloat32, {slots}, storage);
  TensorId most = b.NewOnes(largest, {slots}, DataType::kFloat32);
  const TensorId whole = most;
  most = b.MulScalar_(b.Slice(most, 0, 0, 2 * parameters), MostOf(Of::kInput));
  most = b.MulScalar_(b.Slice(b.Restride(most, whole), 0, 2 * parameters, slots), MostOf(Of::kGradient));
  most = b.Restride(most, whole);
  const TensorId none = b.ToType(b.EqScalar(largest, 0.0), DataType::kFloat32);
  const TensorId divisor = b.Add(largest, b.Mul(none, most));
  step.fp8.scales = b.Div(most, divisor);
  step.fp8.inverses = b.Div(divisor, most);
  step.fp8.largest = b.MulScalar_(largest, 0.0);
}

}  // namespace

void BeginFp8(Step& step) {
  const auto has_none = [](const LayerParameters& layer) { return Matrices(layer).empty(); };
  if (std::ranges::all_of(step.plan.layers, has_none)) step.fp8.on = false;  // a stage with embedding or head alone
  if (!step.fp8.on) return;
  ProgramBuilder& b = step.b;
  b.Label("fp8.scales");
  if (Delayed(step)) MakeScales(step, static_cast<int64_t>(step.plan.parameters.size()));
  b.Label("fp8.weights");
  for (const LayerParameters& layer : step.plan.layers) {
    for (const ParameterIndex index : Matrices(layer)) {
      if (IsGathered(step, index)) continue;
      const Parameter& parameter = step.plan.parameters[static_cast<size_t>(index)];
      const auto keep = [&](const char* name, DataType dtype, Shape shape) {
        const std::string full = parameter.name + name;
        const ir::StorageId storage = b.AddStorage(full, ir::ElementCount(shape) * ElementBytes(dtype), ir::StorageRole::kParameter);
        return b.AddPersistent(full, dtype, std::move(shape), storage);
      };
      const EightBits into{keep(".fp8", DataType::kFloat8E4M3, parameter.shape),
                           keep(".fp8_transposed", DataType::kFloat8E4M3, SwappedShape(parameter.shape)),
                           keep(".fp8_inverse", DataType::kFloat32, {1})};
      step.fp8.weights[index] = Cast(step, step.gradients.Weight(index), Of::kWeight, index, {}, into);
    }
  }
}

void EndFp8(Step& step) {
  if (!step.fp8.on || !Delayed(step)) return;
  ProgramBuilder& b = step.b;
  b.Label("fp8.largest");
  const int64_t slots = 3 * static_cast<int64_t>(step.plan.parameters.size());
  for (const ir::GroupId group : {step.tensor_group, step.batch_group}) {
    if (b.Size(group) > 1) step.fp8.largest = b.Wait(b.AllReduce(b.AsStrided(step.fp8.largest, {slots}, {1}, 0), group, "max"));
  }
}

void CastInput(Step& step, TensorId input, ParameterIndex weight) {
  step.fp8.inputs[input] = Cast(step, input, Of::kInput, weight, {true, !step.sequence_parallel && !IsCastAgain(step, weight)});
}

bool CastsWithNorm(const Step& step) { return step.fp8.on && Delayed(step) && step.software.fused.norm_linear; }

TensorId Fp8ColumnForward(Step& step, TensorId rows, ParameterIndex weight, ParameterIndex bias) {
  if (!step.fp8.inputs.contains(rows)) CastInput(step, rows, weight);
  const EightBits input = step.fp8.inputs.at(rows), matrix = Weight(step, weight, {true, false});
  return Product(step, GatherRows(step, input.rows), input.inverse, matrix.rows, matrix.inverse,
                 bias < 0 ? TensorId() : step.gradients.Weight(bias));
}

TensorId Fp8ColumnBackward(Step& step, TensorId rows, TensorId gradient, ParameterIndex weight, ParameterIndex bias) {
  ProgramBuilder& b = step.b;
  b.SetPhase(ir::Phase::kInputGradient);
  const EightBits input = KeptInput(step, rows, weight, {step.sequence_parallel, !step.sequence_parallel});
  const bool gather_now = step.sequence_parallel && step.postponed == nullptr;
  Pending gathering;
  if (gather_now) gathering = b.AllGather(input.rows, step.tensor_group);
  const EightBits of_output = Cast(step, gradient, Of::kGradient, weight, {});
  const EightBits matrix = Weight(step, weight, {false, true});
  const TensorId of_input = Product(step, of_output.rows, of_output.inverse, matrix.columns, matrix.inverse);
  const TensorId gathered = gather_now ? b.Wait(gathering) : TensorId();
  PendingRows reducing = StartReduceRows(step, of_input);
  if (!step.software.tensor_backward_overlap) reducing = {FinishReduceRows(step, reducing), false, {}};
  WeightGradient(step, [&step, input, gathered, of_output, gradient, weight, bias] {
    TensorId columns = input.columns;
    if (step.sequence_parallel) columns = GatheredColumns(step, gathered.valid() ? gathered : GatherRows(step, input.rows));
    WriteGradient(step, weight, of_output, columns, input.inverse);
    if (bias >= 0) step.gradients.WriteSum(bias, gradient);
  });
  return FinishReduceRows(step, reducing);
}

TensorId Fp8RowForward(Step& step, TensorId input, ParameterIndex weight) {
  step.fp8.inputs[input] = Cast(step, input, Of::kInput, weight, {true, !IsCastAgain(step, weight)});
  const EightBits own = step.fp8.inputs.at(input), matrix = Weight(step, weight, {true, false});
  return FinishReduceRows(step, StartReduceRows(step, Product(step, own.rows, own.inverse, matrix.rows, matrix.inverse)));
}

TensorId Fp8RowBackward(Step& step, TensorId input, TensorId gradient, ParameterIndex weight, ParameterIndex bias) {
  ProgramBuilder& b = step.b;
  b.SetPhase(ir::Phase::kInputGradient);
  EightBits of_output = Cast(step, gradient, Of::kGradient, weight, {true, !step.sequence_parallel});
  if (step.sequence_parallel) {
    of_output.rows = GatherRows(step, of_output.rows);
    of_output.columns = GatheredColumns(step, of_output.rows);
  }
  const EightBits own = InputColumns(step, input, weight), matrix = Weight(step, weight, {false, true});
  const TensorId of_input = Product(step, of_output.rows, of_output.inverse, matrix.columns, matrix.inverse);
  WeightGradient(step, [&step, own, of_output, gradient, weight, bias] {
    WriteGradient(step, weight, of_output, own.columns, own.inverse);
    if (bias >= 0) step.gradients.WriteSum(bias, gradient);
  });
  return of_input;
}

TensorId Fp8ExpertsForward(Step& step, TensorId input, ParameterIndex weight) {
  step.fp8.inputs[input] = Cast(step, input, Of::kInput, weight, {true, !IsCastAgain(step, weight)});
  const EightBits own = step.fp8.inputs.at(input), matrix = Weight(step, weight, {true, false});
  return Product(step, own.rows, own.inverse, matrix.rows, matrix.inverse);
}

TensorId Fp8ExpertsBackward(Step& step, TensorId input, TensorId gradient, ParameterIndex weight) {
  const EightBits of_output = Cast(step, gradient, Of::kGradient, weight, {});
  const EightBits own = InputColumns(step, input, weight), matrix = Weight(step, weight, {false, true});
  const TensorId of_input = Product(step, of_output.rows, of_output.inverse, matrix.columns, matrix.inverse);
  WeightGradient(step, [&step, own, of_output, weight] {
    step.gradients.WriteValue(weight, Product(step, of_output.columns, of_output.inverse, own.columns, own.inverse));
  });
  return of_input;
}

}  // namespace helm::model
