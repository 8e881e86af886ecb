# SPDX-License-Identifier: BSD-3-Clause
find_package(Python3 COMPONENTS Interpreter REQUIRED)
add_test(NAME man_page_is_what_help_says
  COMMAND Python3::Interpreter ${CMAKE_CURRENT_LIST_DIR}/manual.py $<TARGET_FILE:isomer-loader>
          ${PROJECT_SOURCE_DIR}/docs/man/isomer-loader.8)
add_test(NAME library_variables_are_documented
  COMMAND ${CMAKE_CURRENT_LIST_DIR}/variables.sh ${PROJECT_SOURCE_DIR})
set_tests_properties(man_page_is_what_help_says library_variables_are_documented
  PROPERTIES LABELS unit)
foreach(shell bash zsh fish)
  add_test(NAME ${shell}_completes_what_help_says
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/completion.sh $<TARGET_FILE:isomer-loader>
            ${PROJECT_SOURCE_DIR}/docs/completion ${shell})
  set_tests_properties(${shell}_completes_what_help_says
    PROPERTIES LABELS unit SKIP_RETURN_CODE 77 TIMEOUT 120)
endforeach()
if(NOT ISOMER_SANITIZE) # its libraries would be dependencies
  add_test(NAME package_installs_works_and_is_purged
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/package.sh ${CMAKE_BINARY_DIR})
  set_tests_properties(package_installs_works_and_is_purged
    PROPERTIES LABELS "integration;long" TIMEOUT 900 RUN_SERIAL ON)
  # Servers that know no sanitizer.
  add_test(NAME howtos_run_line_by_line
    COMMAND Python3::Interpreter ${CMAKE_CURRENT_LIST_DIR}/howto.py
            $<TARGET_FILE:isomer-loader> $<TARGET_FILE:isomer_preload>
            ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/docs/howto.md
            ${PROJECT_SOURCE_DIR}/docs/comparison.md)
  set_tests_properties(howtos_run_line_by_line
    PROPERTIES LABELS integration SKIP_RETURN_CODE 77 TIMEOUT 300)
endif()
add_test(NAME alerts_fire_when_they_should
  COMMAND ${CMAKE_CURRENT_LIST_DIR}/alerts.sh $<TARGET_FILE:isomer-loader>
          ${PROJECT_SOURCE_DIR}/example/prometheus/isomer.rules.yml
          ${CMAKE_CURRENT_LIST_DIR}/alerts.yml ${PROJECT_SOURCE_DIR}/example/grafana/isomer.json)
set_tests_properties(alerts_fire_when_they_should
  PROPERTIES LABELS integration SKIP_RETURN_CODE 77)
add_test(NAME a_fleet_follows_etcd
  COMMAND ${CMAKE_CURRENT_LIST_DIR}/etcd.sh $<TARGET_FILE:isomer-loader>
          ${PROJECT_SOURCE_DIR}/example/etcd/isomer-from-etcd.sh)
set_tests_properties(a_fleet_follows_etcd
  PROPERTIES LABELS integration SKIP_RETURN_CODE 77 TIMEOUT 120)
set(kubernetes ${PROJECT_SOURCE_DIR}/example/kubernetes)
add_test(NAME kubernetes_would_take_the_manifests
  COMMAND ${CMAKE_CURRENT_LIST_DIR}/manifests.py ${kubernetes}/isomer.yaml ${kubernetes}/server.yaml)
set_tests_properties(kubernetes_would_take_the_manifests
  PROPERTIES LABELS unit SKIP_RETURN_CODE 77)
if(NOT ISOMER_SANITIZE) # a server that knows no sanitizer
  add_test(NAME pods_of_the_manifests_serve
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/pods.py $<TARGET_FILE:isomer-loader>
            $<TARGET_FILE:isomer_preload> ${kubernetes}/isomer.yaml ${kubernetes}/server.yaml)
  set_tests_properties(pods_of_the_manifests_serve
    PROPERTIES LABELS integration SKIP_RETURN_CODE 77 TIMEOUT 120)
endif()

# Of the dashboard, for the docs: takes root, gnuplot, and Prometheus as tests/servers.sh unpacks it.
add_custom_target(dashboard-picture
  COMMAND Python3::Interpreter ${CMAKE_CURRENT_LIST_DIR}/panels.py $<TARGET_FILE:isomer-loader>
          $<TARGET_FILE:isomer_preload> ${PROJECT_SOURCE_DIR}/example/grafana/isomer.json
          ${PROJECT_SOURCE_DIR}/docs/dashboard.svg
  USES_TERMINAL)
