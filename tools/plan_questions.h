// Questions about plans that helm-plan answers without a search: `why-not PLAN tensor=8,pipeline=1`, `diff PLAN PLAN`,
// `what-if PLAN --set key=value`. Each prices two plans and holds them side by side.
#pragma once

#include <optional>

namespace helm::tools {

// Answers when the first argument is one of the three words: the exit code. Nothing otherwise.
std::optional<int> AnswerPlanQuestion(int argc, char** argv);

}  // namespace helm::tools
