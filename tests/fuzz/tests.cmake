# SPDX-License-Identifier: BSD-3-Clause

# Only with the preset "fuzz": everything is compiled for it then.
if(NOT ISOMER_SANITIZE MATCHES fuzzer)
  return()
endif()

add_custom_target(fuzz)

# isomer_add_fuzz_target(NAME [LIBRARIES…]): tests/fuzz/fuzz_NAME.c, with the corpus in corpus/NAME.
function(isomer_add_fuzz_target name)
  add_executable(fuzz_${name} fuzz/fuzz_${name}.c)
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  target_link_libraries(fuzz_${name} PRIVATE isomer_flags ${ARGN})
  target_include_directories(fuzz_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  add_dependencies(fuzz fuzz_${name})
  add_test(NAME fuzz_${name}
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/run.sh $<TARGET_FILE:fuzz_${name}>
            ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name})
  set_tests_properties(fuzz_${name} PROPERTIES LABELS fuzz TIMEOUT 0)
endfunction()

isomer_add_fuzz_target(prefix isomer_state)
isomer_add_fuzz_target(ports isomer_state)
isomer_add_fuzz_target(label isomer_state)
isomer_add_fuzz_target(rules isomer_preload_core)
isomer_add_fuzz_target(config isomer_preload_core)
isomer_add_fuzz_target(control isomer_preload_core)
isomer_add_fuzz_target(inherited isomer_loader_core isomer_preload_core)
isomer_add_fuzz_target(bindings_file isomer_loader_core)
isomer_add_fuzz_target(ruleset isomer_loader_core isomer_test_host_program)
isomer_add_fuzz_target(registrar isomer_loader_core)
