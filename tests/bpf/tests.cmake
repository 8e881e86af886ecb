# SPDX-License-Identifier: BSD-3-Clause
isomer_add_test(test_precedence bpf isomer_test_dispatcher)
isomer_add_test(test_dispatcher bpf isomer_test_dispatcher)
isomer_add_test(test_slots bpf PkgConfig::LIBBPF)
isomer_add_test(test_socket bpf PkgConfig::LIBBPF)
isomer_add_test(test_load bpf)
isomer_add_test(test_state bpf)
isomer_add_test(test_swaps bpf isomer_test_dispatcher Threads::Threads)
add_test(NAME test_swaps_many COMMAND test_swaps)
set_tests_properties(test_swaps_many PROPERTIES
  LABELS "bpf;long" TIMEOUT 600 ENVIRONMENT ISOMER_TEST_SWAPS=1000)
