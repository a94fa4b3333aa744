/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako notices preview: the mails of a policy as their readers would get them, with an invented mail.  The words
 * are rewrite's (`fumibako-rewrite --preview`); what comes back is shown. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/run.h"
#include "common/json_words.h"
#include "services/ctl/ctl.h"

#define TIMEOUT_MS 60000
#define MAX_ARGS   10

/* A policy's own words may hold anything: line by line, without control characters. */
static void print_text(const char *text)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        char *line = strndup(text, len);
        if (line == NULL) {
            return;
        }
        ctl_print_clean(line);
        (void)printf("\n");
        free(line);
        text += len + (text[len] != '\0');
    }
}

static void print_answer(const json_t *answer)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(answer, "items"), i, item)
    {
        (void)printf("%s==== %s, %s\n%s", i > 0 ? "\n" : "", fb_json_text_of(item, "kind"),
                     fb_json_text_of(item, "language"),
                     strcmp(fb_json_text_of(item, "language"), "ja") == 0 ? "件名: " : "Subject: ");
        ctl_print_clean(fb_json_text_of(item, "subject"));
        (void)printf("\n\n");
        print_text(fb_json_text_of(item, "text"));
    }
}

static enum fb_status ask(const struct ctl *c, const char *path, int fd, struct fb_buf *out,
                          int *exit_r, struct fb_error *err)
{
    const struct {
        const char *option, *value;
    } options[] = {{"--kind", c->kind}, {"--language", c->language}, {"--rule", c->rule}};
    const char *argv[MAX_ARGS] = {"fumibako-rewrite", "--preview"};
    size_t n = 2;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (options[i].value != NULL) {
            argv[n++] = options[i].option;
            argv[n++] = options[i].value;
        }
    }
    /* A file whose name begins with "--" is one all the same. */
    char *place = path[0] == '-' ? fb_xcalloc(1, strlen(path) + 3) : fb_xstrdup(path);
    if (path[0] == '-') {
        (void)snprintf(place, strlen(path) + 3, "./%s", path);
    }
    argv[n++] = place;
    argv[n] = NULL;
    enum fb_status s = fb_run((char *const *)(uintptr_t)argv, fd, TIMEOUT_MS, out, exit_r, err);
    free(place);
    return s;
}

int ctl_notices_preview(struct ctl *c)
{
    int code = 0;
    if (!ctl_language_ok(c, &code)) {
        return code;
    }
    return ctl_ask(c, "fumibako-rewrite", c->word_count > 0 ? c->words[0] : NULL, ask,
                   print_answer);
}
