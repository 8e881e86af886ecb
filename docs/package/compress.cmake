# SPDX-License-Identifier: BSD-3-Clause
# What Debian's policy wants compressed, in the folder that is to be packed.
file(GLOB pages ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share/man/man?/*)
set(changelog ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share/doc/isomer/changelog)
string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC)
file(WRITE ${changelog} "isomer (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium

  * Built from its sources.

 -- ${CPACK_PACKAGE_CONTACT}  ${now}
")
execute_process(COMMAND gzip -9n ${changelog} ${pages} COMMAND_ERROR_IS_FATAL ANY)
