# SPDX-License-Identifier: BSD-3-Clause
isomer_add_test(test_soak soak isomer_test_guests Threads::Threads)
set_tests_properties(test_soak PROPERTIES TIMEOUT 1800)
