// The files of report/html/ as they were when HELM was built (report/embed_html.cmake).
#pragma once

#include <string_view>

namespace helm::report {

std::string_view HtmlTemplate();  // with the marks @HELM_TITLE@, @HELM_STYLE@, @HELM_SCRIPT@, @HELM_DATA@, each once
std::string_view HtmlStyle();
std::string_view HtmlScript();

}  // namespace helm::report
