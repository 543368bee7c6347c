# LibTorch from the PyPI wheel in the project's virtual environment (scripts/setup), as imported targets of our own: the wheel's
# TorchConfig.cmake demands nvcc, which nothing here needs. The wheel and its NVIDIA dependencies bring every header and library.
#
#   helm::torch       tensors, kernels, c10d with its Gloo backend (CPU)
#   helm::torch_cuda  the CUDA kernels, ProcessGroupNCCL, CUPTI, the CUDA runtime and NCCL
#
# libtorch_cuda.so and what it pulls in take a second and hundreds of megabytes to load, so only the shared library made of
# runtime/*_cuda.cc links it, and only a run that uses a GPU loads that.
file(GLOB wheel "${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch")
set(HELM_TORCH_DIR "${wheel}" CACHE PATH "The folder of the installed Python package torch")
if(NOT EXISTS "${HELM_TORCH_DIR}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "no torch wheel at '${HELM_TORCH_DIR}': run scripts/setup, give -DHELM_TORCH_DIR=<site-packages>/torch, or leave "
                      "the runtime out with -DHELM_RUNTIME=OFF")
endif()
get_filename_component(site_packages "${HELM_TORCH_DIR}" DIRECTORY)

# The wheel's include folder holds its own fmt, nlohmann and pybind11, other versions than those core links. So only torch's own folders
# are put on the include path.
set(torch_include "${CMAKE_BINARY_DIR}/include/torch_wheel")
file(MAKE_DIRECTORY "${torch_include}")
foreach(folder ATen c10 caffe2 torch)
  file(CREATE_LINK "${HELM_TORCH_DIR}/include/${folder}" "${torch_include}/${folder}" SYMBOLIC)
endforeach()

find_path(HELM_GLOO_INCLUDE gloo/algorithm.h REQUIRED)  # libgloo-dev: headers only, the code is in libtorch_cpu.so

add_library(helm_torch INTERFACE)
add_library(helm::torch ALIAS helm_torch)
target_include_directories(helm_torch SYSTEM INTERFACE
  "${torch_include}" "${torch_include}/torch/csrc/api/include" "${HELM_GLOO_INCLUDE}")
target_compile_definitions(helm_torch INTERFACE USE_DISTRIBUTED USE_C10D_GLOO _GLIBCXX_USE_CXX11_ABI=1 FMT_HEADER_ONLY)
target_link_libraries(helm_torch INTERFACE
  "${HELM_TORCH_DIR}/lib/libtorch_cpu.so" "${HELM_TORCH_DIR}/lib/libc10.so" Threads::Threads ${CMAKE_DL_LIBS})

set(nvidia "${site_packages}/nvidia")
add_library(helm_cupti INTERFACE)
add_library(helm::cupti ALIAS helm_cupti)
target_include_directories(helm_cupti SYSTEM INTERFACE "${nvidia}/cu13/include")
target_link_libraries(helm_cupti INTERFACE "${nvidia}/cu13/lib/libcupti.so.13")

add_library(helm_torch_cuda INTERFACE)
add_library(helm::torch_cuda ALIAS helm_torch_cuda)
target_include_directories(helm_torch_cuda SYSTEM INTERFACE "${nvidia}/cu13/include" "${nvidia}/nccl/include")
target_compile_definitions(helm_torch_cuda INTERFACE USE_C10D_NCCL)
# Registration of CUDA kernels happens when the library is loaded; nothing may refer to a symbol of it, yet it is needed.
target_link_libraries(helm_torch_cuda INTERFACE helm_torch helm_cupti
  -Wl,--push-state,--no-as-needed "${HELM_TORCH_DIR}/lib/libtorch_cuda.so" -Wl,--pop-state "${HELM_TORCH_DIR}/lib/libc10_cuda.so"
  "${nvidia}/cu13/lib/libcudart.so.13" "${nvidia}/nccl/lib/libnccl.so.2")

# Besides its absolute path, which CMake writes into every executable by itself: a checkout that was moved as a whole still runs.
file(RELATIVE_PATH torch_from_bin "${HELM_BIN_DIR}" "${HELM_TORCH_DIR}/lib")
set(CMAKE_BUILD_RPATH "$ORIGIN/${torch_from_bin}")
