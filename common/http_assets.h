/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of web pages that are part of the program: scripts, style sheets, pictures.  Each lies in it as it is and as
 * gzip, put there by the assembler (a compiler needs minutes for such an array).  Their path changes with their bytes,
 * so that browsers keep them for good. */
#ifndef FB_COMMON_HTTP_ASSETS_H
#define FB_COMMON_HTTP_ASSETS_H

#include "common/http_server.h"

/* Defines `name` and `name_end`: the bytes of a file, named by a string literal. */
#define FB_ASSET_EMBED(name, file)                                                                 \
    __asm__(".section .rodata\n"                                                                   \
            ".balign 16\n"                                                                         \
            ".global " #name "\n" #name ":\n"                                                      \
            ".incbin \"" file "\"\n"                                                               \
            ".global " #name "_end\n" #name "_end:\n"                                              \
            ".previous\n");                                                                        \
    extern const uint8_t name[], name##_end[]

struct fb_asset {
    const char *name, *type; /* "viewer.css", "text/css; charset=utf-8" */
    const uint8_t *plain, *plain_end, *packed, *packed_end;
};

#define FB_ASSETS_HASH_SIZE 17

/* Sixteen hexadecimal digits that change with the files. */
void fb_assets_hash(const struct fb_asset *assets, size_t count, char hex_r[FB_ASSETS_HASH_SIZE]);
/* Answers with the file of that name, packed where the client takes that; may be kept for a year.  False, and nothing
 * is answered: there is no such file. */
bool fb_assets_send(const struct fb_asset *assets, size_t count, const char *name,
                    const struct fb_http_request *request, struct fb_http_answer *answer);

#endif
