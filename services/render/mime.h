/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a mail: everything that looks into its bytes, run inside of the sandboxed child.  No
 * file, no network, no other process; memory stays flat (a 2 GB message is read by ranges), and
 * hostile structure ends with FB_TOO_BIG before the MIME library sees it.
 *
 * Call render_mime_init() once before the sandbox closes: converters and types are loaded there.
 */
#ifndef FB_RENDER_MIME_H
#define FB_RENDER_MIME_H

#include "common/buf.h"
#include "common/policy/policy.h"
#include "proto/envelope.h"
#include "proto/limits.h"
#include "proto/plan.h"
#include "services/render/letter.h"

/* The decrypted message, readable at any offset. */
struct render_source {
    void *ctx;
    /* Reads up to len bytes at offset; *read_r is 0 only at the end. */
    enum fb_status (*read)(void *ctx, uint64_t offset, void *out, size_t len, size_t *read_r,
                           struct fb_error *err);
    uint64_t size;
};

/* Takes derived objects, one after the other.  After a failure, and for an object that was begun
 * and not committed, nothing of that object may stay. */
struct render_sink {
    void *ctx;
    enum fb_status (*begin)(void *ctx, const char *name, struct fb_error *err);
    enum fb_status (*add)(void *ctx, const void *bytes, size_t len, struct fb_error *err);
    enum fb_status (*commit)(void *ctx, struct fb_error *err);
    void (*abandon)(void *ctx); /* drops what was begun */
};

#define RENDER_BODY_MAX                                                                            \
    (10U << 20) /* longer text parts are listed as attachments instead of painted */
#define RENDER_BODY_FACT_MAX (1U << 20) /* text that policy conditions see */
#define RENDER_IMAGE_MAX                                                                           \
    (20U << 20)                       /* one image inside of the body; larger ones are attachments \
                                          */
#define RENDER_IMAGES_MAX (50U << 20) /* all of them */

#define RENDER_OBJECT_HEAD      "head"
#define RENDER_OBJECT_KEPT_TEXT "body.text"
#define RENDER_OBJECT_KEPT_HTML "body.html"

struct render_extra; /* section.h */

struct render_mail {
    struct render_letter letter;
    struct fb_part *parts; /* attachments and images of the body, in the mail's order */
    uint32_t part_count;
    char **visible; /* addresses of To and Cc */
    uint32_t visible_count;
    char *subject;     /* decoded, "" when there is none */
    char *raw_subject; /* the field's body as it came, for render_head_strip_tag; NULL when there is
                          none */
    char *message_id;  /* "<...>"; NULL when there is none */
    char *references;  /* References and In-Reply-To as one line; NULL when there are none */
    const char *language; /* "ja", "en", "both" */
    int64_t date_ms;      /* 0 when there is no date */
    bool has_zone;        /* zone_minutes: the sender's clock, east of UTC */
    int zone_minutes;
    struct fb_buf
        text; /* the body as plain text, UTF-8, LF: its text/plain, or made from the HTML */
    struct fb_buf other_text; /* of alternatives that are not shown, of HTML that has a text/plain,
                                 and of attached messages: what conditions see behind text */
    bool holds_body[FB_MAX_PARTS]; /* parts[i] is the body once more, in another form */
    struct fb_slice html; /* the body's HTML: letter.body when the letter is HTML, else empty */
    struct fb_buf head;   /* header block of the notice (render_head_build) */
    bool is_encrypted, is_delivery_report,
        is_auto_reply;       /* proved by structure, see mime_proof.h */
    bool has_unread_text;    /* a text of the body is longer than RENDER_BODY_MAX */
    bool is_body_unreadable; /* the body is in a form that cannot be shown (opaque S/MIME); the file
                                is attached */
    /* What policy evaluation asks; everything lent from here and from the envelope. */
    struct fb_policy_facts facts;
    struct fb_buf all_text; /* text and other_text: what facts.body points to */
    struct fb_policy_header_fact *header_facts;
    struct fb_policy_attachment_fact *attachment_facts;
    struct fb_policy_attachment_fact *nested; /* files inside of attached messages */
    size_t nested_count;
    struct render_extra *extras; /* what sections of the PDF may be made of */
    size_t extra_count;
    struct fb_buf unpacked; /* the content of an opaque signed message, which some extras lie in */
};

/* Loads what must be loaded from files and silences the MIME library.  Idempotent. */
void render_mime_init(void);

/* Reads the whole message.  Unpacked files (winmail.dat, uuencode, opaque signed mail) go to the
 * sink as derived objects "tnef.<n>", "uu.<n>", "part.<n>".  envelope must outlive mail_r (facts
 * lend from it). FB_TOO_BIG with the limit in words ("more than 2000 parts"), FB_NO_SPACE, and what
 * source and sink return. On failure mail_r is empty. */
FB_MUST_USE enum fb_status render_mime_parse(const struct render_source *source,
                                             const struct render_sink *sink,
                                             const struct fb_envelope *envelope,
                                             struct render_mail *mail_r, struct fb_error *err);
void render_mail_deinit(struct render_mail *m);

/* For rules that move only the attachments: writes the derived objects RENDER_OBJECT_KEPT_TEXT and,
 * when the mail has HTML, RENDER_OBJECT_KEPT_HTML with FB_PLAN_MARK where the notice goes. */
FB_MUST_USE enum fb_status render_mime_keep_body(const struct render_mail *m,
                                                 const struct render_sink *sink,
                                                 struct fb_error *err);
/* Writes the derived object RENDER_OBJECT_HEAD. */
FB_MUST_USE enum fb_status render_mime_keep_head(const struct render_mail *m,
                                                 const struct render_sink *sink,
                                                 struct fb_error *err);
/* Writes one small derived object. */
FB_MUST_USE enum fb_status render_sink_put(const struct render_sink *sink, const char *name,
                                           struct fb_slice bytes, struct fb_error *err);

#endif
