/* SPDX-License-Identifier: Apache-2.0
 *
 * A painted PDF made one for archives: PDF/A-3b (ISO 19005-3), with the mail itself attached to it.  For
 * the output of all painters; Chromium's is as untrusted as the mail, so this runs in the sandboxed child.
 *
 *   pdf_archive.c   the objects of the file, by libqpdf
 *   pdf_xmp.c       metadata: information dictionary and XMP, which say the same
 *   pdf_srgb.c      the profile of the output intent
 */
#ifndef FB_RENDER_PDF_ARCHIVE_H
#define FB_RENDER_PDF_ARCHIVE_H

#include "common/buf.h"

/* A mail above this is not attached: what is inside is held in memory some four times. */
#define RENDER_PDF_MAIL_MAX (25U << 20)

struct render_pdf_archive {
    const char *title;    /* the subject; UTF-8, NULL: none */
    bool is_japanese;     /* language of the document */
    bool is_tagged;       /* its structure is kept; else it would be a claim that nobody checked */
    int64_t date_ms;      /* all dates in the file: equal input gives equal bytes */
    struct fb_slice mail; /* RFC 5322, to be attached; empty: none */
};

/* Appends the archive to out.  *hindrance_r: NULL, or why the pages cannot be PDF/A, for log and plan
 * ("not PDF/A: CMYK picture"): the file is complete then, but does not claim to be.  FB_INVALID: pdf cannot be
 * read, FB_TOO_BIG: out is full. */
FB_MUST_USE enum fb_status render_pdf_archive(struct fb_slice pdf,
                                              const struct render_pdf_archive *archive,
                                              struct fb_buf *out, const char **hindrance_r,
                                              struct fb_error *err);
/* Appends pdf with its objects packed and compressed: the structure that Chromium writes is up to twenty
 * times as large as the rest. */
FB_MUST_USE enum fb_status render_pdf_pack(struct fb_slice pdf, struct fb_buf *out,
                                           struct fb_error *err);
/* Header fields that recipients must not see (Bcc, Resent-Bcc) are left out; the rest is as it came. */
FB_MUST_USE enum fb_status render_pdf_mail(struct fb_slice message, struct fb_buf *out);

/* ---- pdf_xmp.c, pdf_srgb.c ---- */

#define RENDER_PDF_DATE 40
/* "D:20241202010000Z" and "2024-12-02T01:00:00Z". */
void render_pdf_dates(int64_t date_ms, char pdf_r[RENDER_PDF_DATE], char xmp_r[RENDER_PDF_DATE]);
/* text without what neither XML nor a title may hold; the caller frees. */
char *render_pdf_title(const char *text);
/* The XMP packet.  claims: it names the standard. */
FB_MUST_USE enum fb_status render_pdf_xmp(struct fb_buf *out, const char *title,
                                          const char *language, const char *date,
                                          const char *producer, bool claims);
struct fb_slice render_pdf_srgb(void);

#endif
