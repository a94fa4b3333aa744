/* SPDX-License-Identifier: Apache-2.0
 *
 * The names of attachments, which strangers chose, where a reader's system takes them: in the header of a download
 * (RFC 6266, RFC 8187), in its address, in a zip.  What comes out is one plain file name: no folder, nothing that
 * ends a header, turns the order of letters, or means something to the system where it is saved. */
#ifndef FB_PORTAL_READ_NAME_H
#define FB_PORTAL_READ_NAME_H

#include "common/buf.h"

#define READ_NAME_SIZE 201 /* bytes of UTF-8, and a NUL; its end (".pdf") is kept */
#define READ_TYPE_SIZE 128

/* A name that is fit to be saved; "file" where nothing is left of it. */
void read_name_safe(const char *name, char out_r[READ_NAME_SIZE]);
/* The same name with " (n)" before its end. */
void read_name_numbered(const char *safe, unsigned n, char out_r[READ_NAME_SIZE]);
/* The value of Content-Disposition for a safe name: attachment, with both forms of the name. */
FB_MUST_USE enum fb_status read_name_disposition(const char *safe, struct fb_buf *out);
/* The name in an address (RFC 3986, 2.1). */
FB_MUST_USE enum fb_status read_name_url(const char *safe, struct fb_buf *out);
/* The media type to send: the one that is known where it is one, and nothing that a browser would run. */
void read_name_type(const char *type, char out_r[READ_TYPE_SIZE]);

#endif
