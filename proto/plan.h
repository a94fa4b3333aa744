/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan: what render found in a message and decided about it; lies in the spool as the derived
 * object "plan", encrypted with the message's key, and is read by upload and rewrite.  Format:
 * msgpack map, described in proto/jobs.md.  Everything in it came out of a sandbox that read
 * untrusted bytes: the decoder checks each index, size, offset and name.
 */
#ifndef FB_PROTO_PLAN_H
#define FB_PROTO_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/id.h"

enum fb_encoding { FB_ENC_IDENTITY, FB_ENC_BASE64, FB_ENC_QP, FB_ENC_UUENCODE };

struct fb_part {
    char *name;   /* decoded file name, UTF-8, not yet made safe for a storage; never empty */
    char *type;   /* "application/pdf" */
    char *cid;    /* Content-ID without < >; NULL */
    char *object; /* NULL: a range of the spooled content; else the name of a derived object, stored
                     decoded */
    uint64_t offset; /* of the encoded bytes in the spooled content */
    uint64_t length; /* encoded bytes */
    enum fb_encoding encoding;
    uint64_t size;    /* decoded bytes */
    uint8_t sha1[20]; /* of the decoded bytes */
    bool is_inline;   /* belongs to the body (an image by cid) */
};

enum fb_branch_kind {
    FB_BRANCH_PASS,   /* untouched */
    FB_BRANCH_SECURE, /* one parcel */
    FB_BRANCH_REJECT, /* delivery report to the sender (RFC 3464) */
};

struct fb_branch {
    enum fb_branch_kind kind;
    uint32_t *recipients; /* indices into the envelope */
    uint32_t recipient_count;
    char *rule;   /* name, "" when no rule took them */
    char *reason; /* why (policy.h), for logs and the reject report */
    /* secure only */
    char *storage, *security; /* names in the policy */
    bool secures_body, secures_attachments;
    char *path;      /* expanded parent folders, '/' between them; "" = root folder */
    uint32_t *parts; /* indices into parts: what is uploaded, the body PDF first */
    uint32_t part_count;
    int64_t expires_ms; /* absolute; 0 = never */
    int64_t remind_ms;  /* absolute: when the sender is told that it is not opened yet; 0 = never */
    int64_t purge_ms;   /* absolute: when the content is deleted; 0 = kept */
    bool sends_receipt;
    char *subject; /* Subject field body to send when a tag was stripped, raw (RFC 2047); NULL =
                      unchanged */
    uint8_t on_failure; /* enum fb_on_failure */
    /* pool user etc. are upload's business */
};

struct fb_plan {
    uint32_t version;
    char msg_id[FB_ID_SIZE];
    char policy_version[65];
    uint64_t content_size;
    char *subject;  /* decoded, for the notice; "" when none */
    char *language; /* "ja", "en", "both": by the mail's content */
    char **visible; /* addresses of the To and Cc fields */
    uint32_t visible_count;
    struct fb_part *parts; /* attachments, inline files, and derived files as the body PDF */
    uint32_t part_count;
    struct fb_branch *branches; /* index = branch number of jobs and parcel ids */
    uint32_t branch_count;
    /* Pieces for the notice (derived objects; "" when absent). */
    char *head_object; /* header block of the notice, CRLF: the original's fields in their order
                          without MIME fields (MIME-Version, Content-*), signatures that would be
                          broken, Bcc, and our own; ends before the empty line */
    char *kept_text_object,
        *kept_html_object; /* attachments-only rules: the body in UTF-8, LF lines; the HTML
                              has the marker FB_PLAN_MARK where the link goes */
    int64_t date_ms;
    char *painter;        /* "text", "native", "chromium": which engine painted the body and */
    char *painter_reason; /* why */
    char *
        shadows; /* for each shadow rule: how many recipients it would have taken, a space, its name, a tab; NULL =
                      none.  For figures and the log */
};

