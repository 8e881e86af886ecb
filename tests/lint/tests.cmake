# SPDX-License-Identifier: BSD-3-Clause
foreach(check format banned headers shell attacks)
  add_test(NAME style_${check} COMMAND ${CMAKE_CURRENT_LIST_DIR}/check.sh ${check})
  set_tests_properties(style_${check} PROPERTIES LABELS style TIMEOUT 300)
endforeach()
