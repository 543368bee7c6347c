# Third-party libraries, all Debian packages by name (scripts/packages.txt). Each becomes one target helm::<name>, SYSTEM, so that a module
# says in LIBS or PRIVATE_LIBS which it uses.
find_package(Threads REQUIRED)

function(helm_header_only name probe)
  find_path(HELM_${name}_INCLUDE "${probe}" REQUIRED)
  add_library(helm_dep_${name} INTERFACE)
  target_include_directories(helm_dep_${name} SYSTEM INTERFACE "${HELM_${name}_INCLUDE}")
  add_library(helm::${name} ALIAS helm_dep_${name})
endfunction()

helm_header_only(fmt fmt/format.h)
target_compile_definitions(helm_dep_fmt INTERFACE FMT_HEADER_ONLY)  # torch's own fmt must never be linked against ours
helm_header_only(json nlohmann/json.hpp)
helm_header_only(boost boost/graph/adjacency_list.hpp)
helm_header_only(cli11 CLI/CLI.hpp)
helm_header_only(protozero protozero/pbf_writer.hpp)
find_path(HELM_eigen_INCLUDE Eigen/Core PATH_SUFFIXES eigen3 REQUIRED)
helm_header_only(eigen Eigen/Core)

function(helm_library name header library)
  helm_header_only(${name} "${header}")
  find_library(HELM_${name}_LIBRARY NAMES ${library} REQUIRED)
  target_link_libraries(helm_dep_${name} INTERFACE "${HELM_${name}_LIBRARY}" ${ARGN})
endfunction()

helm_library(yaml yaml-cpp/yaml.h yaml-cpp)
helm_library(simdjson simdjson.h simdjson)
helm_library(sqlite sqlite3.h sqlite3)
helm_library(zlib zlib.h z)
helm_library(pugixml pugixml.hpp pugixml)
