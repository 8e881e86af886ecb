# SPDX-License-Identifier: BSD-3-Clause
isomer_add_test(test_label unit)
isomer_add_test(test_parse unit)
isomer_add_test(test_bindings unit isomer_loader_core)
isomer_add_test(test_activity unit isomer_loader_core)
foreach(test test_ruleset test_ruleset_size)
  isomer_add_test(${test} unit isomer_loader_core)
  target_sources(${test} PRIVATE ${CMAKE_CURRENT_LIST_DIR}/ruleset_walk.c)
endforeach()
isomer_add_test(test_rules unit isomer_preload_core)
isomer_add_test(test_config unit isomer_preload_core)
isomer_add_test(test_places unit isomer_preload_core)
isomer_add_test(test_report unit isomer_preload_core)
isomer_add_test(test_udp_peers unit isomer_preload_core)
add_test(NAME preload_exports
  COMMAND ${CMAKE_COMMAND} -DLIBRARY=$<TARGET_FILE:isomer_preload> -DNM=${CMAKE_NM}
          -DREADELF=${CMAKE_READELF} -DSANITIZED=${ISOMER_SANITIZE}
          -P ${CMAKE_CURRENT_LIST_DIR}/exports.cmake)
set_tests_properties(preload_exports PROPERTIES LABELS unit)
find_package(Python3 COMPONENTS Interpreter REQUIRED)
add_test(NAME manual_is_what_help_says
  COMMAND Python3::Interpreter ${CMAKE_CURRENT_LIST_DIR}/help.py $<TARGET_FILE:isomer-loader>
          ${PROJECT_SOURCE_DIR}/docs/commands.md)
set_tests_properties(manual_is_what_help_says PROPERTIES LABELS unit)
add_test(NAME systemd_takes_the_units
  COMMAND ${CMAKE_CURRENT_LIST_DIR}/systemd_units.sh ${PROJECT_SOURCE_DIR}/example/systemd
          $<TARGET_FILE:isomer-loader>)
set_tests_properties(systemd_takes_the_units PROPERTIES LABELS unit)
