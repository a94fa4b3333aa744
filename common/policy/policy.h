/* SPDX-License-Identifier: Apache-2.0
 *
 * The policy document: storages, groups, security definitions, rules, notices.  Parsed once, never changed
 * after that; services hold a counted reference and take a new one when the document changes.
 *
 * Parsing (parse.c) is strict and reports every error it finds, each with its line.  Evaluation (match.c) is
 * pure: the facts of one message go in, one decision per recipient comes out, first match wins.
 */
#ifndef FB_COMMON_POLICY_POLICY_H
#define FB_COMMON_POLICY_POLICY_H

#include <stdbool.h>
#include <stdint.h>
#include <tre/tre.h>

#include "common/buf.h"

#define FB_POLICY_MAX (4U << 20) /* bytes of a document */

enum fb_storage_type { FB_STORAGE_BOX, FB_STORAGE_VAULT };
enum fb_access { FB_ACCESS_RECIPIENTS, FB_ACCESS_COMPANY, FB_ACCESS_ANYONE };
enum fb_proof { FB_PROOF_LINK, FB_PROOF_CODE, FB_PROOF_TOTP };
enum fb_action { FB_ACTION_SECURE, FB_ACTION_PASS, FB_ACTION_REJECT };
enum fb_on_failure { FB_FAILURE_HOLD, FB_FAILURE_BOUNCE, FB_FAILURE_DELIVER };

struct fb_policy_storage {
    char *name;
    enum fb_storage_type type;
    char *auth_file, *root_folder;          /* box */
    char *api_url, *upload_url, *token_url; /* box: defaults are Box's own */
    char *box_auth;             /* box: "jwt" or "ccg"; default by what auth_file holds */
    struct fb_policy_box_user { /* box: pool users; empty = the service account alone */
        char *id;
        char *root_folder;
    } * users;
    size_t user_count;
    bool follows_enterprise; /* box: events: enterprise (one stream) instead of each user's */
    char *url, *key_file;    /* vault */
    int64_t quota;           /* vault: bytes it may hold; 0 = no limit of ours */
    int line;
};

struct fb_policy_group {
    char *name;
    char **members; /* "a@example.jp" or "@example.jp" */
    size_t member_count;
    int line;
};

struct fb_policy_security {
    char *name;
    enum fb_access access;
    bool can_download;
    int64_t expires_after_s; /* 0 = never */
    int64_t purge_after_s;   /* after the expiry, until the content is deleted; 0 = it is kept */
    bool is_password_generated;
    enum fb_proof proof;
    bool is_watermarked;
    int64_t max_downloads; /* 0 = any number */
    /* vault only */
    int64_t trusted_days;    /* a device that proved itself is not asked again; 0 = each time */
    bool has_members;        /* people of the recipient's domain may prove themselves instead */
    bool may_reply;          /* the page has a form for an answer */
    bool password_to_sender; /* shown in the receipt, in place of mails to the recipients */
    int line;
};

/* One text or address condition: "!x" negates; "/re/" is a POSIX extended regular expression without case;
 * addresses know "@domain", "@.domain" (subdomains), "group:name" and globs; file names know globs. */
struct fb_policy_term {
    char *text;
    bool is_negated;
    bool is_regex;
    regex_t regex;
    const struct fb_policy_group *group;
};

struct fb_policy_terms {
    struct fb_policy_term *items;
    size_t count;
};

struct fb_policy_rule {
    char *name;
    bool is_enabled;
    struct fb_policy_terms from, to, subject, body;
    struct fb_policy_header_condition {
        char *name;
        struct fb_policy_terms terms;
    } * headers;
    size_t header_count;
    int attachments_present; /* -1 not asked, 0 must have none, 1 must have some */
    struct fb_policy_terms attachment_name, attachment_type;
    int64_t attachment_larger_than, attachment_count_over; /* -1 not asked */
    int64_t size_over;                                     /* -1 not asked */
    enum fb_action action;
    bool secures_body, secures_attachments;
    bool shows_images;   /* attached images, after the body */
    bool fetches_images; /* remote images of the body, while it is painted */
    const struct fb_policy_storage *storage;
    const struct fb_policy_storage
        *without_account; /* NULL = invite; else the vault storage to fall back to */
    const struct fb_policy_security *security;
    char *
        path; /* parent folders, with {sender} {sender_domain} {recipient_domain} {rule} {date:%Y-%m} {msg_id} */
    bool sends_receipt;
    enum fb_on_failure on_failure;
    bool strips_tag;
    bool is_shadow;
    int64_t remind_after_days;
    int line;
};

struct fb_policy_notices {
    char *language; /* "auto", "ja" or "en" */
    char *organisation;
    char *logo; /* file of at most 256 KiB or data: URL; may be NULL */
    struct fb_policy_template {
        char *key; /* "notice.ja.text", "notice.ja.html", "notice.en.text", ... (list in README) */
        char *text;
        int line;
    } * templates;
    size_t template_count;
};

struct fb_policy {
    struct fb_policy_storage *storages;
    size_t storage_count;
    struct fb_policy_group *groups;
    size_t group_count;
    struct fb_policy_security *securities;
    size_t security_count;
    struct fb_policy_rule *rules;
    size_t rule_count;
    bool passes_delivery_reports, passes_auto_replies, passes_encrypted;
    struct fb_policy_notices notices;
    char version[65]; /* SHA-256 (hex) of the document's bytes */
    char *document;   /* the document itself, for those who hand it on (render's children) */
    size_t document_len;
};

