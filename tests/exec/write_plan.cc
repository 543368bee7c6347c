// helm_write_plan MODEL DATA TENSOR SEQUENCE_PARALLEL FILE: a small plan for the checks in run_checks.py.
#include <cstdio>
#include <cstdlib>
#include <map>

#include "ir/program_text.h"
#include "schedule/materialise.h"
#include "training_plan.h"

int main(int argc, char** argv) {
  using namespace helm;
  const std::map<std::string, model::ModelSpec> models{{"llama", exec::LlamaModel()},
                                                       {"gpt2", exec::Gpt2Model()},
                                                       {"qwen2", exec::Qwen2Model()},
                                                       {"qwen3", exec::Qwen3Model()},
                                                       {"padded", exec::PaddedModel()}};
  if (argc != 6 || !models.contains(argv[1])) return 2;
  exec::PlanSettings settings;
  settings.strategy.data = std::atoi(argv[2]);
  settings.strategy.tensor = std::atoi(argv[3]);
  settings.strategy.sequence_parallel = std::atoi(argv[4]) != 0;
  ir::Plan plan = exec::MakePlan(models.at(argv[1]), settings);
  const Result<ir::StepPrograms> program = schedule::Materialise(plan);
  Status status = program.status();
  if (status.ok()) {
    plan.program_hash = ir::ProgramHash(*program);
    status = ir::WritePlan(plan, argv[5]);
  }
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.message().c_str());
  return static_cast<int>(status.code());
}
