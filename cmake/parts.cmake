# SPDX-License-Identifier: Apache-2.0
# The parts that Debian keeps for us; one imported target each, named FB::<part>.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(CURL REQUIRED)
foreach(part hiredis yaml-0.1 jansson libevent libevent_openssl libevent_pthreads libmicrohttpd gmime-3.0
        pango pangocairo cairo libseccomp gumbo zlib cmocka liboath libqrencode libsodium libfido2 libcbor
        poppler-glib gdk-pixbuf-2.0 libarchive libical libwebp libqpdf libdeflate)
    string(REGEX REPLACE "[^a-z]" "" name ${part})
    pkg_check_modules(${name} REQUIRED IMPORTED_TARGET GLOBAL ${part})
    add_library(FB::${name} ALIAS PkgConfig::${name})
    # Headers of others are not held to our warnings.
    get_target_property(dirs PkgConfig::${name} INTERFACE_INCLUDE_DIRECTORIES)
    if(dirs)
        set_target_properties(PkgConfig::${name} PROPERTIES INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${dirs}")
    endif()
endforeach()
# giflib comes without a .pc file.
find_package(GIF 5.1 REQUIRED)
add_library(FB::giflib ALIAS GIF::GIF)
# TLS to Redis: hiredis 1.x has it (Debian 13), 0.14 does not (Debian 12).
pkg_check_modules(hiredisssl IMPORTED_TARGET GLOBAL hiredis_ssl)
# Debian 12 calls it msgpack (package libmsgpack-dev), Debian 13 msgpack-c (libmsgpack-c-dev).
pkg_search_module(msgpack REQUIRED IMPORTED_TARGET GLOBAL msgpack-c msgpack)
# Debian 13's msgpack-c.pc says "-Iinclude": its headers lie in /usr/include, where they are found anyway.
get_target_property(dirs PkgConfig::msgpack INTERFACE_INCLUDE_DIRECTORIES)
if("include" IN_LIST dirs)
    list(REMOVE_ITEM dirs include)
    set_target_properties(PkgConfig::msgpack PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${dirs}")
endif()
add_library(FB::msgpack ALIAS PkgConfig::msgpack)
# tre.pc carries compiler flags of Debian's own; its header and library are all we want.
find_path(TRE_INCLUDE tre/tre.h REQUIRED)
find_library(TRE_LIBRARY tre REQUIRED)
add_library(fb_tre INTERFACE)
target_link_libraries(fb_tre INTERFACE ${TRE_LIBRARY})
add_library(FB::tre ALIAS fb_tre)
