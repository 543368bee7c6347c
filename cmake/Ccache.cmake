# Compiles through ccache when it is installed. Paths below the source folder are hashed relative to it and the working directory is not
# hashed, so that all build folders build/<name> of one checkout (and other checkouts of the same machine) share their results.
find_program(HELM_CCACHE ccache)
if(HELM_CCACHE AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      env CCACHE_BASEDIR=${CMAKE_CURRENT_SOURCE_DIR} CCACHE_NOHASHDIR=1
          CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${HELM_CCACHE})
endif()
