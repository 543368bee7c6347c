// KinetoTrace: the JSON that torch.profiler (its library Kineto) writes of one process: operators on the CPU, the launches in them, the
// kernels on the GPU. Reading only; a value that says what the file says. importer/ makes a timeline or rows of a cost table of it.
//
// Events are joined by numbers: a kernel's `correlation` is that of the launch that made it, its `External id` that of the operator that
// launched it. Times are whole nanoseconds from the earliest event (the file's are microseconds with three decimals, from any origin).
// Source of the form: https://github.com/pytorch/kineto, libkineto/src/output_json.cpp and include/MetadataFieldCatalog.h (schemaVersion
// 1).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "formats/omissions.h"

namespace helm::formats {

// One argument of an operator, with record_shapes: a tensor (type "float", "c10::BFloat16", ...), or a scalar as text.
struct KinetoOperand {
  std::string type;  // "Scalar", "ScalarList", "TensorList", ...; empty: not recorded
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
  std::string value;  // of a scalar or a list of them: "1", "[32, 128]", "False"
  bool operator==(const KinetoOperand&) const = default;
};

// What c10d tells of a collective; in the kernel's arguments and in those of the operator `record_param_comms`.
struct KinetoCollective {
  std::string name;         // "allreduce", "_allgather_base", ...
  std::string dtype;        // "BFloat16", ...
  int64_t elements_in = 0;  // of this rank
  int64_t elements_out = 0;
  int64_t group_size = 0;
  int64_t sequence = -1;             // of the collective in its group; -1: not told
  std::string group_name;            // "0", "13"
  std::string group_description;     // "default_pg", "tp"
  std::vector<int64_t> group_ranks;  // empty: not told, or the list was cut short
  bool operator==(const KinetoCollective&) const = default;
};

struct KinetoEvent {
  enum class Kind : uint8_t {
    kOperator,    // cpu_op
    kAnnotation,  // user_annotation: record_function, ProfilerStep#N
    kLaunch,      // cuda_runtime, cuda_driver
    kKernel,
    kCopy,    // gpu_memcpy
    kFill,    // gpu_memset
    kMemory,  // [memory] of profile_memory: bytes allocated from then on
  };
  Kind kind = Kind::kOperator;
  int32_t name = 0;  // index into KinetoTrace::names
  int64_t thread = 0;
  int64_t start_ns = 0;
  int64_t duration_ns = 0;
  int64_t external_id = 0;  // 0: none
  int64_t correlation = 0;  // 0: none
  int64_t device = -1;      // of kernels, copies, fills and memory
  int64_t stream = -1;
  int32_t collective = -1;       // index into KinetoTrace::collectives
  int32_t operands = -1;         // index into KinetoTrace::operands
  int64_t bytes_allocated = -1;  // kMemory: in all, on the device
};

struct KinetoDevice {
  int64_t id = 0;
  std::string name;
  bool operator==(const KinetoDevice&) const = default;
};

struct KinetoTrace {
  std::vector<KinetoDevice> devices;  // of the machine
  std::optional<int64_t> rank;
  std::optional<int64_t> world_size;
  std::vector<std::string> names;
  std::vector<KinetoEvent> events;  // in the file's order
  std::vector<KinetoCollective> collectives;
  std::vector<std::vector<KinetoOperand>> operands;
  Omissions omissions;

  const std::string& NameOf(const KinetoEvent& event) const { return names[static_cast<size_t>(event.name)]; }
};

// `content` is JSON, or JSON packed by gzip. Fails on what is no JSON, with the place, and without `traceEvents`.
Result<KinetoTrace> ParseKinetoTrace(std::string_view content, const std::string& file);

}  // namespace helm::formats
