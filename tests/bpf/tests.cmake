# SPDX-License-Identifier: BSD-3-Clause
isomer_add_test(test_precedence bpf isomer_test_dispatcher)
isomer_add_test(test_dispatcher bpf isomer_test_dispatcher)
isomer_add_test(test_slots bpf PkgConfig::LIBBPF)
isomer_add_test(test_socket bpf PkgConfig::LIBBPF)
isomer_add_test(test_load bpf)
isomer_add_test(test_state bpf)
