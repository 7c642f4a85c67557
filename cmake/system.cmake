# wattq for a whole machine: units, user, PAM service, settings, and the Debian package.
#   cmake --preset package && cmake --build build-package
#   cmake --install build-package              (as root), or
#   cpack --config build-package/CPackConfig.cmake -B build-package     -> wattq_VERSION_ARCH.deb
set(UNITS ${CMAKE_BINARY_DIR}/systemd)
foreach(unit wattqd.service wattq-launcher.service wattq-jobs.service wattq-meters.service)
    configure_file(systemd/system/${unit}.in ${UNITS}/${unit} @ONLY)
    list(APPEND UNIT_FILES ${UNITS}/${unit})
endforeach()
install(FILES ${UNIT_FILES} systemd/system/wattqd.socket DESTINATION lib/systemd/system)
install(FILES systemd/wattq.sysusers DESTINATION lib/sysusers.d RENAME wattq.conf)
install(FILES systemd/wattq.tmpfiles DESTINATION lib/tmpfiles.d RENAME wattq.conf)
install(FILES systemd/wattq.pam DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/pam.d RENAME wattq)
install(FILES systemd/meters.conf DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/wattq)
# The settings are the administrator's: the package makes them once, of what it asked (systemd/deb/postinst).
install(FILES systemd/wattqd.conf DESTINATION share/wattq)
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME wattq)
set(CPACK_PACKAGE_CONTACT "The wattq authors <wattq@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd, libpam-runtime, libpam-modules, passwd, debconf")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "freeipmi-tools, git")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "queue experiments on a shared machine and know what each one cost")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "wattqd reads every power meter of the machine, all the time; runs that are queued
 with wattq get their energy from the samples of exactly their own time, with bounds
 and provenance.")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/systemd/deb/postinst ${CMAKE_SOURCE_DIR}/systemd/deb/prerm
    ${CMAKE_SOURCE_DIR}/systemd/deb/postrm ${CMAKE_SOURCE_DIR}/systemd/deb/conffiles
    ${CMAKE_SOURCE_DIR}/systemd/deb/config ${CMAKE_SOURCE_DIR}/systemd/deb/templates)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
