/* SPDX-License-Identifier: Apache-2.0 */
#include "common/title.h"

#include <stdio.h>
#include <string.h>

#include "common/crypto.h"
#include "common/id.h"

#define VERSION   1
#define HEAD_SIZE (1 + FB_NONCE_SIZE)
#define MAX_PLAIN (1 + sizeof(((struct fb_title *)0)->language) + FB_TITLE_SUBJECT)
#define MAX_BYTES (HEAD_SIZE + MAX_PLAIN + FB_TAG_SIZE)

static bool has_key(const char *key)
{
    return key != NULL && key[0] != '\0';
}

/* A key of its own: the same secret signs headers and links. */
static void derive(const char *key, uint8_t out[FB_KEY_SIZE])
{
    fb_hkdf_sha256(fb_slice_str(key), (struct fb_slice){0}, FB_SLICE_LITERAL("fumibako title 1"),
                   out, FB_KEY_SIZE);
}

/* At most max - 1 bytes of UTF-8, cut before a character. */
static size_t cut(const char *text, size_t max)
{
    size_t n = strnlen(text, max);
    if (n == max) {
        n = max - 1;
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80) {
            n--;
        }
    }
    return n;
}

enum fb_status fb_title_seal(const char *key, const char *msg_id, const char *subject,
                             const char *language, struct fb_buf *out)
{
    uint8_t derived[FB_KEY_SIZE];
    uint8_t bytes[MAX_BYTES] = {VERSION};
    uint8_t *plain = bytes + HEAD_SIZE;
    struct fb_title t;
    if (!has_key(key)) {
        return FB_OK;
    }
    subject = subject != NULL ? subject : "";
    language = language != NULL ? language : "";
    size_t language_len = strlen(language);
    if (language_len >= sizeof t.language || !fb_id_is_valid(msg_id)) {
        return FB_INVALID;
    }
    size_t subject_len = cut(subject, sizeof t.subject);
    fb_random(bytes + 1, FB_NONCE_SIZE);
    plain[0] = (uint8_t)language_len;
    memcpy(plain + 1, language, language_len);
    memcpy(plain + 1 + language_len, subject, subject_len);
    size_t len = 1 + language_len + subject_len;
    derive(key, derived);
    fb_gcm_seal(derived, bytes + 1, fb_slice_str(msg_id), fb_slice_of(plain, len), plain,
                plain + len);
    fb_wipe(derived, sizeof derived);
    return fb_base64_encode(fb_slice_of(bytes, HEAD_SIZE + len + FB_TAG_SIZE), out);
}

/* What the tag has vouched for; still read with care, because another version may have written it. */
static bool read_plain(const uint8_t *plain, size_t len, struct fb_title *t_r)
{
    size_t language_len = plain[0];
    if (language_len >= sizeof t_r->language || 1 + language_len > len ||
        len - 1 - language_len >= sizeof t_r->subject) {
        return false;
    }
    memcpy(t_r->language, plain + 1, language_len);
    memcpy(t_r->subject, plain + 1 + language_len, len - 1 - language_len);
    return true;
}

_Static_assert(FB_TITLE_KEY == FB_KEY_SIZE, "title.h does not include crypto.h");

void fb_title_key(const char *key, struct fb_title_key *k_r)
{
    *k_r = (struct fb_title_key){.is_there = has_key(key)};
    if (k_r->is_there) {
        derive(key, k_r->bytes);
    }
}

void fb_title_key_wipe(struct fb_title_key *k)
{
    fb_wipe(k, sizeof *k);
}

enum fb_status fb_title_open_by(const struct fb_title_key *k, const char *msg_id,
                                const char *sealed, struct fb_title *t_r)
{
    struct fb_buf bytes;
    *t_r = (struct fb_title){.subject = ""};
    if (!k->is_there || sealed == NULL || msg_id == NULL) {
        return FB_DENIED;
    }
    fb_buf_init(&bytes, MAX_BYTES);
    bool is_ours = fb_base64_decode(fb_slice_str(sealed), &bytes) == FB_OK &&
                   bytes.len > HEAD_SIZE + FB_TAG_SIZE && bytes.ptr[0] == VERSION;
    if (is_ours) {
        uint8_t *plain = bytes.ptr + HEAD_SIZE;
        size_t len = bytes.len - HEAD_SIZE - FB_TAG_SIZE;
        is_ours = fb_gcm_open(k->bytes, bytes.ptr + 1, fb_slice_str(msg_id),
                              fb_slice_of(plain, len), plain + len, plain) == FB_OK &&
                  read_plain(plain, len, t_r);
        fb_wipe(plain, len);
    }
    fb_buf_deinit(&bytes);
    return is_ours ? FB_OK : FB_DENIED;
}

enum fb_status fb_title_open(const char *key, const char *msg_id, const char *sealed,
                             struct fb_title *t_r)
{
    struct fb_title_key k;
    fb_title_key(key, &k);
    enum fb_status s = fb_title_open_by(&k, msg_id, sealed, t_r);
    fb_title_key_wipe(&k);
    return s;
}

enum fb_status fb_title_pack(struct fb_slice sealed, struct fb_buf *bytes)
{
    return fb_base64_decode(sealed, bytes);
}

/* The bytes begin with their version, and no text does with a character below a space. */
enum fb_status fb_title_unpack(struct fb_slice kept, struct fb_buf *sealed)
{
    return kept.len > 0 && kept.ptr[0] < 0x20 ? fb_base64_encode(kept, sealed)
                                              : fb_buf_add_slice(sealed, kept);
}
