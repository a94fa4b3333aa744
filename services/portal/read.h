/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading: what stands behind the door.
 *
 *   GET  /r/<text>                        what there is, and the view of one file   read_page.c
 *   GET  /r/<text>/body.pdf               the body, for the page's script           read_file.c
 *   GET  /r/<text>/page/<file>/<n>.png    a page as an image                        read_image.c
 *   POST /r/<text>/download               counts, gives a ticket, 303               read_ticket.c
 *   GET  /r/<text>/file/<ticket>/<name>   one file, or all in a zip                 read_file.c, read_zip.c
 *   GET  /assets/<hash>/<name>            the viewer                                assets.c
 *
 * 1. Where the parcel may not be downloaded, no byte of a file leaves but as a painted image: body, ticket and file
 *    refuse, each for itself.
 * 2. A download is counted once, by the POST.  Its ticket is good for ten minutes, for this session and this file: what
 *    was cut off can be taken up again, and nobody else can use it.
 * 3. Long answers ask the vault again and again whether the grant is still there (read_stream.c).
 */
#ifndef FB_PORTAL_READ_H
#define FB_PORTAL_READ_H

#include "services/portal/painter.h"
#include "services/portal/read_name.h"
#include "services/portal/reader.h"

#define READ_ALL         "all" /* instead of a file's id: all of them in a zip */
#define READ_TICKET_MS   600000
#define READ_TICKET_SIZE (FB_VAULT_FILE_ID + FORM_TOKEN_SIZE) /* "<file>.<token>" and a NUL */

/* The file of the parcel with this id; NULL: none. */
const struct fb_vault_file *read_find(const struct reader *r, const char *id, size_t len);
/* The body; NULL: the mail was secured without it. */
const struct fb_vault_file *read_find_body(const struct reader *r);

/* Ticket of a file ("all": of the zip), and its check.  id_r: the file's. */
void read_ticket_make(const struct reader *r, const char *id, int64_t ends_ms,
                      char ticket_r[READ_TICKET_SIZE]);
bool read_ticket_check(const struct reader *r, struct fb_slice ticket, int64_t now_ms,
                       char id_r[FB_VAULT_FILE_ID]);

/* Whether the pages of this parcel carry the reader's mark, and its text. */
bool read_is_marked(const struct reader *r);
void read_mark(const struct reader *r, int64_t now_ms, char *out_r, size_t size);

/* Paints a page (0: only how many) of a file, marked where it has to be.  As painter_paint, and what the vault says. */
FB_MUST_USE enum fb_status read_paint(struct reader *r, const struct fb_vault_file *file,
                                      uint32_t page, struct painter_answer *answer_r,
                                      struct fb_buf *png, struct fb_error *err);

/* Headers of content: nothing runs, nothing frames it, nobody keeps it. */
void read_content_headers(struct reader *r, const char *type);

/* The answer becomes the file, by ranges; the whole answer with its headers but for the type and what was added. */
void read_send_file(struct reader *r, const struct fb_vault_file *file);
/* The answer becomes a zip of all files. */
void read_send_zip(struct reader *r);

/* ---- read_stream.c: one grant's access to one parcel, while something is being sent ---- */

struct read_watch;
struct read_watch *read_watch_new(const struct reader *r);
void read_watch_free(struct read_watch **watch);
/* False when the grant was recalled or has ended meanwhile; looks every few seconds. */
bool read_watch_is_allowed(struct read_watch *w);
struct fb_vault *read_watch_vault(const struct read_watch *w);
const char *read_watch_parcel(const struct read_watch *w);

#endif
