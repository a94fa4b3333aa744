# SPDX-License-Identifier: Apache-2.0
# What is installed, and the Debian packages: cmake --install, cpack.  Two packages: fumibako, and fumibako-render with
# what it alone needs (Chromium, fonts), so that machines that do not paint stay small.
include(GNUInstallDirs)
set(FB_GATEWAY ingest upload rewrite revoke watch portal console fetch)
set(FB_UNIT_DIR lib/systemd/system) # below /usr: where Debian 12 and 13 both look

# ---- manual pages, packed as Debian has them ----
find_program(GZIP gzip REQUIRED)
set(packed "")
function(fb_manual page component)
    get_filename_component(name ${page} NAME)
    string(REGEX MATCH "[1-8]$" section ${name})
    set(out ${CMAKE_BINARY_DIR}/man/${name}.gz)
    add_custom_command(OUTPUT ${out} DEPENDS ${CMAKE_SOURCE_DIR}/${page}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/man
        COMMAND ${GZIP} -9nc ${CMAKE_SOURCE_DIR}/${page} > ${out} VERBATIM)
    list(APPEND packed ${out})
    set(packed ${packed} PARENT_SCOPE)
    install(FILES ${out} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section} COMPONENT ${component})
endfunction()

# ---- files ----
foreach(service ${FB_GATEWAY} render)
    set(component gateway)
    if(service STREQUAL "render")
        set(component render)
    endif()
    install(TARGETS fumibako-${service} RUNTIME COMPONENT ${component})
    install(FILES deploy/systemd/fumibako-${service}.service DESTINATION ${FB_UNIT_DIR} COMPONENT ${component})
    fb_manual(services/${service}/fumibako-${service}.8 ${component})
endforeach()
install(TARGETS fumibako RUNTIME COMPONENT gateway)
install(FILES deploy/systemd/fumibako.target DESTINATION ${FB_UNIT_DIR} COMPONENT gateway)
install(FILES deploy/systemd/fumibako.sysusers DESTINATION lib/sysusers.d RENAME fumibako.conf COMPONENT gateway)
install(FILES deploy/systemd/fumibako.tmpfiles DESTINATION lib/tmpfiles.d RENAME fumibako.conf COMPONENT gateway)
fb_manual(services/ctl/fumibako.1 gateway)
fb_manual(deploy/fumibako.yaml.5 gateway)
add_custom_target(manuals ALL DEPENDS ${packed})
install(FILES deploy/fumibako.sample.yaml DESTINATION /etc/fumibako RENAME fumibako.yaml COMPONENT gateway)
install(FILES deploy/policy.sample.yaml deploy/redis/users.acl.sample DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples
    COMPONENT gateway)
install(DIRECTORY deploy/postfix DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT gateway)
install(DIRECTORY deploy/prometheus deploy/grafana DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT gateway
        PATTERN "*.test.yaml" EXCLUDE)
install(FILES deploy/runbooks.md deploy/runbooks.ja.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT gateway)
install(FILES deploy/debian/copyright README.md README.ja.md SECURITY.md DESTINATION ${CMAKE_INSTALL_DOCDIR}
    COMPONENT gateway)
install(FILES deploy/debian/copyright DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/fumibako-render COMPONENT render)

# ---- completion of command lines: where bash, zsh and fish look for it ----
set(completions "")
foreach(shell bash zsh fish)
    set(out ${CMAKE_BINARY_DIR}/completion/fumibako.${shell})
    add_custom_command(OUTPUT ${out} DEPENDS fumibako
        COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/completion
        COMMAND fumibako completion ${shell} > ${out} VERBATIM)
    list(APPEND completions ${out})
endforeach()
add_custom_target(completions ALL DEPENDS ${completions})
install(FILES ${CMAKE_BINARY_DIR}/completion/fumibako.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
    RENAME fumibako COMPONENT gateway)
install(FILES ${CMAKE_BINARY_DIR}/completion/fumibako.zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions
    RENAME _fumibako COMPONENT gateway)
