/* SPDX-License-Identifier: Apache-2.0
 *
 * FB_TEST_SPOOL=s3: the fixture's spools lie in a bucket of a server that the program starts.
 * Linked by the tests that hold for both.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/s3_fixture.h"

static struct s3_fixture server; /* one for the program */
static int remote_count;

static void stop_server(void)
{
    s3_fixture_stop(&server);
}

const struct s3_fixture *fx_server(void)
{
    return &server;
}

/* A prefix of its own for each test, as several spools may share a bucket. */
static void use_bucket(struct fx *fx)
{
    if (server.pid == 0) {
        if (!s3_fixture_start(&server)) {
            exit(77); /* ctest counts it as skipped */
        }
        (void)atexit(stop_server);
    }
    remote_count++;
    fx->is_remote = true;
    (void)snprintf(fx->url, sizeof fx->url, "s3://%s/tests/spool-%d", S3_FIXTURE_BUCKET,
                   remote_count);
    int n = snprintf(fx->path, sizeof fx->path, "%.200s/%s/tests/spool-%d", server.directory,
                     S3_FIXTURE_BUCKET, remote_count);
    assert_true(n > 0 && (size_t)n < sizeof fx->path);
}

static void check(void)
{
    s3_fixture_check(&server);
}

__attribute__((constructor)) static void choose(void)
{
    const char *kind = getenv("FB_TEST_SPOOL");
    if (kind != NULL && strcmp(kind, "s3") == 0) {
        fx_use_bucket = use_bucket;
        fx_check_bucket = check;
    }
}
