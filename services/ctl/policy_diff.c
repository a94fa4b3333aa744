/* SPDX-License-Identifier: Apache-2.0
 *
 * fumibako policy diff: what changed from one version to another. */
#include <stdio.h>
#include <stdlib.h>

#include "common/policy/diff.h"
#include "common/policy/store.h"
#include "services/ctl/ctl.h"

struct diff {
    const struct ctl *c;
    json_t *lines;
    int added, removed;
};

static void tell_line(void *ctx, const struct fb_diff_line *l)
{
    struct diff *d = ctx;
    if (l->kind == ' ') {
        return;
    }
    d->added += l->kind == '+';
    d->removed += l->kind == '-';
    char *text = fb_slice_dup_str(l->text);
    size_t number = l->kind == '+' ? l->new_ : l->old;
    if (text != NULL && d->c->is_json) {
        char kind[2] = {l->kind, '\0'};
        (void)json_array_append_new(d->lines,
                                    json_pack("{s:s,s:I,s:o}", "kind", kind, "line",
                                              (json_int_t)number, "text", fb_json_text(text)));
    } else if (text != NULL) {
        (void)printf("%c%5zu  ", l->kind, number);
        ctl_print_clean(text);
        (void)printf("\n");
    }
    free(text);
}

/* The version that a word names; without one, what is in force. */
static enum fb_status get(struct ctl *c, const char *name, struct fb_policy_version *v,
                          struct fb_error *err)
{
    return name != NULL ? fb_policy_version_get(c->redis, name, v, err)
                        : fb_policy_current(c->config, c->redis, v, err);
}

/* From and to, by what was said: VERSION [VERSION], or [VERSION] --file FILE. */
static enum fb_status get_both(struct ctl *c, struct fb_policy_version *from,
                               struct fb_policy_version *to, struct fb_error *err)
{
    enum fb_status s = get(c, c->word_count > 0 ? c->words[0] : NULL, from, err);
    if (s == FB_OK && c->file != NULL) {
        s = fb_read_file(c->file, FB_POLICY_MAX, &to->document, err);
        if (s == FB_OK) {
            fb_policy_version_name(fb_slice_buf(&to->document), to->version);
        }
    } else if (s == FB_OK) {
        s = get(c, c->word_count > 1 ? c->words[1] : NULL, to, err);
    }
    return s;
}

int ctl_policy_diff(struct ctl *c)
{
    int code = 0;
    struct fb_error err = {0};
    struct fb_policy_version from = {0}, to = {0};
    struct diff d = {.c = c};
    if ((c->file == NULL && c->word_count == 0) || (c->file != NULL && c->word_count == 2)) {
        return ctl_usage_error(c, "policy diff takes VERSION [VERSION], or [VERSION] --file FILE");
    }
    if (!ctl_need_redis(c, &code)) {
        return code;
    }
    if (get_both(c, &from, &to, &err) != FB_OK) {
        fb_policy_version_deinit(&from);
        return ctl_fail(c, &err);
    }
    d.lines = json_array();
    fb_diff(fb_slice_buf(&from.document), fb_slice_buf(&to.document), tell_line, &d);
    if (c->is_json) {
        ctl_print_json(json_pack("{s:s,s:s,s:i,s:i,s:o}", "from", from.version, "to", to.version,
                                 "added", d.added, "removed", d.removed, "lines", d.lines));
    } else {
        json_decref(d.lines);
        (void)printf("%d added, %d removed\n", d.added, d.removed);
    }
    fb_policy_version_deinit(&from);
    fb_policy_version_deinit(&to);
    return 0;
}
