# helm_test(module [DEPS other modules...] [LIBS targets...]): the tests of tests/<module>/.
#
# The name of a file says in which executable and under which ctest label it goes:
#   *_test.cc        helm_<module>_tests         label <module>
#   *_slow_test.cc   helm_<module>_slow_tests    label slow   (minutes in all; CI runs them once)
#   *_grid_test.cc   helm_<module>_grid_tests    label grid   (only by hand)
#   *_gpu_test.cc    helm_<module>_gpu_tests     label gpu    (skip themselves, visibly, without a GPU)
# `ninja helm_module_tests` builds the last kind of every module, and nothing that only other tests need.
# Tests run in the source folder, so files are named from there: "configs/runs/demo.yaml".
add_custom_target(helm_module_tests)

function(helm_test module)
  cmake_parse_arguments(PARSE_ARGV 1 T "" "" "DEPS;LIBS")
  file(GLOB all CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/${module}/*_test.cc")
  set(rest ${all})
  foreach(kind slow grid gpu)
    set(sources ${all})
    list(FILTER sources INCLUDE REGEX "_${kind}_test\\.cc$")
    list(FILTER rest EXCLUDE REGEX "_${kind}_test\\.cc$")
    helm_test_executable(helm_${module}_${kind}_tests LABEL ${kind} SRCS ${sources} MODULES ${module} ${T_DEPS} LIBS ${T_LIBS})
  endforeach()
  helm_test_executable(helm_${module}_tests LABEL ${module} SRCS ${rest} MODULES ${module} ${T_DEPS} LIBS ${T_LIBS})
  if(TARGET helm_${module}_tests)
    add_dependencies(helm_module_tests helm_${module}_tests)
  endif()
endfunction()

function(helm_test_executable target)
  cmake_parse_arguments(PARSE_ARGV 1 T "" "LABEL" "SRCS;MODULES;LIBS")
  if(NOT T_SRCS)
    return()
  endif()
  foreach(module IN LISTS T_MODULES)
    if(NOT TARGET helm_${module})
      return()  # needs the runtime, which this build leaves out
    endif()
  endforeach()
  list(TRANSFORM T_MODULES PREPEND helm_)
  add_executable(${target} ${T_SRCS})
  # A third of the tests' compile time; what they test is optimised as ever.
  target_compile_options(${target} PRIVATE $<IF:$<CONFIG:Sanitize>,-O0,-O1>)
  target_link_libraries(${target} PRIVATE ${T_MODULES} ${T_LIBS} helm_test_support)
  gtest_discover_tests(${target}
    TEST_PREFIX "${T_LABEL}/" WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}" DISCOVERY_TIMEOUT 120 PROPERTIES LABELS ${T_LABEL} TIMEOUT 600)
endfunction()
