# SPDX-License-Identifier: Apache-2.0
# Reading: pages, downloads, the painter, and the viewer's files, which become part of the program (web/README.md).
find_program(NPM npm REQUIRED)
find_program(GZIP gzip REQUIRED)
set(web ${CMAKE_CURRENT_SOURCE_DIR}/web)
set(web_out ${CMAKE_CURRENT_BINARY_DIR}/web)
set(pdfjs node_modules/pdfjs-dist/legacy/build)
add_custom_command(
    OUTPUT ${web_out}/pdf.min.mjs ${web_out}/pdf.worker.min.mjs
    COMMAND ${CMAKE_COMMAND} -E make_directory ${web_out}
    COMMAND ${CMAKE_COMMAND} -E copy ${web}/package.json ${web}/package-lock.json ${web_out}
    COMMAND ${NPM} ci --ignore-scripts --omit=optional --no-audit --no-fund --loglevel=error
    COMMAND ${CMAKE_COMMAND} -E copy ${pdfjs}/pdf.min.mjs ${pdfjs}/pdf.worker.min.mjs ${web_out}
    WORKING_DIRECTORY ${web_out}
    DEPENDS ${web}/package.json ${web}/package-lock.json
    COMMENT "pdf.js for the reading page"
    VERBATIM)
foreach(file viewer.mjs viewer.css)
    add_custom_command(OUTPUT ${web_out}/${file} COMMAND ${CMAKE_COMMAND} -E copy ${web}/${file} ${web_out}
        DEPENDS ${web}/${file} VERBATIM)
endforeach()
foreach(file pdf.min.mjs pdf.worker.min.mjs viewer.mjs viewer.css)
    add_custom_command(OUTPUT ${web_out}/${file}.gz COMMAND ${GZIP} -9 -n -k -f ${web_out}/${file}
        DEPENDS ${web_out}/${file} VERBATIM)
    list(APPEND web_files ${web_out}/${file} ${web_out}/${file}.gz)
endforeach()
set_source_files_properties(assets.c PROPERTIES OBJECT_DEPENDS "${web_files}"
    COMPILE_DEFINITIONS "FB_WEB_DIR=\"${web_out}\"")

target_sources(portal_core PRIVATE assets.c painter.c painter_child.c painter_wire.c read_file.c read_image.c read_name.c
    read_page.c read_stream.c read_ticket.c read_zip.c)
target_link_libraries(portal_core PUBLIC FB::popplerglib FB::gdkpixbuf FB::pangocairo FB::pango FB::cairo FB::libarchive)
