/* SPDX-License-Identifier: Apache-2.0
 *
 * A mail's subject and language, sealed: so that letters, portal and command line can show them,
 * and Redis alone cannot.  AES-256-GCM with a key derived from rewrite.key for this purpose alone
 * (HKDF-SHA256), bound to the message's id: a title moved to another message does not open.
 * The text is base64 of: version 1 | nonce (12) | sealed: length of the language (1), language,
 * subject | tag (16).
 */
#ifndef FB_COMMON_TITLE_H
#define FB_COMMON_TITLE_H

#include "common/buf.h"

#define FB_TITLE_SUBJECT 1024 /* a longer subject is cut at a character */
#define FB_TITLE_SEALED  2048 /* room for any sealed title, and its end */

struct fb_title {
    char subject[FB_TITLE_SUBJECT]; /* UTF-8 */
    char language[8];               /* "ja", "en", "both"; "" = not known */
};

/* Adds the sealed text to out.  subject and language may be NULL.  Without a key (NULL, "")
 * nothing is added: there is no title then. */
FB_MUST_USE enum fb_status fb_title_seal(const char *key, const char *msg_id, const char *subject,
                                         const char *language, struct fb_buf *out);
/* FB_DENIED when it is not ours, of another message or changed; t_r is empty then. */
FB_MUST_USE enum fb_status fb_title_open(const char *key, const char *msg_id, const char *sealed,
                                         struct fb_title *t_r);

/* For who opens many: the key that is derived, to be wiped by fb_title_key_wipe. */
#define FB_TITLE_KEY 32
struct fb_title_key {
    uint8_t bytes[FB_TITLE_KEY];
    bool is_there;
};
void fb_title_key(const char *key, struct fb_title_key *k_r);
void fb_title_key_wipe(struct fb_title_key *k);
FB_MUST_USE enum fb_status fb_title_open_by(const struct fb_title_key *k, const char *msg_id,
                                            const char *sealed, struct fb_title *t_r);

/* A sealed text as the bytes that it stands for, which take a quarter less, and back; what is text already (older
 * programs kept it so) comes back as it is. */
FB_MUST_USE enum fb_status fb_title_pack(struct fb_slice sealed, struct fb_buf *bytes);
FB_MUST_USE enum fb_status fb_title_unpack(struct fb_slice kept, struct fb_buf *sealed);

#endif
