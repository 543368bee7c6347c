#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "report/compare.h"
#include "report/html_assets.h"
#include "report/page_data.h"

namespace helm::report {
namespace {

using nlohmann::ordered_json;

// JSON that can stand in a <script> element: no '<' can end it and no '&' can be taken for an entity. Such characters occur only inside
// strings.
std::string EscapedForScript(const ordered_json& data) {
  const std::string json = data.dump(-1, ' ', /*ensure_ascii=*/true, ordered_json::error_handler_t::replace);
  std::string escaped;
  escaped.reserve(json.size());
  for (char c : json) {
    if (c == '<' || c == '>' || c == '&')
      escaped += fmt::format("\\u{:04x}", static_cast<int>(c));
    else
      escaped += c;
  }
  return escaped;
}

std::string EscapedForText(const std::string& text) {
  std::string escaped;
  for (char c : text) {
    if (c == '<')
      escaped += "&lt;";
    else if (c == '>')
      escaped += "&gt;";
    else if (c == '&')
      escaped += "&amp;";
    else
      escaped += c;
  }
  return escaped;
}

}  // namespace

std::string RenderHtml(const Comparison& comparison, const ir::Timeline& predicted, const ir::Timeline& measured,
                       const HtmlOptions& options) {
  const std::pair<std::string_view, std::string> parts[] = {
      {"@HELM_TITLE@",
       EscapedForText(fmt::format("HELM: {} against {}", comparison.sides.predicted.title, comparison.sides.measured.title))},
      {"@HELM_STYLE@", std::string(HtmlStyle())},
      {"@HELM_DATA@", EscapedForScript(PageData(comparison, predicted, measured, options))},
      {"@HELM_SCRIPT@", std::string(HtmlScript())},
  };
  // In the order of the template, so that a mark inside an inserted part is not taken for one of the template.
  std::string page;
  std::string_view rest = HtmlTemplate();
  for (const auto& [mark, text] : parts) {
    const size_t at = rest.find(mark);
    HELM_CHECK(at != std::string_view::npos, "the template lacks a mark, or has them in another order");
    page += rest.substr(0, at);
    page += text;
    rest.remove_prefix(at + mark.size());
  }
  page += rest;
  return page;
}

}  // namespace helm::report
