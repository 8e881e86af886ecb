# SPDX-License-Identifier: BSD-3-Clause

# The control plane: prints a table. As root: cmake --build build --target bench-control
add_executable(bench_control EXCLUDE_FROM_ALL ${CMAKE_CURRENT_LIST_DIR}/control.c)
target_link_libraries(bench_control PRIVATE isomer_flags isomer_test_support PkgConfig::LIBBPF)
add_custom_target(bench-control COMMAND bench_control USES_TERMINAL)
add_dependencies(bench-control isomer-loader)

# What benchmarks share.
add_library(isomer_bench STATIC EXCLUDE_FROM_ALL
  ${CMAKE_CURRENT_LIST_DIR}/figures.c
  ${CMAKE_CURRENT_LIST_DIR}/document.c
  ${CMAKE_CURRENT_LIST_DIR}/plot.c)
target_link_libraries(isomer_bench PUBLIC isomer_test_support PRIVATE isomer_flags)

# What a server pays for the library and a binding: cmake --build build --target bench-preload
add_executable(bench_preload_guest EXCLUDE_FROM_ALL ${CMAKE_CURRENT_LIST_DIR}/preload/guest.c)
target_include_directories(bench_preload_guest PRIVATE ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(bench_preload_guest PRIVATE isomer_flags)
add_executable(bench_preload EXCLUDE_FROM_ALL
  ${CMAKE_CURRENT_LIST_DIR}/preload/main.c
  ${CMAKE_CURRENT_LIST_DIR}/preload/start.c
  ${CMAKE_CURRENT_LIST_DIR}/preload/calls.c
  ${CMAKE_CURRENT_LIST_DIR}/preload/connections.c)
target_compile_definitions(bench_preload PRIVATE
  ISOMER_BENCH_GUEST="$<TARGET_FILE:bench_preload_guest>")
target_link_libraries(bench_preload PRIVATE isomer_flags isomer_bench)
add_custom_target(bench-preload COMMAND bench_preload USES_TERMINAL)
add_dependencies(bench-preload bench_preload_guest isomer-loader isomer_preload)

# What a UDP server pays for answers from where it was asked: cmake --build build --target bench-udp
add_executable(bench_udp_server EXCLUDE_FROM_ALL ${CMAKE_CURRENT_LIST_DIR}/udp/server.c)
target_link_libraries(bench_udp_server PRIVATE isomer_flags)
add_executable(bench_udp EXCLUDE_FROM_ALL
  ${CMAKE_CURRENT_LIST_DIR}/udp/main.c
  ${CMAKE_CURRENT_LIST_DIR}/udp/load.c)
target_compile_definitions(bench_udp PRIVATE
  ISOMER_BENCH_SERVER="$<TARGET_FILE:bench_udp_server>")
target_link_libraries(bench_udp PRIVATE isomer_flags isomer_bench isomer_test_cgroup)
add_custom_target(bench-udp COMMAND bench_udp USES_TERMINAL)
add_dependencies(bench-udp bench_udp_server isomer-loader isomer_preload)

# What a change costs as there are more bindings: cmake --build build --target bench-growth
add_executable(bench_growth EXCLUDE_FROM_ALL
  ${CMAKE_CURRENT_LIST_DIR}/growth/main.c
  ${CMAKE_CURRENT_LIST_DIR}/growth/searchers.c
  ${CMAKE_CURRENT_LIST_DIR}/growth/shapes.c)
target_link_libraries(bench_growth PRIVATE
  isomer_flags isomer_bench isomer_test_dispatcher Threads::Threads)
add_custom_target(bench-growth COMMAND bench_growth USES_TERMINAL)
add_dependencies(bench-growth isomer-loader)

# What the dispatcher is compared with.
isomer_add_bpf_skeleton(rivals bench/lookup/rivals.bpf.c)

# End to end, against what else brings traffic to a server: cmake --build build --target bench-traffic
add_executable(bench_traffic EXCLUDE_FROM_ALL
  ${CMAKE_CURRENT_LIST_DIR}/traffic/main.c
  ${CMAKE_CURRENT_LIST_DIR}/traffic/load.c
  ${CMAKE_CURRENT_LIST_DIR}/traffic/samples.c
  ${CMAKE_CURRENT_LIST_DIR}/traffic/report.c
  ${CMAKE_CURRENT_LIST_DIR}/traffic/ways.c
  ${CMAKE_CURRENT_LIST_DIR}/lookup/rivals.c)
target_link_libraries(bench_traffic PRIVATE isomer_flags isomer_bench isomer_test_dispatcher rivals_skel)
add_custom_target(bench-traffic COMMAND bench_traffic USES_TERMINAL)

# What a look-up costs, against the reference's algorithm: cmake --build build --target bench-lookup
add_executable(bench_lookup EXCLUDE_FROM_ALL
  ${CMAKE_CURRENT_LIST_DIR}/lookup/main.c
  ${CMAKE_CURRENT_LIST_DIR}/lookup/plot.c
  ${CMAKE_CURRENT_LIST_DIR}/lookup/rivals.c
  ${CMAKE_CURRENT_LIST_DIR}/lookup/run.c
  ${CMAKE_CURRENT_LIST_DIR}/lookup/sets.c)
target_link_libraries(bench_lookup PRIVATE isomer_flags isomer_bench isomer_test_dispatcher rivals_skel)
add_custom_target(bench-lookup
  COMMAND bench_lookup 7 1000000 ${PROJECT_SOURCE_DIR}/docs/lookup.svg USES_TERMINAL)
