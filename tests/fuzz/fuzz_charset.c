/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes in any charset of mail, read as UTF-8; octet 0 chooses the charset, octet 1 where the
 * bytes are cut for the name of another one.
 *
 * Checked: the output is valid UTF-8 without NUL and bounded by the input; what is valid UTF-8 stays
 * as it is; what the system's own converter reads without fault is read to the same text, but for
 * the places where mail means something else than the registry; a code point that was written is
 * read again.
 */
#include <iconv.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "services/render/charset.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    const char *name;
    const char *peer; /* glibc's converter that must agree; NULL: none does in all of it */
} charsets[] = {{"utf-8", "UTF-8"},
                {"us-ascii", NULL},
                {"iso-2022-jp", NULL},
                {"shift_jis", NULL},
                {"euc-jp", NULL},
                {"gb2312", "GB18030"},
                {"gb18030", "GB18030"},
                {"big5", NULL},
                {"euc-kr", NULL},
                {"iso-8859-1", NULL},
                {"iso-8859-2", "ISO-8859-2"},
                {"iso-8859-15", "ISO-8859-15"},
                {"windows-1251", "CP1251"},
                {"windows-1252", NULL},
                {"koi8-r", "KOI8-R"},
                {"utf-16", NULL},
                {"utf-16le", "UTF-16LE"},
                {"utf-16be", "UTF-16BE"},
                {"utf-7", NULL},
                {"iso-2022-kr", NULL},
                {"hz-gb-2312", NULL},
                {"tis-620", NULL},
                {"cp932", NULL},
                {"", NULL}};
#define COUNT (sizeof charsets / sizeof charsets[0])

static bool has_byte(struct fb_slice s, int byte)
{
    return s.len > 0 && memchr(s.ptr, byte, s.len) != NULL;
}

/* The same by glibc; false: it finds a fault, or what it reads is not ours to compare: NUL, the byte
 * order mark, private use. */
static bool read_by_peer(const char *peer, struct fb_slice in, struct fb_buf *out)
{
    iconv_t cd = iconv_open("UTF-8", peer);
    if (cd == (iconv_t)-1) {
        return false;
    }
    size_t room = in.len * 4 + 16;
    char *text = malloc(room);
    char *source = malloc(in.len + 1);
    FB_ASSERT(text != NULL && source != NULL);
    memcpy(source, in.ptr, in.len);
    char *from = source;
    char *to = text;
    size_t left = in.len;
    size_t free_left = room;
    bool is_good = iconv(cd, &from, &left, &to, &free_left) == 0 && left == 0 &&
                   iconv(cd, NULL, NULL, &to, &free_left) == 0;
    (void)iconv_close(cd);
    struct fb_slice got = fb_slice_of(text, room - free_left);
    for (struct fb_slice rest = got; is_good && rest.len > 0;) {
        uint32_t cp = 0;
        size_t n = render_utf8_next(rest, &cp);
        is_good = n > 0 && cp != 0 && cp != 0xfeff && !(cp >= 0xe000 && cp <= 0xf8ff);
        rest = fb_slice_sub(rest, n, SIZE_MAX);
    }
    is_good = is_good && fb_buf_add_slice(out, got) == FB_OK;
    free(text);
    free(source);
    return is_good;
}

static void check_points(struct fb_slice text)
{
    while (text.len > 0) {
        uint32_t cp = 0;
        uint32_t again = 0;
        uint8_t bytes[4];
        size_t n = render_utf8_next(text, &cp);
        FB_ASSERT(n >= 1 && n <= 4 && cp != 0);
        FB_ASSERT(render_utf8_put(cp, bytes) == n && memcmp(bytes, text.ptr, n) == 0);
        FB_ASSERT(render_utf8_next(fb_slice_of(bytes, n), &again) == n && again == cp);
        text = fb_slice_sub(text, n, SIZE_MAX);
    }
}

static void convert(struct fb_slice in, const char *charset, const char *peer)
{
    struct fb_buf out, by_peer;
    fb_buf_init(&out, in.len * 12 + 64);
    fb_buf_init(&by_peer, in.len * 4 + 64);
    FB_ASSERT(fb_buf_add_str(&out, "x") == FB_OK);
    FB_ASSERT(render_charset_to_utf8(in, charset, &out) == FB_OK);
    FB_ASSERT(out.ptr[0] == 'x' && render_utf8_is_valid(fb_slice_buf(&out)));
    struct fb_slice text = fb_slice_sub(fb_slice_buf(&out), 1, SIZE_MAX);
    FB_ASSERT(!has_byte(text, 0));
    check_points(text);
    if (peer != NULL && !has_byte(in, 0x1b) && read_by_peer(peer, in, &by_peer)) {
        FB_ASSERT(fb_slice_eq(text, fb_slice_buf(&by_peer)));
    }
    fb_buf_deinit(&out);
    fb_buf_deinit(&by_peer);
    /* At its maximum it says so, and leaves alone what was there. */
    if (text.len > 1) {
        fb_buf_init(&out, text.len / 2);
        FB_ASSERT(render_charset_to_utf8(in, charset, &out) == FB_TOO_BIG && out.len == 0);
        fb_buf_deinit(&out);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    render_charset_init();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct fb_slice bytes = fb_slice_of(data + 2, size - 2);
    const char *guess = render_charset_guess(bytes);
    FB_ASSERT(guess != NULL && render_charset_is_known(guess));
    convert(bytes, charsets[data[0] % COUNT].name, charsets[data[0] % COUNT].peer);
    convert(bytes, NULL, NULL);
    /* A name of the fuzzer's own. */
    struct fb_slice word = fb_slice_sub(bytes, 0, data[1] % 32U);
    char *name = fb_slice_dup_str(word);
    if (name != NULL) {
        (void)render_charset_is_japanese(name);
        convert(fb_slice_sub(bytes, word.len, SIZE_MAX), name, NULL);
        free(name);
    }
    return 0;
}
