# SPDX-License-Identifier: Apache-2.0
# render_mime: everything that reads a mail, linked by the render service and by its tests and fuzz targets.
set(render_dir ${CMAKE_SOURCE_DIR}/services/render)
file(GLOB section_sources CONFIGURE_DEPENDS ${render_dir}/section*.c)
add_library(render_mime STATIC ${section_sources} ${render_dir}/content_line.c
    ${render_dir}/addresses.c ${render_dir}/carrier.c ${render_dir}/carrier_table.c ${render_dir}/charset.c ${render_dir}/charset_guess.c ${render_dir}/charset_jp.c
    ${render_dir}/facts.c ${render_dir}/headers.c ${render_dir}/html_entities.c ${render_dir}/html_text.c
    ${render_dir}/image_size.c ${render_dir}/language.c ${render_dir}/letter.c ${render_dir}/mime.c ${render_dir}/mime_body.c
    ${render_dir}/mime_leaf.c ${render_dir}/mime_nested.c ${render_dir}/mime_parts.c ${render_dir}/mime_proof.c ${render_dir}/mime_scan.c
    ${render_dir}/mime_source.c ${render_dir}/mime_unpack.c ${render_dir}/mime_uu.c ${render_dir}/mime_walk.c
    ${render_dir}/names.c ${render_dir}/params.c ${render_dir}/rtf.c ${render_dir}/tnef.c ${render_dir}/tnef_props.c
    ${render_dir}/words.c)
target_link_libraries(render_mime PUBLIC fb_common FB::gmime FB::libical OpenSSL::Crypto PRIVATE fb_flags)
