#include "tools/import_measurements.h"

#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "cluster/cluster_reader.h"
#include "cluster/device_groups.h"
#include "core/counted.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/preset.h"
#include "core/stamp.h"
#include "cost/chain.h"
#include "cost/cost_table.h"
#include "formats/foreign_file.h"
#include "formats/kineto_trace.h"
#include "formats/nccl_inspector.h"
#include "formats/nccl_tests.h"
#include "formats/nccl_topology.h"
#include "formats/topology_matrix.h"
#include "importer/cluster_facts.h"
#include "importer/imported_rows.h"
#include "importer/inspector_rows.h"
#include "importer/kineto_rows.h"
#include "importer/nccl_tests_rows.h"
#include "tools/outputs.h"
#include "tools/terminal.h"

namespace helm::tools {
namespace {

using formats::ForeignFormat;
using importer::ImportedRows;
using importer::ImportHints;

const std::vector<std::string> kCollectives = {"all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "send"};
const std::vector<std::string> kDtypes = {"f32", "bf16", "f16"};

// The files of one import. Those of several ranks of one run are read together.
class Importer {
 public:
  explicit Importer(ImportHints hints) : hints_(std::move(hints)) {}

  Status Read(const std::string& path, const std::string& content) {
    const auto format = formats::ForeignFormatOf(content);
    if (!format) {
      return InvalidError(
          fmt::format("{}: error: this is no file that helm-profile --import knows\n  known: {}", path, formats::ForeignFormatsKnown()));
    }
    switch (*format) {
      case ForeignFormat::kNcclTestsText:
        return AddNcclTests(formats::ParseNcclTestsText(content, path), path);
      case ForeignFormat::kNcclTestsJson:
        return AddNcclTests(formats::ParseNcclTestsJson(content, path), path);
      case ForeignFormat::kNcclInspector:
        return Keep(formats::ParseInspectorDump(content, path), dumps_);
      case ForeignFormat::kKineto:
        return Keep(formats::ParseKinetoTrace(content, path), traces_);
      case ForeignFormat::kNsightSystems:
        return InvalidError(
            fmt::format("{}: error: an export of Nsight Systems tells neither shapes nor message sizes, so it gives no rows\n"
                        "  fix: compare it as a timeline with helm-compare",
                        path));
      case ForeignFormat::kNcclTopology:
      case ForeignFormat::kTopologyMatrix:
        return InvalidError(fmt::format("{}: error: a topology gives a cluster file, not rows of a table\n  fix: import it alone", path));
    }
    return InternalError("a format without a reader");
  }

  Result<ImportedRows> Rows() {
    if (!dumps_.empty()) HELM_RETURN_IF_ERROR(AddRows(importer::RowsOf(dumps_, hints_)));
    if (!traces_.empty()) HELM_RETURN_IF_ERROR(AddRows(importer::RowsOf(traces_, hints_)));
    return std::move(rows_);
  }

 private:
  template <typename Item>
  static Status Keep(Result<Item> item, std::vector<Item>& items) {
    if (!item.ok()) return item.status();
    items.push_back(std::move(item).value());
    return OkStatus();
  }
  Status AddNcclTests(const Result<formats::NcclTestsFile>& measured, const std::string& path) {
    if (!measured.ok()) return measured.status();
    return AddRows(importer::RowsOf(*measured, hints_, path));
  }
  Status AddRows(const Result<ImportedRows>& rows) {
    if (!rows.ok()) return rows.status();
    return importer::Add(rows_, *rows);
  }

  ImportHints hints_;
  ImportedRows rows_;
  std::vector<formats::InspectorDump> dumps_;
  std::vector<formats::KinetoTrace> traces_;
};

Result<std::optional<cluster::Device>> ReadGpu(const std::string& preset) {
  if (preset.empty()) return std::optional<cluster::Device>();
  const YamlValue name{.kind = YamlKind::kScalar, .text = preset, .where = {std::make_shared<const SourceText>("--gpu", preset), 1, 1}};
  Diagnostics diagnostics;
  const cluster::ClusterContext context{MakePresetPath(std::getenv("HELM_CONFIG_DIR"), ExecutableFolder()), ".", {}};
  auto device = cluster::ReadDevice(name, context, diagnostics);
  if (!device) return diagnostics.ToStatus();
  return device;
}

// The preset of the GPU that the driver calls so; the name itself where there is none.
std::string PresetOf(const std::string& driver_name) {
  const PresetPath presets = MakePresetPath(std::getenv("HELM_CONFIG_DIR"), ExecutableFolder());
  for (const std::string& preset : PresetNames(presets, "gpus")) {
    const auto device = ReadGpu(preset);  // a broken preset is reported where it is named
    if (device.ok() && *device && (*device)->driver_name == driver_name) return preset;
  }
  return driver_name;
}

// What the table is of: the configuration's cluster or --gpu names it, else the files do.
Result<cost::DeviceKey> DeviceOf(const ImportedRows& rows, std::optional<cost::DeviceKey> given) {
  if (given && given->kind == "cpu") {
    return InvalidError("error: the configuration's cluster is a CPU, and what can be imported was measured on GPUs");
  }
  if (!given && !rows.device.empty()) given = cost::DeviceKey{.kind = "cuda", .name = PresetOf(rows.device)};
  if (given) {
    if (!rows.device.empty() && rows.device != given->name) {
      PrintNote(fmt::format("note: the files call the device '{}'; the table calls it '{}'", rows.device, given->name));
    }
    return *given;
  }
  if (rows.device.empty()) {
    return InvalidError(
        "error: these files do not name the device\n  fix: name it with --gpu, or give a run configuration, whose cluster does");
  }
  return cost::DeviceKey{.kind = "cuda", .name = rows.device};
}

Result<cost::CostTable> TableToExtend(const std::string& path, const cost::DeviceKey& device) {
  cost::CostTable table;
  table.device = device;
  if (!FileExists(path)) return table;
  HELM_ASSIGN_OR_RETURN(table, cost::ReadCostTable(path));
  if (!cost::SameDevice(table.device, device)) {
    return InvalidError(fmt::format("{}: error: this table is of another device: {}\n  these files are of: {}\n  fix: choose another --out",
                                    path, cost::ToText(table.device), cost::ToText(device)));
  }
  return table;
}

void PrintNotes(const ImportedRows& rows) {
  for (const std::string& remark : rows.remarks) PrintNote("note: " + remark);
  for (const std::string& line : rows.omissions.Lines()) PrintNote("note: " + line);
}

Status WriteTable(const ImportedRows& rows, const cost::DeviceKey& device, const std::map<std::string, std::string>& hashes,
                  const std::string& out) {
  cost::CostTable imported;
  imported.device = device;
  imported.ops = importer::MeasurementsOf(rows.ops);
  imported.collectives = importer::MeasurementsOf(rows.collectives);
  HELM_ASSIGN_OR_RETURN(cost::CostTable table, TableToExtend(out, device));
  const size_t rows_before = table.ops.size() + table.collectives.size();
  HELM_RETURN_IF_ERROR(cost::Merge(table, imported));
  table.stamp = MakeStamp({.hashes = hashes});
  HELM_RETURN_IF_ERROR(cost::ExtendCostTable(table, out));
  const size_t count = table.ops.size() + table.collectives.size();
  PrintResult(fmt::format("{}: {}, {} of them new; {}\n", out, Counted(static_cast<int64_t>(count), "row"), count - rows_before,
                          cost::ToText(device)));
  return OkStatus();
}

Status PrintClusterFile(const Result<importer::ClusterFacts>& facts, const std::string& path) {
  if (!facts.ok()) return facts.status();
  for (const std::string& remark : facts->remarks) PrintNote(fmt::format("note: {}", remark));
  for (const std::string& line : facts->omissions.Lines()) PrintNote("note: " + line);
  PrintResult(importer::ClusterFileOf(*facts, path));
  return OkStatus();
}

Result<importer::ClusterFacts> FactsOf(ForeignFormat format, const std::string& content, const std::string& path,
                                       const std::optional<cluster::Device>& gpu) {
  if (format == ForeignFormat::kTopologyMatrix) {
    HELM_ASSIGN_OR_RETURN(const auto matrix, formats::ParseTopologyMatrix(content, path));
    return importer::FactsOf(matrix, gpu);
  }
  HELM_ASSIGN_OR_RETURN(const auto topology, formats::ParseNcclTopology(content, path));
  HELM_ASSIGN_OR_RETURN(importer::ClusterFacts facts, importer::FactsOf(topology, path));
  if (gpu) facts.gpu = gpu->name;
  return facts;
}

}  // namespace

void AddImportOptions(CLI::App& app, ImportArguments& arguments) {
  app.add_option(
      "--import", arguments.files,
      "measure nothing: take rows from a file of nccl-tests, the NCCL Inspector or torch.profiler, or print the cluster file of a topology "
      "(NCCL's XML, nvidia-smi topo -m); may be repeated");
  app.add_option("--gpu", arguments.gpu, "with --import: the preset of the GPU, where the file does not say it or calls it otherwise");
  app.add_option("--collective", arguments.collective, "with --import: what was measured, where the file does not say it")
      ->check(CLI::IsMember(kCollectives));
  app.add_option("--dtype", arguments.dtype, "with --import: the element type of messages, where the file does not say it")
      ->check(CLI::IsMember(kDtypes));
}

Status ImportMeasurements(const ImportArguments& arguments, const ConfigArguments& config, const std::string& out) {
  HELM_ASSIGN_OR_RETURN(const auto gpu, ReadGpu(arguments.gpu));
  ImportHints hints{.collective = arguments.collective};
  if (!arguments.dtype.empty()) hints.dtype = ir::DataTypeFromName(arguments.dtype);
  std::optional<cost::DeviceKey> device_given;
  if (gpu) device_given = cost::DeviceKey{.kind = "cuda", .name = gpu->name};
  if (!config.path.empty()) {
    HELM_ASSIGN_OR_RETURN(const auto run, ReadConfig(config));
    HELM_RETURN_IF_ERROR(cluster::RefuseGroups(run.cluster, "helm-profile --import", "name the GPU that was measured with --gpu"));
    if (!gpu) device_given = cost::DeviceKeyOf(run.cluster);
    hints.devices_per_node = run.cluster.devices_per_node;
  }
  Importer importer(hints);
  std::map<std::string, std::string> hashes;
  for (const std::string& path : arguments.files) {
    HELM_ASSIGN_OR_RETURN(const std::string content, ReadFile(path));
    const auto format = formats::ForeignFormatOf(content);
    const bool topology = format == ForeignFormat::kNcclTopology || format == ForeignFormat::kTopologyMatrix;
    if (topology && arguments.files.size() == 1) return PrintClusterFile(FactsOf(*format, content, path, gpu), path);
    HELM_RETURN_IF_ERROR(importer.Read(path, content));
    hashes[path] = Hex16(Hash64(content));
  }
  HELM_ASSIGN_OR_RETURN(const ImportedRows rows, importer.Rows());
  PrintNotes(rows);
  if (rows.ops.empty() && rows.collectives.empty()) {
    return InvalidError(fmt::format("{}: error: nothing in {} can become a row of a cost table", arguments.files.front(),
                                    arguments.files.size() == 1 ? "this file" : "these files"));
  }
  HELM_ASSIGN_OR_RETURN(const cost::DeviceKey device, DeviceOf(rows, device_given));
  HELM_RETURN_IF_ERROR(CheckOutputs({out}, arguments.files));
  return WriteTable(rows, device, hashes, out);
}

}  // namespace helm::tools
