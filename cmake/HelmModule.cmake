# helm_layer(ROW module...) reads the folders of one row; helm_module(...) in such a folder makes its library.
#
# A module finds the headers of the modules that it names and of no other: each has an include root of its own in the build folder, which
# holds one symbolic link, <root>/<module> -> its source folder. Since a module may name only modules of a lower row, that exist already, the
# graph is a DAG (CMake itself accepts cycles between static libraries in silence). What this cannot see, `../` and headers that come
# only through another module, scripts/check_includes.py does.

function(helm_layer row)
  foreach(module IN LISTS ARGN)
    set_property(GLOBAL PROPERTY HELM_ROW_${module} ${row})
    set_property(GLOBAL APPEND PROPERTY HELM_MODULES ${module})
    add_subdirectory(${module})
    if(NOT TARGET helm_${module})
      message(FATAL_ERROR "${module}/CMakeLists.txt does not call helm_module(NAME ${module} ...)")
    endif()
  endforeach()
endfunction()

# The include root of a module: a folder that holds one link to it.
function(helm_include_root module folder out)
  set(root "${CMAKE_BINARY_DIR}/include/${module}")
  file(MAKE_DIRECTORY "${root}")
  file(CREATE_LINK "${folder}" "${root}/${module}" SYMBOLIC)
  set(${out} "${root}" PARENT_SCOPE)
endfunction()

function(helm_check_dependencies module)
  get_property(row GLOBAL PROPERTY HELM_ROW_${module})
  if(row STREQUAL "")
    message(FATAL_ERROR "module ${module} is in no helm_layer() of the top CMakeLists.txt")
  endif()
  foreach(dep IN LISTS ARGN)
    get_property(dep_row GLOBAL PROPERTY HELM_ROW_${dep})
    if(NOT TARGET helm_${dep})
      message(FATAL_ERROR "${module} -> ${dep}: not declared above ${module} in CMakeLists.txt")
    elseif(NOT dep_row LESS row)
      message(FATAL_ERROR "${module} (row ${row}) -> ${dep} (row ${dep_row}): an include may only point down")
    endif()
  endforeach()
endfunction()

# helm_module(NAME sim [SRCS a.cc ...] [DEPS core ir ...] [PRIVATE_DEPS ...] [LIBS target ...] [PRIVATE_LIBS target ...])
#
# SRCS: every *.cc of the folder when not given. DEPS: modules whose headers this module's headers may include; PRIVATE_DEPS: only its .cc
# files. LIBS and PRIVATE_LIBS: third-party targets, likewise. A module without a .cc is a header-only one.
function(helm_module)
  cmake_parse_arguments(PARSE_ARGV 0 M "" "NAME" "SRCS;DEPS;PRIVATE_DEPS;LIBS;PRIVATE_LIBS")
  if(M_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "helm_module(${M_NAME}): unknown arguments ${M_UNPARSED_ARGUMENTS}")
  endif()
  helm_check_dependencies(${M_NAME} ${M_DEPS} ${M_PRIVATE_DEPS})
  if(NOT DEFINED M_SRCS AND NOT "SRCS" IN_LIST M_KEYWORDS_MISSING_VALUES)
    file(GLOB M_SRCS CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cc")
  endif()
  helm_include_root(${M_NAME} "${CMAKE_CURRENT_SOURCE_DIR}" root)
  list(TRANSFORM M_DEPS PREPEND helm_)
  list(TRANSFORM M_PRIVATE_DEPS PREPEND helm_)

  set(target helm_${M_NAME})
  if(M_SRCS)
    add_library(${target} STATIC ${M_SRCS})
    if(HELM_UNITY)
      set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
    endif()
    set(visible PUBLIC)
    target_link_libraries(${target} PRIVATE ${M_PRIVATE_DEPS} ${M_PRIVATE_LIBS})
  else()
    add_library(${target} INTERFACE)
    set(visible INTERFACE)
  endif()
  target_include_directories(${target} ${visible} "${root}")
  target_compile_options(${target} ${visible} "-ffile-prefix-map=${HELM_PREFIX}include/${M_NAME}/=")
  target_link_libraries(${target} ${visible} ${M_DEPS} ${M_LIBS})
  helm_header_test(${M_NAME} LIBS ${M_PRIVATE_LIBS})
endfunction()
