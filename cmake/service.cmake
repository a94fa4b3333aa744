# SPDX-License-Identifier: Apache-2.0

# fb_service(NAME SOURCES a.c b.c LIBS FB::x): the static library <NAME>_core (everything but main.c,
# linked by the tests) and the program fumibako-<NAME> (main.c alone).
function(fb_service name)
    cmake_parse_arguments(S "" "PROGRAM" "SOURCES;LIBS" ${ARGN})
    if(NOT S_PROGRAM)
        set(S_PROGRAM fumibako-${name})
    endif()
    add_library(${name}_core STATIC ${S_SOURCES})
    target_link_libraries(${name}_core PUBLIC fb_common ${S_LIBS} PRIVATE fb_flags)
    add_executable(${S_PROGRAM} main.c)
    target_link_libraries(${S_PROGRAM} PRIVATE ${name}_core fb_flags)
endfunction()

# fb_unit_test(NAME LIBS x_core): test_<NAME>.c, one cmocka program a module, run by ctest.
function(fb_unit_test name)
    cmake_parse_arguments(T "" "" "LIBS" ${ARGN})
    add_executable(test_${name} test_${name}.c)
    target_link_libraries(test_${name} PRIVATE fb_common ${T_LIBS} FB::cmocka fb_flags)
    add_test(NAME unit.${name} COMMAND test_${name})
    set_tests_properties(unit.${name} PROPERTIES LABELS unit TIMEOUT 900)
endfunction()
