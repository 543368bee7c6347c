// Opens a page in a headless chromium and returns what became of it: a test of what people will see.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <regex>
#include <string>

namespace helm::test {

struct BrowserOptions {
  bool dark = false;
  std::string address;  // after '#'
  int width = 1400;     // of the window
  int height = 1600;
  std::string script;  // run on the page after its own
};

// The attributes data-* of the root element after the page has run; nothing, and a test failure, when there is no chromium or it fails.
inline std::map<std::string, std::string> PageState(const std::string& html, const BrowserOptions& options = {}) {
  namespace fs = std::filesystem;
  std::string folder = (fs::temp_directory_path() / "helm_browser_XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) {
    ADD_FAILURE() << "cannot make a temporary folder";
    return {};
  }
  std::string page = html;
  if (!options.script.empty()) page.insert(page.rfind("</body>"), "<script>" + options.script + "</script>");
  std::ofstream(folder + "/page.html") << page;
  const std::string command =
      "timeout 300 chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir=" + folder +
      "/profile --window-size=" + std::to_string(options.width) + "," + std::to_string(options.height) +
      " --virtual-time-budget=20000 --blink-settings=preferredColorScheme=" + (options.dark ? "0" : "1") + " --dump-dom 'file://" + folder +
      "/page.html" + (options.address.empty() ? "" : "#" + options.address) + "' 2>" + folder + "/log";
  std::string dom;
  std::FILE* pipe = popen(command.c_str(), "r");
  std::array<char, 65536> buffer{};
  while (const size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe)) dom.append(buffer.data(), count);
  const int status = pclose(pipe);
  EXPECT_EQ(status, 0) << "chromium failed (Debian package chromium, which scripts/setup installs)";
  std::error_code ignored;
  fs::remove_all(folder, ignored);

  std::map<std::string, std::string> state;
  const size_t root = dom.find("<html");
  const std::string tag = root == std::string::npos ? "" : dom.substr(root, dom.find('>', root) - root);
  const std::regex attribute("data-([a-z-]+)=\"([^\"]*)\"");
  for (std::sregex_iterator match(tag.begin(), tag.end(), attribute), end; match != end; ++match) state[(*match)[1]] = (*match)[2];
  return state;
}

}  // namespace helm::test
