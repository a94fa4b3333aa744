/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako submit: hands a file to ingest's HTTP listener, as an application would. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "common/submit.h"
#include "services/ctl/ctl.h"

#define CONNECT_WAIT_MS 10000

/* 0, or the exit code of what was complained about. */
static int check_words(const struct ctl *c)
{
    if (c->from == NULL || c->to.count == 0) {
        return ctl_usage_error(
            c, "submit needs --from A (\"\" for the null sender) and at least one --to B");
    }
    if (!fb_submit_is_one_line(c->from)) {
        return ctl_usage_error(c, "--from: an address holds no control character");
    }
    for (size_t i = 0; i < c->to.count; i++) {
        if (!fb_submit_is_one_line(c->to.items[i])) {
            return ctl_usage_error(c, "--to: an address holds no control character");
        }
    }
    return 0;
}

static FILE *open_mail(const char *path, off_t *size_r, struct fb_error *err)
{
    struct stat st;
    FILE *file = fopen(path, "rbe");
    if (file == NULL || fstat(fileno(file), &st) != 0) {
        (void)fb_error_errno(err, FB_NOT_FOUND, errno, "%s", path);
    } else if (!S_ISREG(st.st_mode)) {
        (void)fb_error_set(err, FB_INVALID, "%s is not a file", path);
    } else {
        *size_r = st.st_size;
        return file;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return NULL;
}

static int post(const struct ctl *c, FILE *file, off_t size)
{
    char id[FB_ID_SIZE];
    char url[FB_SUBMIT_URL_SIZE];
    struct fb_error err = {0};
    bool is_unsure = false;
    fb_submit_url(c->config->ingest.http, url);
    const struct fb_submit submit = {.url = url,
                                     .token = c->config->ingest.token,
                                     .from = c->from,
                                     .to = c->to.items,
                                     .to_count = c->to.count,
                                     .file = file,
                                     .size = (uint64_t)size,
                                     .connect_ms = CONNECT_WAIT_MS};
    enum fb_status s = fb_submit_mail(&submit, id, &is_unsure, &err);
    if (s != FB_OK) {
        return ctl_fail(c, &err);
    }
    if (c->is_json) {
        ctl_print_json(json_pack("{s:s}", "id", id));
    } else {
        (void)printf("%s\n", id);
    }
    return 0;
}

int ctl_submit(struct ctl *c)
{
    struct fb_error err = {0};
    off_t size = 0;
    int code = check_words(c);
    if (code != 0 || !ctl_need_config(c, &code)) {
        return code;
    }
    if (c->config->ingest.http == NULL || c->config->ingest.token == NULL) {
        (void)fb_error_set(
            &err, FB_CONFIG,
            "submit uses ingest's HTTP listener: set ingest.http and ingest.token_file");
        return ctl_fail(c, &err);
    }
    FILE *file = open_mail(c->words[0], &size, &err);
    if (file == NULL) {
        return ctl_fail(c, &err);
    }
    code = post(c, file, size);
    (void)fclose(file);
    return code;
}
