# SPDX-License-Identifier: BSD-3-Clause
isomer_add_test(test_soak soak isomer_test_guests Threads::Threads)
target_sources(test_soak PRIVATE ${CMAKE_CURRENT_LIST_DIR}/census.c)
set_tests_properties(test_soak PROPERTIES TIMEOUT 1800)
