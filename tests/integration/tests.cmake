# SPDX-License-Identifier: BSD-3-Clause

# Programs and libraries that know nothing about isomer: no flags of ours, no sanitizer.
set(guests ${CMAKE_CURRENT_BINARY_DIR}/guests)
foreach(guest attacker carries_on cases daemon early echo filtered forks inherits named server
    small_stack threads udp_cancelled udp_carries_on udp_cases udp_control udp_echo udp_elsewhere
    udp_errand udp_fortified udp_inherited udp_stack udp_steps udp_transfer udp_workers uring wild)
  add_executable(guest_${guest} ${CMAKE_CURRENT_LIST_DIR}/guests/${guest}.c)
  list(APPEND guest_targets guest_${guest})
endforeach()
target_sources(guest_udp_cases PRIVATE ${CMAKE_CURRENT_LIST_DIR}/guests/udp_calls.c)
foreach(guest early_fork no_memory other_preload)
  add_library(guest_${guest} MODULE ${CMAKE_CURRENT_LIST_DIR}/guests/${guest}.c)
  list(APPEND guest_targets guest_${guest})
  set_target_properties(guest_${guest} PROPERTIES PREFIX "")
endforeach()
foreach(target ${guest_targets})
  string(REPLACE guest_ "" name ${target})
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
  target_compile_options(${target} PRIVATE -Wall -Wextra)
  target_link_libraries(${target} PRIVATE Threads::Threads)
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name}
    RUNTIME_OUTPUT_DIRECTORY ${guests} LIBRARY_OUTPUT_DIRECTORY ${guests})
endforeach()

# Also in a build without optimisation, in which nothing would be checked.
target_compile_options(guest_udp_fortified PRIVATE -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)

# libc loads it to cancel a thread. What programs are linked with is there on other kernels too.
target_link_options(guest_udp_cancelled PRIVATE -Wl,--push-state,--no-as-needed -lgcc_s -Wl,--pop-state)

target_link_libraries(guest_filtered PRIVATE PkgConfig::SECCOMP)
# Statically: there are kernels to be tried on that have nothing else installed.
target_include_directories(guest_uring PRIVATE ${URING_INCLUDE_DIRS})
target_link_libraries(guest_uring PRIVATE -l:liburing.a)

# A program that no library can be preloaded into.
add_executable(guest_static ${CMAKE_CURRENT_LIST_DIR}/guests/server.c)
target_compile_definitions(guest_static PRIVATE _GNU_SOURCE)
target_link_options(guest_static PRIVATE -static)
set_target_properties(guest_static PROPERTIES OUTPUT_NAME static
  RUNTIME_OUTPUT_DIRECTORY ${guests})
list(APPEND guest_targets guest_static)

# One of another libc, where there is its compiler.
find_program(ISOMER_MUSL_GCC musl-gcc)
if(ISOMER_MUSL_GCC)
  add_custom_command(OUTPUT ${guests}/other_libc
    COMMAND ${ISOMER_MUSL_GCC} -D_GNU_SOURCE -Wall -Wextra -o ${guests}/other_libc
            ${CMAKE_CURRENT_LIST_DIR}/guests/other_libc.c
    DEPENDS ${CMAKE_CURRENT_LIST_DIR}/guests/other_libc.c ${CMAKE_CURRENT_LIST_DIR}/guests/guest.h)
  add_custom_target(guest_other_libc DEPENDS ${guests}/other_libc)
  list(APPEND guest_targets guest_other_libc)
endif()

add_library(isomer_test_guests STATIC
  ${CMAKE_CURRENT_LIST_DIR}/guest_process.c ${CMAKE_CURRENT_LIST_DIR}/no_memory.c)
target_compile_definitions(isomer_test_guests PRIVATE ISOMER_GUESTS_PATH="${guests}")
target_link_libraries(isomer_test_guests PUBLIC isomer_test_support PRIVATE isomer_flags)
add_dependencies(isomer_test_guests ${guest_targets} isomer_preload isomer-loader)

add_library(isomer_test_cgroup STATIC ${CMAKE_CURRENT_LIST_DIR}/own_cgroup.c)
target_link_libraries(isomer_test_cgroup
  PUBLIC isomer_test_support isomer_loader_core PRIVATE isomer_flags)

