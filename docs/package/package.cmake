# SPDX-License-Identifier: BSD-3-Clause
# A package for Debian: cpack -G DEB, in the build folder.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME isomer)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "isomer authors <isomer@example.org>" CACHE STRING "Who makes the package")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
# Before the files are packed.
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/compress.cmake)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# sysusers makes the group; the libraries are opened by the commands that need them.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "libmicrohttpd12, libncursesw6, libsystemd0")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
foreach(script IN ITEMS postinst prerm postrm triggers)
  list(APPEND CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/${script})
endforeach()
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "sends traffic to prefixes and ports to labels")
set(CPACK_PACKAGE_DESCRIPTION "An operator binds prefixes and ports to labels, and unmodified servers take
that traffic under a preload library: one socket serves a whole subnet, a
range of ports or all ports of an address, without a right to bind any of
them. The kernel dispatches (sk_lookup BPF, Linux 5.10 or newer): no proxy,
no NAT, no daemon in the path of a packet.")

install(FILES ${PROJECT_SOURCE_DIR}/LICENSE RENAME copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})
include(CPack)
