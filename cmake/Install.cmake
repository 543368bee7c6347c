# `cmake --install build/release --prefix FOLDER`: commands, presets and what they need at run time, in a folder that can be moved.
#
#   bin/       one script for each command, which finds torch (tools/with_torch.sh.in)
#   libexec/   the commands, and the CUDA part beside them (it is looked for there)
#   lib/       shared libraries that the bundle carries (scripts/bundle); empty else
#   share/helm configs (presets), README.md, docs
#
# Component `tests`, only when it is asked for (scripts/bundle does): test executables that are worth running on another machine.
include(GNUInstallDirs)
set(libexec "libexec")

get_property(commands GLOBAL PROPERTY HELM_COMMANDS)
install(TARGETS ${commands} RUNTIME DESTINATION ${libexec})
if(HELM_RUNTIME)
  file(STRINGS "${HELM_TORCH_DIR}/version.py" version REGEX "^__version__")
  string(REGEX MATCH "([0-9]+\\.[0-9]+)\\.[0-9]+" HELM_TORCH_VERSION "${version}")
  set(HELM_TORCH_RELEASE "${CMAKE_MATCH_1}")
  set(HELM_GLIBC "2.36")  # of Debian 12, where HELM is built; tests/bundle checks that nothing newer is needed
  configure_file("${CMAKE_SOURCE_DIR}/tools/with_torch.sh.in" "${CMAKE_BINARY_DIR}/with_torch.sh" @ONLY)
  install(TARGETS helm_runtime_cuda LIBRARY DESTINATION ${libexec})
  set(tests)
  foreach(test helm_runtime_tests helm_runtime_gpu_tests helm_exec_tests helm_exec_gpu_tests helm_parity_tests helm_parity_grid_tests)
    if(TARGET ${test})
      list(APPEND tests ${test})
    endif()
  endforeach()
  if(tests)
    install(TARGETS ${tests} RUNTIME DESTINATION ${libexec} COMPONENT tests EXCLUDE_FROM_ALL)
  endif()
  foreach(name IN LISTS commands)
    install(PROGRAMS "${CMAKE_BINARY_DIR}/with_torch.sh" DESTINATION bin RENAME ${name})
  endforeach()
  foreach(name IN LISTS tests)
    install(PROGRAMS "${CMAKE_BINARY_DIR}/with_torch.sh" DESTINATION bin RENAME ${name} COMPONENT tests EXCLUDE_FROM_ALL)
  endforeach()
else()
  file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/links")
  foreach(name IN LISTS commands)
    file(CREATE_LINK "../${libexec}/${name}" "${CMAKE_BINARY_DIR}/links/${name}" SYMBOLIC)
    install(FILES "${CMAKE_BINARY_DIR}/links/${name}" DESTINATION bin)
  endforeach()
endif()
install(DIRECTORY "${CMAKE_SOURCE_DIR}/configs" "${CMAKE_SOURCE_DIR}/docs" DESTINATION share/helm)
install(FILES "${CMAKE_SOURCE_DIR}/README.md" DESTINATION share/helm)