isomer_add_test(test_preload_process integration isomer_test_guests)
isomer_add_test(test_preload_register integration isomer_test_guests)
isomer_add_test(test_preload_failures integration isomer_test_guests)

# Servers of other people, and scripts that know as little.
add_library(isomer_test_servers STATIC ${CMAKE_CURRENT_LIST_DIR}/server.c)
target_compile_definitions(isomer_test_servers PRIVATE
  ISOMER_SERVER_SCRIPTS="${CMAKE_CURRENT_LIST_DIR}/guests")
target_link_libraries(isomer_test_servers PUBLIC isomer_test_support PRIVATE isomer_flags)
add_dependencies(isomer_test_servers isomer_preload isomer-loader)

isomer_add_test(test_servers integration isomer_test_servers)

# As docs/servers.md says.
add_library(isomer_test_services STATIC ${CMAKE_CURRENT_LIST_DIR}/load.c
  ${CMAKE_CURRENT_LIST_DIR}/service.c ${CMAKE_CURRENT_LIST_DIR}/service_table.c)
target_compile_definitions(isomer_test_services PRIVATE
  ISOMER_SERVERS_DOCUMENT="${PROJECT_SOURCE_DIR}/docs/servers.md" ISOMER_GUESTS_PATH="${guests}")
target_link_libraries(isomer_test_services
  PUBLIC isomer_test_servers Threads::Threads PRIVATE isomer_flags)
add_dependencies(isomer_test_services guest_static)
isomer_add_test(test_services integration isomer_test_services)
isomer_add_test(test_restart integration isomer_test_services)

isomer_add_test(test_cli integration isomer_test_operator)
isomer_add_test(test_cli_refused integration isomer_test_operator)

isomer_add_test(test_inherit integration isomer_test_servers isomer_test_guests)

# What an operator does.
add_library(isomer_test_operator STATIC ${CMAKE_CURRENT_LIST_DIR}/operator.c)
target_link_libraries(isomer_test_operator PUBLIC isomer_test_servers PRIVATE isomer_flags)

isomer_add_test(test_load_bindings integration isomer_test_operator Threads::Threads)
isomer_add_test(test_load_bindings_refused integration isomer_test_operator)
isomer_add_test(test_watch integration isomer_test_operator)
isomer_add_test(test_top integration isomer_test_operator)
isomer_add_test(test_progress integration isomer_test_operator)
isomer_add_test(test_register integration isomer_test_operator)
isomer_add_test(test_metrics integration isomer_test_operator)
isomer_add_test(test_doctor integration isomer_test_operator PkgConfig::LIBBPF)
isomer_add_test(test_explain integration isomer_test_operator)
isomer_add_test(test_json integration isomer_test_operator)
isomer_add_test(test_reference_faults integration isomer_test_operator)
isomer_add_test(test_grants integration isomer_test_guests)
isomer_add_test(test_run integration isomer_test_guests isomer_test_operator isomer_test_cgroup)
isomer_add_test(test_attach integration isomer_test_guests isomer_test_operator isomer_test_cgroup)
set_tests_properties(test_attach PROPERTIES LABELS "integration;state"
  REQUIRED_FILES "${guests}/server;${guests}/static;${guests}/uring")
isomer_add_test(test_answers integration
  isomer_test_guests isomer_test_operator isomer_test_cgroup isomer_test_crowd isomer_test_killer)
set_tests_properties(test_answers PROPERTIES LABELS "integration;state"
  REQUIRED_FILES "${guests}/echo;${guests}/udp_errand")
isomer_add_test(test_attacks integration isomer_test_guests isomer_test_killer)
isomer_add_test(test_strays integration isomer_test_guests isomer_test_operator)
isomer_add_test(test_scale integration isomer_loader_core)
isomer_add_test(test_isolation integration)

# The registrar: what servers get from it, and its protocol, also on other kernels.
add_library(isomer_test_registrar STATIC ${CMAKE_CURRENT_LIST_DIR}/registrar_client.c)
target_link_libraries(isomer_test_registrar
  PUBLIC isomer_test_support PRIVATE isomer_flags PkgConfig::LIBCAP)
isomer_add_test(test_registrar integration isomer_test_registrar isomer_test_guests)
target_compile_definitions(test_registrar PRIVATE ISOMER_UNITS="${PROJECT_SOURCE_DIR}/example/systemd")
isomer_add_test(test_service_cases integration
  isomer_test_services isomer_test_guests isomer_test_registrar)
