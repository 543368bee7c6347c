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

Status Verify(const Program& program) {
  Problems problems(program);
  CheckIds(program, problems);
  if (!problems.empty()) return StatusOf(program, problems);  // the other checks follow ids
  CheckNames(program, problems);
  CheckMeshAndGroups(program, problems);
  if (!problems.empty()) return StatusOf(program, problems);  // the other checks ask for the sizes of groups
  CheckTensors(program, problems);
  CheckSegments(program, problems);
  CheckPorts(program, problems);
  CheckProducers(program, problems);
  const size_t before = problems.messages().size();
  CheckOps(program, problems);
  CheckActions(program, problems);
  CheckRegions(program, problems);
  if (problems.messages().size() > before) return StatusOf(program, problems);  // the other checks ask for peers and what waits end
  CheckOrder(program, problems);
  CheckWaits(program, problems);
  CheckIsolated(program, problems);
  return StatusOf(program, problems);
}

}  // namespace helm::ir
