# SPDX-License-Identifier: Apache-2.0
# What paints with Pango and Cairo: for the render service, and for the fuzz targets, which take no more of it.
set(render_dir ${CMAKE_SOURCE_DIR}/services/render)
file(GLOB render_paint_sources CONFIGURE_DEPENDS ${render_dir}/native*.c ${render_dir}/page*.c ${render_dir}/text_paint.c
    ${render_dir}/pdf_patch.c ${render_dir}/pdf_flate.c ${render_dir}/pdf_font.c ${render_dir}/pdf_stream.c
    ${render_dir}/glyphs.c ${render_dir}/flowed.c ${render_dir}/forwarded.c
    ${render_dir}/links.c ${render_dir}/picture.c ${render_dir}/picture_gif.c ${render_dir}/head_text.c)
set(render_paint_libs render_mime render_html FB::pangocairo FB::pango FB::cairo FB::libwebp FB::giflib FB::zlib FB::libdeflate PkgConfig::fontconfig PkgConfig::freetype m)