isomer_add_test(test_registrar_protocol integration isomer_test_registrar isomer_test_guests)
isomer_add_test(test_registrar_abuse integration isomer_test_registrar Threads::Threads)
add_dependencies(test_registrar_abuse isomer-loader)
set_tests_properties(test_registrar_protocol test_registrar_abuse PROPERTIES
  LABELS "integration;state" REQUIRED_FILES ${guests}/server)

# Commands that are killed, stopped, run at once, or whose calls fail.
add_library(isomer_test_ordeal STATIC
  ${CMAKE_CURRENT_LIST_DIR}/ordeal.c ${CMAKE_CURRENT_LIST_DIR}/world.c)
target_link_libraries(isomer_test_ordeal PUBLIC isomer_test_killer isomer_test_cgroup PRIVATE isomer_flags)
add_dependencies(isomer_test_ordeal isomer-loader)
isomer_add_test(test_crash integration isomer_test_ordeal)
isomer_add_test(test_concurrency integration isomer_test_killer)
add_dependencies(test_concurrency isomer-loader)
set_tests_properties(test_crash test_concurrency PROPERTIES LABELS "integration;killer")

# A sanitizer's runtime takes a failure of its own calls for the end of the program, and does not
# live beside valgrind. Of allocations it is told, so these fail under it too.
isomer_add_test(test_reader_faults integration isomer_test_ordeal isomer_test_guests)
isomer_add_test(test_registrar_faults integration isomer_test_guests isomer_test_servers)
if(NOT ISOMER_SANITIZE)
  isomer_add_test(test_faults integration isomer_test_ordeal isomer_test_guests)
  isomer_add_test(test_valgrind integration isomer_test_servers isomer_test_guests)
  isomer_add_test(test_preload_faults integration isomer_test_guests isomer_test_killer)
  add_test(NAME test_faults_everywhere COMMAND test_faults)
  set_tests_properties(test_faults_everywhere PROPERTIES
    LABELS "integration;long" TIMEOUT 3600 ENVIRONMENT ISOMER_TEST_EVERY_CALL=1)
endif()

isomer_add_test(test_upgrade integration)
add_dependencies(test_upgrade isomer-loader)

isomer_add_test(test_udp_servers integration isomer_test_servers isomer_test_registrar
  isomer_test_guests isomer_test_cgroup)
target_compile_definitions(test_udp_servers PRIVATE
  ISOMER_EXAMPLE_ECHO="$<TARGET_FILE:isomer_echo>")
add_dependencies(test_udp_servers isomer_echo)

isomer_add_test(test_udp_same integration isomer_test_guests isomer_test_registrar)

# Peers in any number.
add_library(isomer_test_crowd STATIC ${CMAKE_CURRENT_LIST_DIR}/udp_crowd.c)
target_link_libraries(isomer_test_crowd PUBLIC isomer_test_guests PRIVATE isomer_flags)

# Servers that are asked on all ports of two prefixes.
add_library(isomer_test_udp STATIC ${CMAKE_CURRENT_LIST_DIR}/udp_asked.c)
target_link_libraries(isomer_test_udp
  PUBLIC isomer_test_crowd isomer_test_servers isomer_test_guests isomer_test_registrar PRIVATE isomer_flags)
isomer_add_test(test_udp_answers integration isomer_test_udp)
isomer_add_test(test_udp_kept integration isomer_test_udp)
isomer_add_test(test_udp_ways integration isomer_test_udp)
isomer_add_test(test_udp_forgotten integration isomer_test_udp)
isomer_add_test(test_udp_links integration isomer_test_udp)

# Also on other kernels, with the library in the guests.
set(udp_guests udp_cancelled udp_control udp_echo udp_elsewhere udp_errand udp_fortified
  udp_inherited udp_stack udp_steps udp_transfer udp_workers udp_cases echo)
list(TRANSFORM udp_guests PREPEND ${guests}/)
set_tests_properties(test_udp_same test_udp_answers test_udp_kept test_udp_ways test_udp_forgotten
  test_udp_links PROPERTIES LABELS "integration;state" REQUIRED_FILES "${udp_guests}")
