# SPDX-License-Identifier: BSD-3-Clause

# The product's code again, compiled for a kernel of the test's making: support/explorer.h.
isomer_add_host_program(isomer_test_few_slots ${PROJECT_SOURCE_DIR}/bpf/state/slots.c)
isomer_add_test(test_slot_races races isomer_test_few_slots isomer_test_explorer isomer_loader_core)
foreach(target isomer_test_few_slots test_slot_races)
  target_compile_options(${target} PRIVATE
    -I${PROJECT_SOURCE_DIR}/bpf/include -include ${CMAKE_CURRENT_LIST_DIR}/few_slots.h)
endforeach()

# With pages so small that an index of a few blocks has two.
isomer_add_host_program(isomer_test_two_blocks)
add_library(isomer_test_index OBJECT ${PROJECT_SOURCE_DIR}/loader/index.c)
target_include_directories(isomer_test_index PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(isomer_test_index PRIVATE isomer_flags isomer_state)
target_compile_options(isomer_test_index PRIVATE -include ${CMAKE_CURRENT_LIST_DIR}/renamed.h)
isomer_add_test(test_ruleset_races races
  isomer_test_index isomer_test_two_blocks isomer_test_explorer isomer_loader_core)
foreach(target isomer_test_two_blocks isomer_test_index test_ruleset_races)
  target_compile_definitions(${target} PRIVATE ISOMER_PAGE_BLOCKS=2)
endforeach()
target_sources(test_ruleset_races PRIVATE ${CMAKE_CURRENT_LIST_DIR}/ruleset_world.c)
