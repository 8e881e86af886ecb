# SPDX-License-Identifier: BSD-3-Clause
#
# cmake -DLIBRARY=… -DNM=… -DREADELF=… [-DSANITIZED=…] -P exports.cmake
#
# What libisomer_preload.so shows to other programs, and what it needs from them: a name too many
# would shadow one of theirs, a library too many would be loaded into all of them.

set(expected_exports __read_chk __recv_chk __recvfrom_chk bind close dup dup2 dup3 fcntl fcntl64 getsockopt ioctl listen read readv recv
  recvfrom recvmmsg recvmsg send sendmmsg sendmsg sendto setsockopt socket write writev)
set(expected_needed libc.so.6)

# lines(RESULT REGEX COMMAND…): group 1 of every line of the output that matches, sorted.
function(lines result regex)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
  string(REPLACE "\n" ";" output "${output}")
  set(found)
  foreach(line IN LISTS output)
    if(line MATCHES "${regex}")
      list(APPEND found ${CMAKE_MATCH_1})
    endif()
  endforeach()
  list(SORT found)
  set(${result} "${found}" PARENT_SCOPE)
endfunction()

lines(exports "^[0-9a-f]+ [A-Za-z] (.*)$" ${NM} -D --defined-only ${LIBRARY})
if(NOT exports STREQUAL expected_exports)
  message(FATAL_ERROR "exported: ${exports}; expected: ${expected_exports}")
endif()

lines(needed "\\(NEEDED\\).*\\[(.*)\\]" ${READELF} -d ${LIBRARY})
if(NOT SANITIZED AND NOT needed STREQUAL expected_needed)
  message(FATAL_ERROR "needed: ${needed}; expected: ${expected_needed}")
endif()

lines(static_tls "(STATIC_TLS)" ${READELF} -d ${LIBRARY})
if(NOT static_tls STREQUAL "")
  message(FATAL_ERROR "uses static TLS")
endif()
