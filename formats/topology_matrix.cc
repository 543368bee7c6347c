#include "formats/topology_matrix.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "formats/words.h"

namespace helm::formats {
namespace {

constexpr std::array<std::string_view, 7> kCells = {"X", "PIX", "PXB", "PHB", "NODE", "SYS", "N/A"};
constexpr int64_t kLinksMost = 1000;

// Without the escape sequences of a terminal ("\x1b[4m" underlines).
std::string WithoutEscapes(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\x1b') {
      plain += text[i];
      continue;
    }
    while (i + 1 < text.size() && text[i] != 'm') ++i;
  }
  return plain;
}

std::optional<int64_t> NumberBehind(std::string_view text, std::string_view prefix) {
  return text.starts_with(prefix) ? ParseInt64(text.substr(prefix.size())) : std::nullopt;
}

class MatrixReader {
 public:
  MatrixReader(std::string_view text, const std::string& file) : text_(WithoutEscapes(text)), file_(file) {}

  Result<TopologyMatrix> Read() {
    for (const std::string& line : Split(text_, '\n')) {
      ++line_;
      const std::vector<std::string_view> words = Words(line);
      if (words.empty()) continue;
      if (matrix_.names.empty()) {
        ReadHeading(words);
      } else if (matrix_.cells.size() < matrix_.names.size()) {
        HELM_RETURN_IF_ERROR(ReadRow(words));
      } else {
        ReadNicLegend(words);
      }
    }
    if (matrix_.names.empty()) {
      return InvalidError(fmt::format("{}: error: the matrix of nvidia-smi topo -m is not in this file: no heading `GPU0 ...`", file_));
    }
    if (matrix_.cells.size() < matrix_.names.size()) {
      return InvalidError(
          fmt::format("{}: error: the matrix has {} columns and only {} rows", file_, matrix_.names.size(), matrix_.cells.size()));
    }
    return std::move(matrix_);
  }

 private:
  // The names end where "CPU Affinity" begins.
  void ReadHeading(const std::vector<std::string_view>& words) {
    if (words[0] != "GPU0") return;
    matrix_.names.assign(words.begin(), std::ranges::find(words, "CPU"));
  }

  Status ReadRow(const std::vector<std::string_view>& words) {
    const std::string& name = matrix_.names[matrix_.cells.size()];
    if (words[0] != name) {
      return InvalidError(fmt::format("{}:{}: error: expected the row of {}, found '{}'", file_, line_, name, words[0]));
    }
    if (words.size() < matrix_.names.size() + 1) {
      return InvalidError(fmt::format("{}:{}: error: the row of {} has {} cells; there are {} columns", file_, line_, name,
                                      words.size() - 1, matrix_.names.size()));
    }
    std::vector<std::string> row(words.begin() + 1, words.begin() + 1 + std::ssize(matrix_.names));
    for (const std::string& cell : row) {
      if (NvLinksOf(cell) > 0 || std::ranges::find(kCells, cell) != kCells.end()) continue;
      return InvalidError(
          fmt::format("{}:{}: error: '{}' is no cell of this matrix\n  allowed: {}, NV#", file_, line_, cell, fmt::join(kCells, ", ")));
    }
    matrix_.cells.push_back(std::move(row));
    return OkStatus();
  }

  // "NIC0: mlx5_0"
  void ReadNicLegend(const std::vector<std::string_view>& words) {
    if (words.size() == 2 && words[0].starts_with("NIC") && words[0].ends_with(':')) matrix_.nic_names.emplace_back(words[1]);
  }

  std::string text_;
  const std::string& file_;
  int64_t line_ = 0;
  TopologyMatrix matrix_;
};

}  // namespace

bool IsGpu(std::string_view name) { return NumberBehind(name, "GPU").has_value(); }

int64_t NvLinksOf(std::string_view cell) {
  const auto count = NumberBehind(cell, "NV");
  return count && *count > 0 && *count <= kLinksMost ? *count : 0;
}

Result<TopologyMatrix> ParseTopologyMatrix(std::string_view text, const std::string& file) { return MatrixReader(text, file).Read(); }

}  // namespace helm::formats
