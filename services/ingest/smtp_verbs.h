/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the dialogue: what smtp_session.c (bytes, content, replies) and smtp_verbs.c (commands)
 * share. */
#ifndef FB_INGEST_SMTP_VERBS_H
#define FB_INGEST_SMTP_VERBS_H

#include "smtp_session.h"

/* Carries out one command line (without its end).  has_more: input follows it already. */
void smtp_verb_run(struct smtp_session *s, struct fb_slice line, bool has_more);

/* One reply line; 5xx counts as an error of the peer, and one too many ends the dialogue. */
void smtp_reply(struct smtp_session *s, int code, const char *enhanced, const char *text);
void smtp_reply_refusal(struct smtp_session *s, const struct smtp_refusal *refusal);
/* Forgets the transaction; aborts an open message. */
void smtp_transaction_reset(struct smtp_session *s);
/* The host has opened a message: its content begins. */
void smtp_content_begin(struct smtp_session *s, enum scan_mode mode);
/* All octets of a BDAT are here. */
void smtp_chunk_ended(struct smtp_session *s);

#endif