install(FILES ${CMAKE_BINARY_DIR}/completion/fumibako.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d
    COMPONENT gateway)

# ---- what others wrote of the pages ----
install(FILES ${CMAKE_BINARY_DIR}/services/console/web/dist/licences.txt DESTINATION ${CMAKE_INSTALL_DOCDIR}
    RENAME licences-console.txt COMPONENT gateway)
install(FILES ${CMAKE_BINARY_DIR}/services/portal/web/node_modules/pdfjs-dist/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR}
    RENAME licence-pdfjs.txt COMPONENT gateway)

# ---- packages ----
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_NAME fumibako)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "Fumibako maintainers <fumibako@example.jp>" CACHE STRING "Maintainer of the packages")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL gateway render)
set(CPACK_COMPONENTS_GROUPING IGNORE)
# The release carries the Debian that it was built on, whose libraries it needs.
file(STRINGS /etc/os-release fb_debian REGEX "^VERSION_ID=")
string(REGEX REPLACE "[^0-9]" "" fb_debian "${fb_debian}")
set(CPACK_DEBIAN_PACKAGE_RELEASE "1~deb${fb_debian}u1")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION mail)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_GATEWAY_PACKAGE_NAME fumibako)
set(CPACK_DEBIAN_GATEWAY_DESCRIPTION "gateway that keeps outgoing mail in a box its sender controls
The mail server hands every mail to Fumibako.  For the recipients that a rule
selects it stores body and attachments in cloud storage and sends on the same
mail with a link in place of the content; everybody else gets the mail as it
was.  What was sent can be taken back.
This package has every service but the one that reads and paints mail, which
is in fumibako-render.")
set(CPACK_DEBIAN_GATEWAY_PACKAGE_DEPENDS "ca-certificates, passwd, systemd | systemd-standalone-sysusers")
set(CPACK_DEBIAN_GATEWAY_PACKAGE_RECOMMENDS "fumibako-render, redis-server (>= 5:7.0)")
set(CPACK_DEBIAN_GATEWAY_PACKAGE_SUGGESTS "postfix, prometheus")

set(CPACK_DEBIAN_RENDER_PACKAGE_NAME fumibako-render)
set(CPACK_DEBIAN_RENDER_DESCRIPTION "reads mail for Fumibako and paints its body as PDF
It evaluates the policy for each recipient and paints the body of a mail, text
with Pango and HTML with Chromium, each mail in a sandbox of its own.")
set(CPACK_DEBIAN_RENDER_PACKAGE_DEPENDS "fumibako (= ${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}), chromium-headless-shell, fonts-morisawa-bizud-gothic, fonts-morisawa-bizud-mincho, fonts-liberation")
set(CPACK_DEBIAN_RENDER_PACKAGE_RECOMMENDS "fonts-noto-core, fonts-noto-color-emoji, fonts-crosextra-carlito, fonts-crosextra-caladea, fonts-droid-fallback, fonts-nanum, fonts-ipamj-mincho, fonts-dejavu-core")

# Scripts of the packages.
function(fb_scripts component package)
    set(FB_PACKAGE ${package})
    string(REPLACE ";" " " FB_UNITS "${ARGN}")
    set(dir ${CMAKE_BINARY_DIR}/debian/${package})
    foreach(script postinst prerm postrm)
        configure_file(deploy/debian/${script}.in ${dir}/${script} @ONLY FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
            GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
        list(APPEND files ${dir}/${script})
    endforeach()
    string(TOUPPER ${component} upper)
    set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA ${files} PARENT_SCOPE)
endfunction()
list(TRANSFORM FB_GATEWAY PREPEND fumibako- OUTPUT_VARIABLE fb_units)
list(TRANSFORM fb_units APPEND .service)
fb_scripts(gateway fumibako ${fb_units} fumibako.target)
fb_scripts(render fumibako-render fumibako-render.service)
list(APPEND CPACK_DEBIAN_GATEWAY_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/deploy/debian/conffiles)
include(CPack)
