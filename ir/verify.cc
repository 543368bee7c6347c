#include "ir/verify.h"

#include "ir/verify_checks.h"

namespace helm::ir {
namespace {

constexpr size_t kProblemsShown = 100;  // one slip in a lowering can break every op of a large program

Status StatusOf(const Program& program, const Problems& problems) {
  if (problems.empty()) return OkStatus();
  std::string text = "program '" + program.name + "' is not valid:";
  const std::vector<std::string>& messages = problems.messages();
  for (size_t i = 0; i < messages.size() && i < kProblemsShown; ++i) text += "\n  " + messages[i];
  if (messages.size() > kProblemsShown) text += "\n  and " + std::to_string(messages.size() - kProblemsShown) + " more";
  return InvalidError(text);
}

}  // namespace

std::string TensorText(const Program& program, TensorId tensor) { return "%" + program.tensor(tensor).name; }
std::string StorageText(const Program& program, StorageId storage) { return "@" + program.storage(storage).name; }

Status Verify(const Program& program, const Cancellation& cancellation) {
  Problems problems(program);
  CheckIds(program, problems);
  if (!problems.empty()) return StatusOf(program, problems);  // the other checks follow ids
  CheckNames(program, problems);
  CheckMeshAndGroups(program, problems);
  if (!problems.empty()) return StatusOf(program, problems);  // the other checks ask for the sizes of groups
  for (const auto check : {CheckTensors, CheckSegments, CheckPorts, CheckProducers}) {
    HELM_RETURN_IF_ERROR(cancellation.Check());
    check(program, problems);
  }
  const size_t before = problems.messages().size();
  for (const auto check : {CheckOps, CheckActions, CheckRegions}) {
    HELM_RETURN_IF_ERROR(cancellation.Check());
    check(program, problems);
  }
  if (problems.messages().size() > before) return StatusOf(program, problems);  // the other checks ask for peers and what waits end
  for (const auto check : {CheckOrder, CheckWaits, CheckIsolated}) {
    HELM_RETURN_IF_ERROR(cancellation.Check());
    check(program, problems);
  }
  return StatusOf(program, problems);
}

}  // namespace helm::ir
