/* SPDX-License-Identifier: Apache-2.0
 *
 * The viewer: pdf.js and our script and style sheet, which are part of the program (web/README.md).  Their path changes
 * with their bytes, so that browsers keep them for good. */
#ifndef FB_PORTAL_ASSETS_H
#define FB_PORTAL_ASSETS_H

#include "services/portal/portal.h"

#define ASSETS_PATH      "/assets/"
#define ASSETS_PATH_SIZE 32

/* Answers GET and HEAD of a path below ASSETS_PATH; false: there is no such file. */
bool assets_send(struct visit *v);
/* "/assets/<hash>/" */
void assets_path(char path_r[ASSETS_PATH_SIZE]);
/* The Content-Security-Policy of the page that has the viewer: scripts, its worker and its style sheet from
 * /assets/<hash>/ alone, images and connections to us alone, nothing inline but the page's own style sheet. */
void assets_policy(const struct portal *p, char *out_r, size_t size);

#endif
