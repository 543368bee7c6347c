#include "planner/plan_difference.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "core/text.h"
#include "ir/strategy_text.h"

namespace helm::planner {
namespace {

using Json = nlohmann::ordered_json;

struct TimePart {
  const char* name;
  const char* what;  // as a reason: more of it, or less
  Duration sim::Breakdown::* time;
};
constexpr TimePart kTimeParts[] = {{"compute", "computation", &sim::Breakdown::compute},
                                   {"exposed communication", "exposed communication", &sim::Breakdown::exposed_communication},
                                   {"bubble", "bubble", &sim::Breakdown::bubble},
                                   {"optimizer", "time in the optimizer", &sim::Breakdown::optimizer},
                                   {"launching", "launching", &sim::Breakdown::host}};

// Lists too are values here.
void Flatten(const Json& json, const std::string& path, std::map<std::string, std::string>& leaves) {
  if (!json.is_object()) {
    leaves[path] = json.is_string() ? json.get<std::string>() : json.dump();
    return;
  }
  for (const auto& [key, value] : json.items()) Flatten(value, path.empty() ? key : path + "." + key, leaves);
}

std::map<std::string, std::string> DecisionsOf(const ir::Plan& plan) {
  std::map<std::string, std::string> leaves;
  for (const char* section : {"model", "cluster", "workload", "software", "strategy"}) Flatten(ToJson(plan)[section], section, leaves);
  return leaves;
}

std::string Relative(double first, double second) {
  return first == second ? "=" : first == 0 ? "" : fmt::format("{:+.1f} %", 100 * (second / first - 1));
}

std::string Line(const std::string& what, const std::string& first, const std::string& second, const std::string& relative) {
  return fmt::format("{:<24} {:>14} {:>14} {:>10}\n", what, first, second, relative);
}

}  // namespace

std::string WhyLost(const Prediction& best, const Prediction& other) {
  const auto extra = [&](const TimePart& part) { return other.breakdown.*part.time - best.breakdown.*part.time; };
  const auto [least, most] = std::minmax_element(std::begin(kTimeParts), std::end(kTimeParts),
                                                 [&](const TimePart& a, const TimePart& b) { return extra(a) < extra(b); });
  const double slower = other.step_time.seconds() / best.step_time.seconds() - 1;
  std::string text = fmt::format("{:+.1f} %: {} more {}", 100 * slower, FormatDuration(extra(*most)), most->what);
  // What is told is the larger part of what there is to tell.
  constexpr double kSavingTold = 0.2;
  if (-extra(*least).seconds() > kSavingTold * extra(*most).seconds())
    text += fmt::format(", {} less {}", FormatDuration(Duration() - extra(*least)), least->what);
  return text + (IsTie(best, other) ? " (a tie)" : "");
}

std::vector<Decision> DifferentDecisions(const ir::Plan& first, const ir::Plan& second) {
  const std::map<std::string, std::string> a = DecisionsOf(first), b = DecisionsOf(second);
  std::map<std::string, std::pair<std::string, std::string>> all;
  for (const auto& [key, value] : a) all[key] = {value, "-"};
  for (const auto& [key, value] : b) all.try_emplace(key, "-", "").first->second.second = value;
  std::vector<Decision> decisions;
  for (const auto& [key, values] : all) {
    if (values.first != values.second) decisions.push_back({key, values.first, values.second});
  }
  return decisions;
}

namespace {

// Steps of other sizes are no rivals, nor is a plan that cannot run.
bool AreTiedRivals(const Prediction& first, const Prediction& second, Compared compared) {
  const auto tokens = [](const Prediction& of) { return of.tokens_per_second_per_device * of.step_time.seconds(); };
  return first.fits && second.fits && std::abs(tokens(first) / tokens(second) - 1) <= 1e-6 && IsTie(first, second, compared);
}

std::string TieText(const Prediction& first, const Prediction& second, Compared compared) {
  if (!AreTiedRivals(first, second, compared)) return "";
  return fmt::format("a tie: the two differ by less than HELM's predictions {} (docs/validation.md, bands)\n",
                     compared == Compared::kSameMachine ? "of two strategies of one run do" : "do");
}

}  // namespace

std::string SideBySide(const NamedPrediction& first, const NamedPrediction& second, Compared compared) {
  const Prediction &a = first.prediction, &b = second.prediction;
  const auto seconds = [](Duration duration) { return duration.seconds(); };
  std::string text = Line("", first.name, second.name, "relative");
  text += Line("step time", FormatDuration(a.step_time), FormatDuration(b.step_time), Relative(seconds(a.step_time), seconds(b.step_time)));
  text +=
      Line("tokens/s per device", fmt::format("{:.0f}", a.tokens_per_second_per_device),
           fmt::format("{:.0f}", b.tokens_per_second_per_device), Relative(a.tokens_per_second_per_device, b.tokens_per_second_per_device));
  text += Line("peak memory", FormatBytes(a.memory_bytes_peak), FormatBytes(b.memory_bytes_peak),
               Relative(static_cast<double>(a.memory_bytes_peak.count()), static_cast<double>(b.memory_bytes_peak.count())));
  text += Line("  of", FormatBytes(a.memory_bytes_capacity), FormatBytes(b.memory_bytes_capacity), "");
  for (const TimePart& part : kTimeParts) {
    const Duration x = a.breakdown.*part.time, y = b.breakdown.*part.time;
    text += Line(part.name, FormatDuration(x), FormatDuration(y), Relative(seconds(x), seconds(y)));
  }
  for (const NamedPrediction* named : {&first, &second}) {
    if (!named->prediction.fits) text += fmt::format("{} DOES NOT FIT\n", named->name);
  }
  return text + TieText(a, b, compared);
}

Json DifferenceJson(const PredictedPlan& first, const PredictedPlan& second, Compared compared) {
  const auto value = [](const std::string& text) { return text == "-" ? Json() : Json(text); };
  Json json = {{"schema_version", 1}, {"decisions", Json::array()}};
  for (const Decision& decision : DifferentDecisions(first.plan, second.plan)) {
    json["decisions"].push_back({{"key", decision.key}, {"first", value(decision.first)}, {"second", value(decision.second)}});
  }
  const auto side = [](const PredictedPlan& of) {
    return Json{{"strategy", ToJson(of.plan.strategy)}, {"prediction", ToJson(of.prediction)}};
  };
  json["first"] = side(first);
  json["second"] = side(second);
  json["tie"] = AreTiedRivals(first.prediction, second.prediction, compared);
  return json;
}

}  // namespace helm::planner
