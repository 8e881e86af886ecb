# SPDX-License-Identifier: BSD-3-Clause

# Programs with something that threads could race for; what the preset "tsan" is for.
isomer_add_test(test_threads threads isomer_preload_core Threads::Threads ${CMAKE_DL_LIBS})
foreach(source hooks hooks_descriptors hooks_options hooks_receive hooks_send real start
    udp_options udp_receive udp_reply udp_send)
  target_sources(test_threads PRIVATE ${PROJECT_SOURCE_DIR}/preload/${source}.c)
endforeach()
add_dependencies(test_threads isomer-loader)
set_tests_properties(test_threads PROPERTIES
  ENVIRONMENT "ISOMER_RULES=one=tcp:*:1001\\$<SEMICOLON>many=*:*:2000-2999\\$<SEMICOLON>none=tcp:*:3000-3999")
set_tests_properties(test_places test_report test_config test_udp_peers PROPERTIES LABELS "unit;threads")
add_custom_target(tsan)
add_dependencies(tsan test_threads test_places test_report test_config test_udp_peers)
