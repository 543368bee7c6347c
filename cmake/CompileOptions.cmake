# What every target of HELM is compiled with. Third-party headers come in as SYSTEM, so -Werror meets only our own code.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")  # HELM_CHECK does not depend on NDEBUG
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -fno-omit-frame-pointer")
set(CMAKE_CXX_FLAGS_SANITIZE "-O1 -fno-omit-frame-pointer")  # no debug information: a third of the build time; -DCMAKE_CXX_FLAGS=-g1 for lines

add_compile_options(-Wall -Wextra -Werror
  -Wno-missing-field-initializers)  # option structs are filled by designated initialisers, the rest keeps its default
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wno-restrict)  # false alarms in std::string operator+ (GCC bug 105651)
  add_compile_options(-fdiagnostics-color=$<IF:$<BOOL:$ENV{NO_COLOR}>,never,auto>)
endif()
# __FILE__ reads "sim/engine.h" whatever the build folder. ccache makes paths relative to the build folder before the compiler sees them.
if(HELM_CCACHE)
  set(HELM_PREFIX "")
  file(RELATIVE_PATH source_prefix "${CMAKE_BINARY_DIR}" "${CMAKE_SOURCE_DIR}")  # ends in a slash
else()
  set(HELM_PREFIX "${CMAKE_BINARY_DIR}/")
  set(source_prefix "${CMAKE_SOURCE_DIR}/")
endif()
add_compile_options("-ffile-prefix-map=${source_prefix}=")
if(HELM_SANITIZE)
  add_compile_options(-fsanitize=${HELM_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${HELM_SANITIZE})
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)  # the instrumented code defeats GCC's analysis
  if(HELM_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-tsan)
  endif()
endif()

find_program(HELM_LLD ld.lld)
if(HELM_LLD)
  add_link_options(-fuse-ld=lld)
endif()
add_link_options(-Wl,--as-needed)

# A LibTorch translation unit takes a gigabyte and more; never more of them at once than cores.
include(ProcessorCount)
ProcessorCount(cores)
set_property(GLOBAL PROPERTY JOB_POOLS heavy=${cores})

# build/bin holds the commands of the release preset; every other build folder keeps its own bin/.
if(CMAKE_BINARY_DIR STREQUAL "${CMAKE_SOURCE_DIR}/build/release")
  set(HELM_BIN_DIR "${CMAKE_SOURCE_DIR}/build/bin")
else()
  set(HELM_BIN_DIR "${CMAKE_BINARY_DIR}/bin")
endif()
