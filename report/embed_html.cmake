# cmake -D OUT=html_assets.cc -D FOLDER=report/html -P embed_html.cmake
#
# Turns the files of the HTML page into C++ string literals, so that helm-compare needs no file at run time. The scripts are put together in the
# order below: later ones use what earlier ones declare.
set(scripts model colours timeline memory summary attribution ranks table interact main)

set(delimiter "HELM_EMBEDDED")
function(embed name content)
  string(FIND "${content}" ")${delimiter}" found)
  if(NOT found EQUAL -1)
    message(FATAL_ERROR "${name} contains )${delimiter}, which ends the C++ string that it is embedded in")
  endif()
  file(APPEND "${OUT}.tmp" "std::string_view ${name}() { return R\"${delimiter}(${content})${delimiter}\"; }\n")
endfunction()

file(WRITE "${OUT}.tmp" "// Made by report/embed_html.cmake from report/html/.\n#include \"report/html_assets.h\"\n\nnamespace helm::report {\n")
file(READ "${FOLDER}/template.html" template)
file(READ "${FOLDER}/report.css" style)
set(script "")
foreach(name IN LISTS scripts)
  file(READ "${FOLDER}/${name}.js" part)
  string(APPEND script "${part}\n")
endforeach()
embed(HtmlTemplate "${template}")
embed(HtmlStyle "${style}")
embed(HtmlScript "${script}")
file(APPEND "${OUT}.tmp" "}  // namespace helm::report\n")
file(RENAME "${OUT}.tmp" "${OUT}")
