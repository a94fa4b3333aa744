/* SPDX-License-Identifier: Apache-2.0 */
#include "common/totp/totp.h"

#include <ctype.h>
#include <liboath/oath.h>
#include <qrencode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/id.h"

#define DIGITS                                                                                     \
    "0123456789ABCDEFGHJKMNPQRSTVWXYZ" /* Crockford: nothing that looks like something else */
#define NAME_MAX_BYTES 240

/* Japanese keyboards give U+FF10 to U+FF19 (EF BC 90 to 99), and U+3000 (E3 80 80) as a blank. */
bool fb_totp_code_read(const char *typed, char out_r[FB_TOTP_DIGITS + 1])
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
        if (digit == '\0' || n == FB_TOTP_DIGITS) {
            return false;
        }
        out_r[n++] = digit;
    }
    out_r[n] = '\0';
    return n == FB_TOTP_DIGITS;
}

void fb_totp_recovery_new(char out_r[FB_TOTP_RECOVERY])
{
    for (size_t i = 0; i < FB_TOTP_RECOVERY - 1; i++) {
        out_r[i] = i % 5 == 4 ? '-' : (char)tolower(DIGITS[fb_random_below(32)]);
    }
    out_r[FB_TOTP_RECOVERY - 1] = '\0';
}

bool fb_totp_recovery_read(const char *typed, char out_r[FB_TOTP_RECOVERY])
{
    size_t n = 0;
    for (const char *p = typed; *p != '\0'; p++) {
        char c = (char)toupper((unsigned char)*p);
        c = c == 'O' ? '0' : c == 'I' || c == 'L' ? '1' : c;
        if (c == ' ' || c == '-') {
            continue;
        }
        if (strchr(DIGITS, c) == NULL || n == FB_TOTP_RECOVERY - 1) {
            return false;
        }
        if (n % 5 == 4) {
            out_r[n++] = '-';
        }
        if (n == FB_TOTP_RECOVERY - 1) {
            return false;
        }
        out_r[n++] = (char)tolower((unsigned char)c);
    }
    out_r[n] = '\0';
    return n == FB_TOTP_RECOVERY - 1;
}

/* ---- the app's secret ---- */

void fb_totp_seal(const uint8_t key[FB_KEY_SIZE], const char *owner,
                  const uint8_t secret[FB_TOTP_SECRET], char out_r[FB_TOTP_SEALED])
{
    uint8_t bytes[FB_NONCE_SIZE + FB_TOTP_SECRET + FB_TAG_SIZE];
    struct fb_buf text;
    fb_random(bytes, FB_NONCE_SIZE);
    fb_gcm_seal(key, bytes, fb_slice_str(owner), fb_slice_of(secret, FB_TOTP_SECRET),
                bytes + FB_NONCE_SIZE, bytes + FB_NONCE_SIZE + FB_TOTP_SECRET);
    fb_buf_init(&text, FB_TOTP_SEALED);
    FB_ASSERT(fb_base64_encode(fb_slice_of(bytes, sizeof bytes), &text) == FB_OK &&
              text.len < FB_TOTP_SEALED);
    memcpy(out_r, fb_buf_str(&text), text.len + 1);
    fb_buf_deinit(&text);
}

bool fb_totp_unseal(const uint8_t key[FB_KEY_SIZE], const char *owner, const char *sealed,
                    uint8_t secret_r[FB_TOTP_SECRET])
{
    const size_t size = FB_NONCE_SIZE + FB_TOTP_SECRET + FB_TAG_SIZE;
    struct fb_buf bytes;
    fb_buf_init(&bytes, size);
    bool is_ours = fb_base64_decode(fb_slice_str(sealed), &bytes) == FB_OK && bytes.len == size &&
                   fb_gcm_open(key, bytes.ptr, fb_slice_str(owner),
                               fb_slice_of(bytes.ptr + FB_NONCE_SIZE, FB_TOTP_SECRET),
                               bytes.ptr + FB_NONCE_SIZE + FB_TOTP_SECRET, secret_r) == FB_OK;
    fb_buf_deinit(&bytes);
    return is_ours;
}

bool fb_totp_check(const uint8_t secret[FB_TOTP_SECRET], const char *code, int64_t now_ms,
                   int64_t *step_r)
{
    bool is_right = false;
    int64_t now = now_ms / 1000 / FB_TOTP_STEP_S;
    for (int64_t step = now - 1; step <= now + 1; step++) {
        char want[FB_TOTP_DIGITS + 1] = "";
        if (oath_totp_generate((const char *)secret, FB_TOTP_SECRET,
                               (time_t)(step * FB_TOTP_STEP_S), FB_TOTP_STEP_S, 0, FB_TOTP_DIGITS,
                               want) == OATH_OK &&
            fb_equal_secret(want, code, FB_TOTP_DIGITS)) {
            is_right = true;
            *step_r = step;
        }
        fb_wipe(want, sizeof want);
    }
    return is_right;
}

/* ---- what the app scans ---- */

static void add_escaped(struct fb_buf *out, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (; *text != '\0'; text++) {
        enum fb_status s = strchr(plain, *text) != NULL
                               ? fb_buf_add_char(out, *text)
                               : fb_buf_printf(out, "%%%02X", (unsigned char)*text);
        if (s != FB_OK) {
            return; /* cut: only a name that the app shows */
        }
    }
}

bool fb_totp_uri(const char *issuer, const char *who, const char *base32, char out_r[FB_TOTP_URI])
{
    struct fb_buf name, owner;
    fb_buf_init(&name, NAME_MAX_BYTES);
    fb_buf_init(&owner, 2 * NAME_MAX_BYTES);
    add_escaped(&name, issuer);
    add_escaped(&owner, who);
    int n = snprintf(out_r, FB_TOTP_URI,
                     "otpauth://totp/%s:%s?secret=%s&issuer=%s&algorithm=SHA1&digits=%d&period=%d",
                     fb_buf_str(&name), fb_buf_str(&owner), base32, fb_buf_str(&name),
                     FB_TOTP_DIGITS, FB_TOTP_STEP_S);
    fb_buf_deinit(&name);
    fb_buf_deinit(&owner);
    return n > 0 && n < FB_TOTP_URI;
}

char *fb_totp_base32(const uint8_t secret[FB_TOTP_SECRET])
{
    char *text = NULL;
    return oath_base32_encode((const char *)secret, FB_TOTP_SECRET, &text, NULL) == OATH_OK ? text
                                                                                            : NULL;
}

enum fb_status fb_totp_qr(const char *text, struct fb_buf *path, int *size_r)
{
    QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M);
    enum fb_status s = code != NULL ? FB_OK : FB_INVALID;
    int width = code != NULL ? code->width : 0;
    for (int y = 0; y < width && s == FB_OK; y++) {
        for (int x = 0; x < width && s == FB_OK; x++) {
            if ((code->data[y * width + x] & 1) != 0) {
                s = fb_buf_printf(path, "M%d %dh1v1h-1z", x + FB_TOTP_QUIET, y + FB_TOTP_QUIET);
            }
        }
    }
    QRcode_free(code);
    *size_r = width + 2 * FB_TOTP_QUIET;
    return s;
}
