/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <liboath/oath.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "services/portal/door.h"

#define COOKIE_RAW 32
#define DIGITS                                                                                     \
    "0123456789ABCDEFGHJKMNPQRSTVWXYZ" /* Crockford: nothing that looks like something else */
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

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

void door_cookie_new(char out_r[DOOR_COOKIE])
{
    uint8_t raw[COOKIE_RAW];
    struct fb_buf text;
    fb_random(raw, sizeof raw);
    fb_buf_init(&text, DOOR_COOKIE);
    FB_ASSERT(fb_base64url_encode(fb_slice_of(raw, sizeof raw), &text) == FB_OK &&
              text.len == DOOR_COOKIE - 1);
    memcpy(out_r, fb_buf_str(&text), DOOR_COOKIE);
    fb_wipe(raw, sizeof raw);
    fb_wipe(text.ptr, text.len);
    fb_buf_deinit(&text);
}

bool door_cookie_is_valid(const char *cookie)
{
    return strlen(cookie) == DOOR_COOKIE - 1 && strspn(cookie, LETTERS) == DOOR_COOKIE - 1;
}

void door_code_new(char out_r[DOOR_CODE_DIGITS + 1])
{
    uint64_t code = fb_random_below(1000000);
    for (int i = DOOR_CODE_DIGITS - 1; i >= 0; i--) {
        out_r[i] = (char)('0' + code % 10);
        code /= 10;
    }
    out_r[DOOR_CODE_DIGITS] = '\0';
}

/* Japanese keyboards give U+FF10 to U+FF19 (EF BC 90 to 99), and U+3000 (E3 80 80) as a blank. */
bool door_code_read(const char *typed, char out_r[DOOR_CODE_DIGITS + 1])
{
    const unsigned char *p = (const unsigned char *)typed;
    size_t n = 0;
    while (*p != '\0') {
        char digit = '\0';
        if (*p >= '0' && *p <= '9') {
            digit = (char)*p++;
        } else if (p[0] == 0xef && p[1] == 0xbc && p[2] >= 0x90 && p[2] <= 0x99) {
            digit = (char)('0' + p[2] - 0x90);
            p += 3;
        } else if (p[0] == 0xe3 && p[1] == 0x80 && p[2] == 0x80) {
            p += 3;
            continue;
        } else if (*p == ' ' || *p == '-' || *p == '\t') {
            p++;
            continue;
        }
        if (digit == '\0' || n == DOOR_CODE_DIGITS) {
            return false;
        }
        out_r[n++] = digit;
    }
    out_r[n] = '\0';
    return n == DOOR_CODE_DIGITS;
}

void door_recovery_new(char out_r[DOOR_RECOVERY])
{
    for (size_t i = 0; i < DOOR_RECOVERY - 1; i++) {
        out_r[i] = i % 5 == 4 ? '-' : (char)tolower(DIGITS[fb_random_below(32)]);
    }
    out_r[DOOR_RECOVERY - 1] = '\0';
}

bool door_recovery_read(const char *typed, char out_r[DOOR_RECOVERY])
{
    size_t n = 0;
    for (const char *p = typed; *p != '\0'; p++) {
        char c = (char)toupper((unsigned char)*p);
        c = c == 'O' ? '0' : c == 'I' || c == 'L' ? '1' : c;
        if (c == ' ' || c == '-') {
            continue;
        }
        if (strchr(DIGITS, c) == NULL || n == DOOR_RECOVERY - 1) {
            return false;
        }
        if (n % 5 == 4) {
            out_r[n++] = '-';
        }
        if (n == DOOR_RECOVERY - 1) {
            return false;
        }
        out_r[n++] = (char)tolower((unsigned char)c);
    }
    out_r[n] = '\0';
    return n == DOOR_RECOVERY - 1;
}

/* ---- the app's secret ---- */

void door_totp_seal(const uint8_t key[FB_KEY_SIZE], const char *owner,
                    const uint8_t secret[DOOR_TOTP_SECRET], char out_r[FB_DOOR_SEALED])
{
    uint8_t bytes[FB_NONCE_SIZE + DOOR_TOTP_SECRET + FB_TAG_SIZE];
    struct fb_buf text;
    fb_random(bytes, FB_NONCE_SIZE);
    fb_gcm_seal(key, bytes, fb_slice_str(owner), fb_slice_of(secret, DOOR_TOTP_SECRET),
                bytes + FB_NONCE_SIZE, bytes + FB_NONCE_SIZE + DOOR_TOTP_SECRET);
    fb_buf_init(&text, FB_DOOR_SEALED);
    FB_ASSERT(fb_base64_encode(fb_slice_of(bytes, sizeof bytes), &text) == FB_OK &&
              text.len < FB_DOOR_SEALED);
    memcpy(out_r, fb_buf_str(&text), text.len + 1);
    fb_buf_deinit(&text);
}

bool door_totp_unseal(const uint8_t key[FB_KEY_SIZE], const char *owner, const char *sealed,
                      uint8_t secret_r[DOOR_TOTP_SECRET])
{
    const size_t size = FB_NONCE_SIZE + DOOR_TOTP_SECRET + FB_TAG_SIZE;
    struct fb_buf bytes;
    fb_buf_init(&bytes, size);
    bool is_ours = fb_base64_decode(fb_slice_str(sealed), &bytes) == FB_OK && bytes.len == size &&
                   fb_gcm_open(key, bytes.ptr, fb_slice_str(owner),
                               fb_slice_of(bytes.ptr + FB_NONCE_SIZE, DOOR_TOTP_SECRET),
                               bytes.ptr + FB_NONCE_SIZE + DOOR_TOTP_SECRET, secret_r) == FB_OK;
    fb_buf_deinit(&bytes);
    return is_ours;
}

bool door_totp_check(const uint8_t secret[DOOR_TOTP_SECRET], const char *code, int64_t now_ms,
                     int64_t *step_r)
{
    bool is_right = false;
    int64_t now = now_ms / 1000 / DOOR_TOTP_STEP_S;
    for (int64_t step = now - 1; step <= now + 1; step++) {
        char want[DOOR_CODE_DIGITS + 1] = "";
        if (oath_totp_generate((const char *)secret, DOOR_TOTP_SECRET,
                               (time_t)(step * DOOR_TOTP_STEP_S), DOOR_TOTP_STEP_S, 0,
                               DOOR_CODE_DIGITS, want) == OATH_OK &&
            fb_equal_secret(want, code, DOOR_CODE_DIGITS)) {
            is_right = true;
            *step_r = step;
        }
        fb_wipe(want, sizeof want);
    }
    return is_right;
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
