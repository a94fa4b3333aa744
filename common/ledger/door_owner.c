/* SPDX-License-Identifier: Apache-2.0 */
#include "common/crypto.h"
#include "common/ledger/door.h"

void fb_door_owner(const char *address, char out_r[FB_DOOR_HASH])
{
    char folded[FB_DOOR_ADDRESS];
    uint8_t digest[FB_SHA256_SIZE];
    size_t n = 0;
    for (; address[n] != '\0' && n + 1 < sizeof folded; n++) {
        char c = address[n];
        folded[n] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    fb_sha256(folded, n, digest);
    fb_hex(digest, sizeof digest, out_r);
}
