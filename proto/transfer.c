/* SPDX-License-Identifier: Apache-2.0
 *
 * The decoders; the rules stand in the header.
 */
#include "proto/transfer.h"

#include <string.h>

#define UU_LINE   63 /* bytes that a line can give */
#define UU_CREDIT (FB_TRANSFER_SLACK - UU_LINE)

void fb_transfer_init(struct fb_transfer *t, enum fb_encoding encoding)
{
    *t = (struct fb_transfer){.encoding = encoding, .credit = UU_CREDIT};
}

static int sextet(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Gives the whole bytes of the quantum at hand. */
static size_t flush_quantum(struct fb_transfer *t, uint8_t *out)
{
    size_t n = 0;
    if (t->count >= 2) {
        uint32_t bits = t->bits << (6 * (4 - t->count));
        out[n++] = (uint8_t)(bits >> 16);
        if (t->count >= 3) {
            out[n++] = (uint8_t)(bits >> 8);
        }
        if (t->count == 4) {
            out[n++] = (uint8_t)bits;
        }
    }
    t->count = 0;
    t->bits = 0;
    return n;
}

static size_t step_base64(struct fb_transfer *t, const uint8_t *in, size_t len, uint8_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (in[i] == '=') {
            n += flush_quantum(t, out + n);
            continue;
        }
        int v = sextet(in[i]);
        if (v < 0) {
            continue;
        }
        t->bits = t->bits << 6 | (uint32_t)v;
        if (++t->count == 4) {
            n += flush_quantum(t, out + n);
        }
    }
    return n;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* held is "=", "=X" or "=\r": takes c and says what becomes of it. */
static size_t qp_pending(struct fb_transfer *t, uint8_t c, uint8_t *out)
{
    if (t->count == 1 && (hex_digit(c) >= 0 || c == '\r')) {
        t->held[t->count++] = c;
        return 0;
    }
    bool is_soft = c == '\n' && (t->count == 1 || t->held[1] == '\r');
    if (is_soft) {
        t->count = 0;
        return 0;
    }
    if (t->count == 2 && t->held[1] != '\r' && hex_digit(c) >= 0) {
        out[0] = (uint8_t)(hex_digit(t->held[1]) << 4 | hex_digit(c));
        t->count = 0;
        return 1;
    }
    size_t n = t->count;
    memcpy(out, t->held, n);
    t->count = 0;
    if (c == '=') {
        t->held[t->count++] = c;
    } else {
        out[n++] = c;
    }
    return n;
}

static size_t step_qp(struct fb_transfer *t, const uint8_t *in, size_t len, uint8_t *out)
{
    size_t n = 0;
    size_t i = 0;
    while (i < len) {
        if (t->count > 0) {
            n += qp_pending(t, in[i++], out + n);
            continue;
        }
        const uint8_t *eq = memchr(in + i, '=', len - i);
        size_t plain = eq != NULL ? (size_t)(eq - (in + i)) : len - i;
        memcpy(out + n, in + i, plain);
        n += plain;
        i += plain;
        if (eq != NULL) {
            t->held[t->count++] = '=';
            i++;
        }
    }
    return n;
}

int fb_transfer_uu_line(const uint8_t *line, size_t len, uint8_t *out)
{
    if (len == 0 || line[0] < 0x20 || line[0] > 0x60) {
        return -1;
    }
    unsigned want = (line[0] - 0x20U) & 0x3F;
    unsigned have = 0;
    for (size_t i = 1; have < want; i += 4) {
        uint32_t bits = 0;
        for (size_t k = 0; k < 4; k++) {
            /* Some mailers cut the blanks at the end of a line: they stand for zero. */
            uint8_t c = i + k < len ? line[i + k] : 0x20;
            if (c < 0x20 || c > 0x60) {
                return -1;
            }
            bits = bits << 6 | ((c - 0x20U) & 0x3F);
        }
        for (int shift = 16; shift >= 0 && have < want; shift -= 8) {
            out[have++] = (uint8_t)(bits >> shift);
        }
    }
    return (int)want;
}

static size_t uu_line(struct fb_transfer *t, uint8_t *out)
{
    size_t len = t->count;
    bool is_long = t->is_line_long;
    t->count = 0;
    t->is_line_long = false;
    if (len > 0 && t->held[len - 1] == '\r') {
        len--;
    }
    if (t->is_done) {
        return 0;
    }
    if (!t->has_begun) {
        t->has_begun = len >= 6 && memcmp(t->held, "begin ", 6) == 0;
        return 0;
    }
    if (len == 3 && memcmp(t->held, "end", 3) == 0) {
        t->is_done = true;
        return 0;
    }
    uint8_t line[UU_LINE + 1];
    int n = is_long ? -1 : fb_transfer_uu_line(t->held, len, line);
    if (n == 0) {
        t->is_done = true;
    }
    if (n <= 0 ||
        (unsigned)n > t->credit) { /* "_" alone says 63 bytes: thirty times what was sent */
        return 0;
    }
    t->credit -= (unsigned)n;
    memcpy(out, line, (size_t)n);
    return (size_t)n;
}

static size_t step_uu(struct fb_transfer *t, const uint8_t *in, size_t len, uint8_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        t->credit += t->credit < UU_CREDIT ? 1 : 0;
        if (in[i] == '\n') {
            n += uu_line(t, out + n);
        } else if (t->count < sizeof t->held) {
            t->held[t->count++] = in[i];
        } else {
            t->is_line_long = true;
        }
    }
    return n;
}

size_t fb_transfer_step(struct fb_transfer *t, const uint8_t *in, size_t len, uint8_t *out)
{
    switch (t->encoding) {
    case FB_ENC_BASE64:
        return step_base64(t, in, len, out);
    case FB_ENC_QP:
        return step_qp(t, in, len, out);
    case FB_ENC_UUENCODE:
        return step_uu(t, in, len, out);
    case FB_ENC_IDENTITY:
        break;
    }
    memcpy(out, in, len);
    return len;
}

size_t fb_transfer_end(struct fb_transfer *t, uint8_t *out)
{
    size_t n = 0;
    switch (t->encoding) {
    case FB_ENC_BASE64:
        return flush_quantum(t, out);
    case FB_ENC_QP:
        /* "=" and "=\r" at the end: a soft break whose line end went to the boundary. */
        if (t->count == 2 && t->held[1] != '\r') {
            memcpy(out, t->held, 2);
            n = 2;
        }
        t->count = 0;
        return n;
    case FB_ENC_UUENCODE:
        return uu_line(t, out);
    case FB_ENC_IDENTITY:
        break;
    }
    return 0;
}