#define FB_MAX_SHADOWS 16384 /* bytes of that text */

#define FB_PLAN_VERSION 1
#define FB_PLAN_MARK    "<!--fumibako-notice-->"

void fb_plan_deinit(struct fb_plan *p);
FB_MUST_USE enum fb_status fb_plan_encode(const struct fb_plan *p, struct fb_buf *out);
FB_MUST_USE enum fb_status fb_plan_decode(struct fb_slice bytes, struct fb_plan *plan_r,
                                          struct fb_error *err);

/* Every recipient of the envelope is in exactly one branch; FB_INVALID says which is not. */
FB_MUST_USE enum fb_status fb_plan_check(const struct fb_plan *p, size_t recipient_count,
                                         struct fb_error *err);

/* What upload leaves for rewrite and revoke as derived object "parcel.<branch>" and, for the
 * parcel's life, as the manifest <parcel id>. */
#define FB_PARCEL_SECRET 32
struct fb_parcel_grant {
    uint32_t recipient; /* index of the envelope */
    char *address;
    char *
        grant_id; /* Box: collaboration id; vault: hex SHA-256 of the secret; "" for access by link */
    char *state;   /* "active", "pending", and "recalled" once revoke took it back */
    char *storage; /* the vault that this one reads in when it is not the parcel's storage; NULL */
    /* Of the reader link (common/link.h).  Only in the object in flight, never in the manifest. */
    bool has_secret;
    uint8_t secret[FB_PARCEL_SECRET];
};
struct fb_parcel_file {
    char *name, *file_id;
    uint64_t size;
    uint8_t sha1[20];
};
struct fb_parcel {
    uint32_t version;
    char parcel_id[FB_PARCEL_ID_SIZE];
    char *storage; /* name in the policy */
    char *user;    /* pool user's id, "" = the service account */
    char *folder_id;
    char *link;               /* what the notice shows */
    char *password;           /* generated; "" = none */
    bool password_to_sender;  /* shown in the receipt, in place of mails to the recipients */
    bool password_to_readers; /* mailed to them, and kept nowhere: read from a manifest */
    char *fallback; /* the vault of recipients without an account; NULL = there are none */
    char *access;   /* "recipients", "company", "anyone" as in effect */
    bool can_download;
    int64_t expires_ms;
    struct fb_parcel_grant *grants;
    uint32_t grant_count;
    struct fb_parcel_file *files;
    uint32_t file_count;
    /* What the ledger is made of again when Redis was lost (common/ledger/rebuild.h), and what a
     * letter to the sender speaks of.  Strings are NULL in manifests that are older than the keys. */
    char *from;     /* the envelope's reverse path */
    char *subject;  /* of the mail, decoded; at most FB_PARCEL_SUBJECT bytes, cut at a character */
    char *language; /* "ja", "en", "both" */
    char *rule;     /* the rule's name */
    int64_t accepted_ms;
    int64_t remind_ms, purge_ms; /* as in fb_branch */
    bool sends_receipt;
};
#define FB_PARCEL_VERSION 1
#define FB_PARCEL_SUBJECT 1000
void fb_parcel_deinit(struct fb_parcel *p);
/* For the manifest, and for whatever else outlives the mail: without the secrets of the reader links,
 * and without a password that only its recipients are to know.  The one place that leaves them out. */
FB_MUST_USE enum fb_status fb_parcel_encode(const struct fb_parcel *p, struct fb_buf *out);
/* With the secrets: for the object in flight alone, which ends with the mail. */
FB_MUST_USE enum fb_status fb_parcel_encode_secret(const struct fb_parcel *p, struct fb_buf *out);
/* Whether one of the grants has a secret. */
bool fb_parcel_has_secret(const struct fb_parcel *p);
FB_MUST_USE enum fb_status fb_parcel_decode(struct fb_slice bytes, struct fb_parcel *parcel_r,
                                            struct fb_error *err);

#endif
