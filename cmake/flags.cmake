# SPDX-License-Identifier: Apache-2.0
# Every target of ours links fb_flags: C11, warnings as errors, hardening, and the sanitizer that
# FB_SANITIZE names (address, thread, fuzzer; empty for none).
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(FB_SANITIZE "" CACHE STRING "address, thread, fuzzer or nothing")
option(FB_COVERAGE "instrument for gcov" OFF)

find_program(CCACHE ccache)
if(CCACHE)
    set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(fb_flags INTERFACE)
target_compile_definitions(fb_flags INTERFACE _GNU_SOURCE FB_VERSION="${PROJECT_VERSION}")
target_include_directories(fb_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(fb_flags INTERFACE
    -Wall -Wextra -Werror -Wshadow -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wvla
    -Wpointer-arith -Wwrite-strings -Wundef -Wimplicit-fallthrough -Wcast-qual
    -fno-common -fstack-protector-strong -g
    # The same program from whatever folder it is built in.
    $<$<CONFIG:Release>:-ffile-prefix-map=${CMAKE_SOURCE_DIR}=.>)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    target_compile_options(fb_flags INTERFACE -Wlogical-op -Wduplicated-cond)
endif()
# Control flow: shadow stack and landing pads (CET) on x86, their kin on ARM.  Debian 12's crt1.o has no
# landing pad, so that a program is marked for the shadow stack alone.
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
    target_compile_options(fb_flags INTERFACE -fcf-protection=full)
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
        target_link_options(fb_flags INTERFACE -Wl,-z,shstk)
    endif()
elseif(CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
    target_compile_options(fb_flags INTERFACE -mbranch-protection=standard)
endif()
target_link_options(fb_flags INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack)

if(FB_SANITIZE STREQUAL "address")
    set(sanitizers -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
elseif(FB_SANITIZE STREQUAL "thread")
    set(sanitizers -fsanitize=thread -fno-omit-frame-pointer)
elseif(FB_SANITIZE STREQUAL "fuzzer")
    set(sanitizers -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined)
endif()
if(sanitizers)
    target_compile_options(fb_flags INTERFACE ${sanitizers} -O1)
    target_link_options(fb_flags INTERFACE ${sanitizers})
    target_compile_definitions(fb_flags INTERFACE FB_SANITIZED=1)
else()
    target_compile_definitions(fb_flags INTERFACE FB_SANITIZED=0)
    # (A sanitizer sees for itself where the stack or a buffer ends.)
    target_compile_options(fb_flags INTERFACE -fstack-clash-protection $<$<CONFIG:Release>:-U_FORTIFY_SOURCE>
        $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=3>)
endif()
if(FB_COVERAGE)
    target_compile_options(fb_flags INTERFACE --coverage -O0)
    target_compile_definitions(fb_flags INTERFACE FB_COVERAGE=1)
    target_link_options(fb_flags INTERFACE --coverage)
endif()
