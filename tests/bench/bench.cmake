# SPDX-License-Identifier: BSD-3-Clause

# The control plane: prints a table. As root: cmake --build build --target bench-control
add_executable(bench_control EXCLUDE_FROM_ALL ${CMAKE_CURRENT_LIST_DIR}/control.c)
target_link_libraries(bench_control PRIVATE isomer_flags isomer_test_support PkgConfig::LIBBPF)
add_custom_target(bench-control COMMAND bench_control USES_TERMINAL)
add_dependencies(bench-control isomer-loader)
