# SPDX-License-Identifier: Apache-2.0
# The pages: built by Vite in the build folder, and embedded (web/README.md).
find_program(NPM npm REQUIRED)
find_program(GZIP gzip REQUIRED)
set(web ${CMAKE_CURRENT_SOURCE_DIR}/web)
set(web_work ${CMAKE_CURRENT_BINARY_DIR}/web)
set(web_out ${web_work}/dist)
file(MAKE_DIRECTORY ${web_work})
file(GLOB_RECURSE web_sources CONFIGURE_DEPENDS ${web}/src/* ${web}/public/*)
set(web_main package.json package-lock.json tsconfig.json vite.config.ts index.html)
list(TRANSFORM web_main PREPEND ${web}/ OUTPUT_VARIABLE web_main_files)
add_custom_command(
    OUTPUT ${web_work}/installed
    COMMAND ${CMAKE_COMMAND} -E copy ${web}/package.json ${web}/package-lock.json ${web_work}
    COMMAND ${NPM} ci --ignore-scripts --no-audit --no-fund --loglevel=error
    COMMAND ${CMAKE_COMMAND} -E touch ${web_work}/installed
    WORKING_DIRECTORY ${web_work}
    DEPENDS ${web}/package.json ${web}/package-lock.json
    COMMENT "what the console's pages are made of"
    VERBATIM)
foreach(file index.html console.js console.css icon.svg licences.txt)
    list(APPEND web_files ${web_out}/${file})
    list(APPEND web_packed ${web_out}/${file}.gz)
endforeach()
add_custom_command(
    OUTPUT ${web_files} ${web_packed}
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${web_work}/src ${web_work}/public
    COMMAND ${CMAKE_COMMAND} -E copy ${web_main_files} ${web_work}
    COMMAND ${CMAKE_COMMAND} -E copy_directory ${web}/src ${web_work}/src
    COMMAND ${CMAKE_COMMAND} -E copy_directory ${web}/public ${web_work}/public
    COMMAND ${NPM} run --silent build
    COMMAND ${GZIP} -9 -n -k -f ${web_files}
    WORKING_DIRECTORY ${web_work}
    DEPENDS ${web_work}/installed ${web_main_files} ${web_sources}
    COMMENT "the console's pages"
    VERBATIM)
set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/assets.c PROPERTIES OBJECT_DEPENDS "${web_files};${web_packed}"
    COMPILE_DEFINITIONS "FB_WEB_DIR=\"${web_out}\"")
target_sources(console_core PRIVATE assets.c)
