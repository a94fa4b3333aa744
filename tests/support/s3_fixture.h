/* SPDX-License-Identifier: Apache-2.0
 *
 * An S3 server of one's own (tests/support/s3.mjs), and the environment that leads to it.
 */
#ifndef FB_TESTS_SUPPORT_S3_FIXTURE_H
#define FB_TESTS_SUPPORT_S3_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define S3_FIXTURE_BUCKET "fumibako-test"

struct s3_fixture {
    pid_t pid;
    int to;   /* closing it ends the server */
    int from; /* its line */
    uint16_t port;
    char directory[300]; /* where s3rver keeps the objects */
};

/* False, with a word on standard error, when node or s3rver is missing (npm ci in tests/). */
bool s3_fixture_start(struct s3_fixture *f);
void s3_fixture_stop(struct s3_fixture *f);
/* Sends GET or POST to a path of the front's own ("/-/counts"); the answer's body, NUL behind it,
 * is the caller's to free. */
char *s3_fixture_ask(const struct s3_fixture *f, const char *method, const char *path);
/* Fails the program when a request came with a signature that is wrong. */
void s3_fixture_check(const struct s3_fixture *f);

#endif
