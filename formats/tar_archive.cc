#include "formats/tar_archive.h"

#include <fmt/format.h>

#include <numeric>

namespace helm::formats {
namespace {

constexpr size_t kBlock = 512;
constexpr size_t kNameBytes = 100;
constexpr size_t kSizeLimit = size_t{1} << 33;  // eleven octal digits

void Put(std::string& header, size_t offset, const std::string& text) { header.replace(offset, text.size(), text); }

// Offsets and widths of the fields: POSIX.1-2001, pax, table "ustar Header Block".
std::string HeaderOf(const TarMember& member) {
  std::string header(kBlock, '\0');
  Put(header, 0, member.name);
  Put(header, 100, "0000644");
  Put(header, 108, "0000000");
  Put(header, 116, "0000000");
  Put(header, 124, fmt::format("{:011o}", member.content.size()));
  Put(header, 136, "00000000000");
  Put(header, 148, "        ");  // the checksum counts itself as blanks
  Put(header, 156, "0");
  Put(header, 257, "ustar");
  Put(header, 263, "00");
  const unsigned sum =
      std::accumulate(header.begin(), header.end(), 0U, [](unsigned total, char c) { return total + static_cast<uint8_t>(c); });
  Put(header, 148, fmt::format("{:06o}", sum) + std::string(1, '\0') + ' ');
  return header;
}

}  // namespace

Result<std::string> ToTar(const std::vector<TarMember>& members) {
  std::string archive;
  for (const TarMember& member : members) {
    if (member.name.empty() || member.name.size() > kNameBytes || member.content.size() >= kSizeLimit) {
      return InvalidError(fmt::format("error: a tar archive cannot hold '{}' of {} bytes: names have 1 to {} bytes, contents less than {}",
                                      member.name, member.content.size(), kNameBytes, kSizeLimit));
    }
    archive += HeaderOf(member) + member.content;
    archive.resize((archive.size() + kBlock - 1) / kBlock * kBlock, '\0');
  }
  return archive + std::string(2 * kBlock, '\0');
}

}  // namespace helm::formats
