# SPDX-License-Identifier: Apache-2.0
# render_html: HTML made ready for Chromium, and Chromium itself; linked by the render service and by tests.
set(render_dir ${CMAKE_SOURCE_DIR}/services/render)

# fonts/fonts.conf goes into the program: both painters must find it wherever that is installed, and whoever they run as.
set(fonts_conf ${render_dir}/fonts/fonts.conf)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${fonts_conf})
file(READ ${fonts_conf} fonts_hex HEX)
string(REGEX REPLACE "(..)" "0x\\1," fonts_bytes "${fonts_hex}")
string(REGEX REPLACE "((....,){20})" "\\1\n" fonts_bytes "${fonts_bytes}")
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/fonts_conf.inc CONTENT "${fonts_bytes}" @ONLY)

file(GLOB render_html_sources CONFIGURE_DEPENDS ${render_dir}/html_prepare*.c ${render_dir}/chromium*.c)
add_library(render_html STATIC ${render_html_sources} ${render_dir}/image_size.c ${render_dir}/fonts.c
    ${render_dir}/head_text.c ${render_dir}/flowed.c ${render_dir}/links.c ${render_dir}/letter_images.c)
target_include_directories(render_html PRIVATE ${CMAKE_BINARY_DIR}/generated)
target_link_libraries(render_html PUBLIC fb_common FB::gumbo FB::jansson OpenSSL::Crypto PRIVATE fb_flags)
