/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "services/portal/door.h"

/* ---- hashes ---- */

void door_sha256(const char *text, char out_r[FB_DOOR_HASH])
{
    uint8_t digest[FB_SHA256_SIZE];
    fb_sha256(text, strlen(text), digest);
    fb_hex(digest, sizeof digest, out_r);
}

void door_hmac(const uint8_t key[FB_KEY_SIZE], const char *purpose, const char *a, const char *b,
               char out_r[FB_DOOR_HASH])
{
    const char *const parts[] = {purpose, a, b};
    uint8_t mac[FB_SHA256_SIZE];
    struct fb_buf text;
    fb_buf_init(&text, 1024);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        FB_ASSERT(fb_buf_add(&text, parts[i], strlen(parts[i]) + 1) == FB_OK);
    }
    fb_hmac_sha256(fb_slice_of(key, FB_KEY_SIZE), fb_slice_buf(&text), mac);
    fb_wipe(text.ptr, text.len);
    fb_buf_deinit(&text);
    fb_hex(mac, sizeof mac, out_r);
}

/* ---- cookies, codes ---- */

void door_code_new(char out_r[DOOR_CODE_DIGITS + 1])
{
    uint64_t code = fb_random_below(1000000);
    for (int i = DOOR_CODE_DIGITS - 1; i >= 0; i--) {
        out_r[i] = (char)('0' + code % 10);
        code /= 10;
    }
    out_r[DOOR_CODE_DIGITS] = '\0';
}

/* ---- addresses ---- */

void door_network(const struct fb_net_address *client, char out_r[DOOR_NETWORK])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct fb_net_address net = *client;
    char text[INET6_ADDRSTRLEN];
    bool is_v4 = memcmp(net.bytes, mapped, sizeof mapped) == 0;
    memset(net.bytes + (is_v4 ? 15 : 8), 0, is_v4 ? 1 : 8);
    fb_net_address_text(&net, text, sizeof text);
    (void)snprintf(out_r, DOOR_NETWORK, "%s/%s", text, is_v4 ? "24" : "64");
}

void door_masked(const char *address, char *out, size_t size)
{
    const char *at = strrchr(address, '@');
    size_t first = 0; /* bytes of the first character */
    if (at != NULL && at != address) {
        first = 1;
        while (address + first < at && ((unsigned char)address[first] & 0xc0) == 0x80) {
            first++;
        }
    }
    (void)snprintf(out, size, "%.*s\xe2\x80\xa2\xe2\x80\xa2\xe2\x80\xa2%s", (int)first, address,
                   at != NULL ? at : "");
}

bool door_is_member(const char *address, const char *of)
{
    const char *mine = strrchr(address, '@');
    const char *theirs = strrchr(of, '@');
    return mine != NULL && theirs != NULL && mine[1] != '\0' &&
           fb_slice_ieq_str(fb_slice_str(mine + 1), theirs + 1);
}

/* Enough to send to; the mail server decides over the rest.  Quoted local parts with blanks are not taken. */
bool door_is_address(const char *text)
{
    const char *at = strrchr(text, '@');
    size_t len = strlen(text);
    if (at == NULL || at == text || at[1] == '\0' || len >= READER_ADDRESS || !form_is_utf8(text)) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= 0x20 || c == 0x7f || strchr("<>()[]\\,;:\"", c) != NULL) {
            return false;
        }
    }
    return (size_t)(at - text) <= 64 && text[0] != '.' && at[-1] != '.' && strchr(text, '@') == at;
}