/* One finding of the check; warnings (an unreachable rule after a catch-all, an unused group) do not refuse. */
struct fb_policy_finding {
    int line; /* 1-based; 0 when the document as a whole is meant */
    bool is_error;
    char text
        [600]; /* says where, what, and what to do: `rules[2].storage: unknown storage "bxo"; known: box, vault` */
};

struct fb_policy_findings {
    struct fb_policy_finding *items;
    size_t count;
    size_t error_count;
};

void fb_policy_findings_deinit(struct fb_policy_findings *f);

/* The version that a document has: SHA-256 of its bytes, in hex. */
void fb_policy_version_name(struct fb_slice document, char version_r[65]);
/* Parses and checks a whole document (at most 4 MiB).  FB_OK with a policy (reference count 1) when there is no
 * error; FB_INVALID otherwise.  findings_r is filled in both cases, in English, sorted by line; free it. */
FB_MUST_USE enum fb_status fb_policy_parse(struct fb_slice yaml, struct fb_policy **policy_r,
                                           struct fb_policy_findings *findings_r);
/* The same with findings in Japanese (is_ja), or in English; their places ("rules[2].storage") are the same in both. */
FB_MUST_USE enum fb_status fb_policy_parse_in(struct fb_slice yaml, bool is_ja,
                                              struct fb_policy **policy_r,
                                              struct fb_policy_findings *findings_r);
struct fb_policy *fb_policy_ref(struct fb_policy *p);
void fb_policy_unref(struct fb_policy **p);
const struct fb_policy_rule *fb_policy_find_rule(const struct fb_policy *p, const char *name);
const struct fb_policy_storage *fb_policy_find_storage(const struct fb_policy *p, const char *name);
const struct fb_policy_security *fb_policy_find_security(const struct fb_policy *p,
                                                         const char *name);

/* ---- evaluation ---- */

struct fb_policy_header_fact {
    const char *name;
    const char *value; /* decoded, UTF-8, unfolded */
};
struct fb_policy_attachment_fact {
    const char *name; /* decoded, UTF-8 */
    const char *type;
    uint64_t size;
};

/* What the policy may ask of one message.  Everything is lent. */
struct fb_policy_facts {
    const char *from; /* envelope reverse-path, "" for the null sender */
    const char *subject;
    const struct fb_policy_header_fact *headers;
    size_t header_count;
    const char *body; /* decoded text, bounded */
    bool is_body_cut; /* there is more of it than conditions see */
    const struct fb_policy_attachment_fact *attachments;
    size_t attachment_count;
    uint64_t size;
    bool
        is_delivery_report; /* null sender and multipart/report; delivery-status: proved by structure */
    bool is_auto_reply;     /* RFC 3834 Auto-Submitted other than "no" */
    bool is_encrypted;      /* proved by structure */
    bool has_our_signature; /* X-Fumibako-Id verified */
};

struct fb_policy_decision {
    enum fb_action action;
    const struct fb_policy_rule
        *rule; /* NULL: no rule took the recipient (passes untouched) or `reason` says why */
    const char *
        reason; /* static: "rule", "no rule", "delivery report", "auto reply", "encrypted", "already through" */
    const struct fb_policy_rule
        *shadow; /* the first shadow rule that would have taken it, or NULL */
};

/* Decides for one recipient.  Regular expressions run on untrusted text: call it where time is limited. */
struct fb_policy_decision fb_policy_decide(const struct fb_policy *p,
                                           const struct fb_policy_facts *facts,
                                           const char *recipient);

/* The same for many recipients of one message: what does not depend on the recipient is asked once.  decisions_r
 * has room for count. */
void fb_policy_decide_many(const struct fb_policy *p, const struct fb_policy_facts *facts,
                           const char *const *recipients, size_t count,
                           struct fb_policy_decision *decisions_r);

/* The [tag] of the subject conditions that matched (e.g. "[secure]"), to be stripped; NULL when there is none.
 * Whatever strips_tag says: the caller asks that.  Lent by the rule. */
const char *fb_policy_matched_tag(const struct fb_policy_rule *rule, const char *subject);
/* Where the tag stands in the subject (without case, so perhaps "[SECURE]"), in bytes; false when it does not. */
bool fb_policy_find_tag(const char *subject, const char *tag, size_t *offset_r, size_t *len_r);

/* The parent folders of a parcel by the rule's path: components separated by "/", none for a rule without path,
 * added to out.  Each is a name that Box and the vault take (forbidden characters are "_", no dots or spaces at the
 * ends, at most 255 characters), whatever the values hold; sender is the reverse-path ("" for the null sender),
 * when_ms the time the message was accepted (dates are UTC), so that a retry gives the same.  FB_TOO_BIG or
 * FB_NO_SPACE from out, FB_INVALID for an impossible date. */
FB_MUST_USE enum fb_status fb_policy_expand_path(const struct fb_policy_rule *rule,
                                                 const char *sender, const char *recipient_domain,
                                                 int64_t when_ms, const char *msg_id,
                                                 struct fb_buf *out, struct fb_error *err);

#endif
