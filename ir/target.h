// Target names: "aten.add_.Tensor" is namespace `aten`, op `add_`, overload `Tensor`.
#pragma once

#include <string>
#include <string_view>

namespace helm::ir {

// The op without namespace, overload and the `_` of its in-place form: "add" for "aten.add_.Tensor", "mm" for "aten.mm.out". A leading `_`
// belongs to the name.
std::string BaseName(std::string_view target);

// Whether the target's name says that it writes an argument: the `_` of an in-place op, or an out= overload (`out`, `..._out`, and the
// named outputs of nll_loss: `output`, `grad_input`).
bool WritesArgument(std::string_view target);

}  // namespace helm::ir
