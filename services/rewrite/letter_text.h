/* SPDX-License-Identifier: Apache-2.0
 *
 * The words of the letters to a sender: receipt, held, reminder (still unopened), recall report; in
 * Japanese, English or both, as a notice (words.h).  They say what the ledger and the evidence say
 * and no more, and nothing of the content. */
#ifndef FB_REWRITE_LETTER_TEXT_H
#define FB_REWRITE_LETTER_TEXT_H

#include "common/ledger/evidence.h"
#include "proto/job.h"
#include "services/rewrite/words.h"

struct letter_person {
    const char *address;
    bool is_pending;                    /* invited, has no account yet */
    bool is_fallback;                   /* has no account, and reads in the vault */
    bool is_maybe_out;                  /* held: the mail may have reached them all the same */
    const struct fb_evidence *evidence; /* recall alone */
};

/* All strings are lent and none is NULL. */
struct letter_facts {
    enum fb_letter letter;
    const struct fb_policy *policy;
    bool has_title;                  /* subject and language are known */
    const char *language, *subject;  /* "ja", "en", "both" */
    const char *sender, *postmaster; /* addresses; the sender is who gets the letter */
    const char *msg_id;
    int64_t accepted_ms;
    const char *page; /* URL of the sender's page; "" = there is none */
    const struct letter_person *persons;
    size_t person_count;
    /* receipt, reminder: of the parcel */
    const char *rule, *security, *storage, *access;
    int64_t expires_ms;
    const struct fb_parcel_file *files;
    uint32_t file_count;
    bool has_parcel; /* access, download and files are known */
    bool can_download, has_password;
    bool is_vault;        /* each recipient has a link of their own */
    const char *password; /* receipt: the sender is to tell it to the recipients; "" = is not */
    /* reminder */
    int64_t since_ms, now_ms;
    int64_t log_until_ms; /* 0 = nobody reads the storage's log */
    /* held */
    enum fb_status why;
    int64_t until_ms;
    /* recall */
    int64_t recalled_ms;
    const char *actor, *reason;
    bool is_final;    /* nothing can change any more, or we have stopped to look */
    bool is_given_up; /* the storage's log did not become complete */
    bool has_logo;    /* the mail carries it (logo.h) */
};

/* The name of a letter's templates: "receipt", "held", "recalled", "reminder". */
const char *letter_kind(enum fb_letter letter);
/* Appends the mail's Subject, UTF-8, one line. */
FB_MUST_USE enum fb_status letter_write_subject(const struct letter_facts *f, struct fb_buf *out);
/* Appends the whole text. */
FB_MUST_USE enum fb_status letter_write(const struct letter_facts *f, enum notice_form form,
                                        struct fb_buf *out);

#endif
