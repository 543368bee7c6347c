// Does the sum of ops measured alone (OpBench) equal the step that the interpreter runs? Lowers a Llama-shaped model for one rank, runs
// steps, measures every distinct op of the program alone, and prints both by operator.
//
//   op_fidelity_bench [--processes 2] [--hidden 384] [--layers 6] [--batch 4] [--sequence 256] [--vocabulary 8192] [--dtype f32|bf16]
//                     [--steps 7] [--samples 15] [--rows 30] [--quantile 50]
//
// --quantile (percent, of the times of each op) below the median makes the comparison stand on a machine that others use.
// With --processes N, N processes do the same at the same time with one thread each, as the ranks of a machine do; rank 0 prints.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "ir/signature.h"
#include "model/lower.h"
#include "runtime/interpreter.h"
#include "runtime/measure.h"
#include "runtime/scheduling.h"

namespace helm {
namespace {

struct Settings {
  int64_t processes = 1, quantile = 50, hidden = 384, layers = 6, batch = 4, sequence = 256, vocabulary = 8192, steps = 7, samples = 15,
          rows = 30;
  std::string dtype = "f32";
};

ir::Program MakeProgram(const Settings& settings) {
  model::ModelSpec model;
  model.name = "bench";
  model.layers = settings.layers;
  model.hidden = settings.hidden;
  model.ffn = settings.hidden * 8 / 3 / 64 * 64;
  model.heads = model.kv_heads = settings.hidden / 64;
  model.head_dim = 64;
  model.vocab = settings.vocabulary;
  model.max_positions = settings.sequence;
  ir::Workload workload;
  workload.global_batch = settings.batch;
  workload.sequence_length = settings.sequence;
  workload.dtype = *ir::DataTypeFromName(settings.dtype);
  ir::Strategy strategy;
  strategy.micro_batch = settings.batch;
  std::printf("%.1f M parameters\n", static_cast<double>(model::ParameterCount(model)) * 1e-6);
  return model::Lower(model, workload, {.framework = "helm"}, strategy, ir::DeviceKind::kCpu).value();
}

double Quantile(std::vector<double> values, int64_t percent) {
  std::sort(values.begin(), values.end());
  return values[(values.size() - 1) * static_cast<size_t>(percent) / 100];
}

// Parameters small and random, tokens below the vocabulary, so that no value is special.
void Fill(const ir::Program& program, runtime::Interpreter& interpreter, int64_t vocabulary) {
  std::mt19937_64 random(1);
  for (const ir::ParameterSegment& segment : program.segments) {
    for (const ir::StorageId id : {segment.parameter, segment.master}) {
      std::vector<std::byte> bytes(static_cast<size_t>(program.storage(id).bytes.count()));
      std::normal_distribution<float> normal(0, 0.02F);
      const bool wide = static_cast<int64_t>(bytes.size()) == segment.elements * 4;
      for (int64_t i = 0; i < segment.elements; ++i) {
        const float value = normal(random);
        const auto* raw = reinterpret_cast<const std::byte*>(&value);
        if (wide)
          std::memcpy(bytes.data() + i * 4, raw, 4);
        else
          std::memcpy(bytes.data() + i * 2, raw + 2, 2);
      }
      (void)interpreter.WriteStorage(id, bytes).ok();
    }
  }
  for (const auto& [name, id] : program.inputs) {
    const ir::Tensor& tensor = program.tensor(id);
    if (tensor.dtype != ir::DataType::kInt64) continue;
    std::vector<int64_t> values(static_cast<size_t>(ir::ElementCount(tensor.shape)));
    for (int64_t& value : values) value = static_cast<int64_t>(random() % static_cast<uint64_t>(vocabulary));
    (void)interpreter.WriteInput(name, std::as_bytes(std::span(values))).ok();
  }
}

int64_t PageFaults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

struct Row {
  std::string key;
  int count = 0;
  double in_step = 0;  // ms
  double alone = 0;
};

void Print(std::vector<Row> rows, double step, double per_op_us, size_t ops, int64_t limit) {
  double in_step = 0;
  double alone = 0;
  for (const Row& row : rows) {
    in_step += row.in_step;
    alone += row.alone;
  }
  std::sort(rows.begin(), rows.end(),
            [](const Row& a, const Row& b) { return std::abs(a.in_step - a.alone) > std::abs(b.in_step - b.alone); });
  std::printf("%9s %9s %9s %6s %5s\n", "in step", "alone", "diff ms", "%", "ops");
  for (size_t i = 0; i < rows.size() && i < static_cast<size_t>(limit); ++i) {
    const Row& row = rows[i];
    std::printf("%9.3f %9.3f %9.3f %+5.0f%% %5d %s\n", row.in_step, row.alone, row.alone - row.in_step, (row.alone / row.in_step - 1) * 100,
                row.count, row.key.substr(0, 130).c_str());
  }
  const double overhead = per_op_us * 1e-3 * static_cast<double>(ops);
  std::printf("step %.2f ms; ops in step %.2f; ops alone %.2f; interpreter %.2f (%.2f us an op)\n", step, in_step, alone, overhead,
              per_op_us);
  std::printf("predicted %.2f ms: %+.1f %%\n", alone + overhead, ((alone + overhead) / step - 1) * 100);
}

void Run(const Settings& settings, bool print) {
  runtime::SetThreadsPerRank(1);
  const ir::Program program = MakeProgram(settings);
  auto created = runtime::Interpreter::Create(program, nullptr, 0, {});
  if (!created.ok()) {
    std::printf("%s\n", created.status().message().c_str());
    return;
  }
  std::unique_ptr<runtime::Interpreter> interpreter = std::move(created).value();
  Fill(program, *interpreter, settings.vocabulary);
  std::vector<double> steps;
  std::vector<std::vector<double>> times(program.ops.size());
  int64_t faults = 0;
  for (int64_t step = 0; step < settings.steps + 2; ++step) {
    if (step == 2) faults = PageFaults();
    const Result<runtime::StepRecord> record = interpreter->RunStep();
    if (!record.ok()) {
      std::printf("%s\n", record.status().message().c_str());
      return;
    }
    if (step < 2) continue;
    steps.push_back(record->makespan.milliseconds());
    for (size_t i = 0; i < times.size(); ++i) times[i].push_back((record->ops[i].end - record->ops[i].start).milliseconds());
  }
  faults = PageFaults() - faults;
  interpreter.reset();

  std::map<std::string, Row> rows;
  std::map<std::string, ir::OpSignature> signatures;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const ir::Op& op = program.ops[i];
    if (op.kind != ir::OpKind::kCompute && op.kind != ir::OpKind::kView) continue;
    const ir::OpSignature signature = ir::SignatureOf(program, op);
    Row& row = rows[ir::ToText(signature)];
    signatures[ir::ToText(signature)] = signature;
    ++row.count;
    row.in_step += Quantile(times[i], settings.quantile);
  }
  const auto start = std::chrono::steady_clock::now();
  for (auto& [key, row] : rows) {
    row.key = key;
    auto bench = runtime::OpBench::Create(signatures[key], ir::DeviceKind::kCpu);
    if (!bench.ok()) {
      std::printf("%s\n", bench.status().message().c_str());
      return;
    }
    std::vector<double> samples;
    for (int64_t i = 0; i < settings.samples + 2; ++i) {
      const Result<runtime::OpSample> sample = (*bench)->RunOnce();
      if (!sample.ok()) {
        std::printf("%s\n", sample.status().message().c_str());
        return;
      }
      if (i >= 2) samples.push_back(sample->duration.milliseconds());
    }
    row.alone = Quantile(samples, settings.quantile) * row.count;
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double per_op = runtime::MeasureInterpreter(ir::DeviceKind::kCpu).value().per_op.microseconds();
  if (!print) return;
  std::vector<Row> list;
  for (const auto& [key, row] : rows) list.push_back(row);
  Print(list, Quantile(steps, settings.quantile), per_op, program.ops.size(), settings.rows);
  std::printf("%zu distinct ops measured in %.1f s; steps from %.2f to %.2f ms, %.1f page faults a step\n", rows.size(), seconds,
              *std::min_element(steps.begin(), steps.end()), *std::max_element(steps.begin(), steps.end()),
              static_cast<double>(faults) / static_cast<double>(settings.steps));
}

int Main(int argc, char** argv) {
  Settings settings;
  const std::map<std::string, int64_t*> numbers = {{"--processes", &settings.processes}, {"--hidden", &settings.hidden},
                                                   {"--layers", &settings.layers},       {"--batch", &settings.batch},
                                                   {"--sequence", &settings.sequence},   {"--vocabulary", &settings.vocabulary},
                                                   {"--steps", &settings.steps},         {"--samples", &settings.samples},
                                                   {"--rows", &settings.rows},           {"--quantile", &settings.quantile}};
  for (int i = 1; i + 1 < argc; i += 2) {
    if (const auto found = numbers.find(argv[i]); found != numbers.end())
      *found->second = std::stoll(argv[i + 1]);
    else if (std::string(argv[i]) == "--dtype")
      settings.dtype = argv[i + 1];
    else
      return std::printf("unknown option %s\n", argv[i]), 2;
  }
  for (int64_t other = 1; other < settings.processes; ++other) {
    if (fork() == 0) {
      if (std::freopen("/dev/null", "w", stdout) == nullptr) _exit(1);
      runtime::BindToCores(other, settings.processes, 1);
      Run(settings, false);
      _exit(0);
    }
  }
  if (settings.processes > 1) runtime::BindToCores(0, settings.processes, 1);
  Run(settings, true);
  while (wait(nullptr) > 0) {
  }
  return 0;
}

}  // namespace
}  // namespace helm

int main(int argc, char** argv) { return helm::Main(argc, argv); }
