/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as the form of a reply: Content-Type in the first line, the body behind it.
 *
 * Checked: parts lie within the body, file names are UTF-8 without anything that ends a line or a path, and the mail
 * that is made of what was taken has no field that is not ours.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "services/portal/form.h"
#include "services/portal/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const char *name)
{
    FB_ASSERT(strlen(name) <= MULTIPART_MAX_NAME && form_is_utf8(name));
    FB_ASSERT(strpbrk(name, "/\\\r\n") == NULL);
}

static void check_mail(const struct fb_buf *mail)
{
    static const char *const known[] = {"From:",
                                        "Reply-To:",
                                        "To:",
                                        "Subject:",
                                        "Date:",
                                        "Message-ID:",
                                        "X-Fumibako-Reply:",
                                        "MIME-Version:",
                                        "Content-Type:",
                                        "Content-Transfer-Encoding:",
                                        " "};
    const char *end = strstr(fb_buf_str(mail), "\r\n\r\n");
    FB_ASSERT(end != NULL);
    for (const char *at = fb_buf_str(mail); at < end; at = strstr(at, "\r\n") + 2) {
        bool is_known = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            is_known = is_known || strncmp(at, known[i], strlen(known[i])) == 0;
        }
        FB_ASSERT(is_known);
    }
}

static void compose(const struct multipart *form, const char *words)
{
    const struct multipart_part *files[REPLY_MAX_FILES];
    size_t count = 0;
    for (size_t i = 0; i < form->count && count < REPLY_MAX_FILES; i++) {
        if (form->parts[i].is_file) {
            files[count++] = &form->parts[i];
        }
    }
    const struct reply_facts f = {.id = "01J00000000000000000000000",
                                  .msg_id = "01J00000000000000000000001",
                                  .postmaster = "postmaster@example.jp",
                                  .to = "taro@example.jp",
                                  .reader = words,
                                  .subject = words,
                                  .text = words,
                                  .at_ms = 1780000000000,
                                  .files = files,
                                  .file_count = count};
    struct fb_buf mail;
    fb_buf_init(&mail, 1U << 20);
    if (reply_compose(&f, &mail) == FB_OK) {
        check_mail(&mail);
    }
    fb_buf_deinit(&mail);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct multipart form;
    struct fb_slice all = fb_slice_of(data, size);
    size_t line = fb_slice_find(all, FB_SLICE_LITERAL("\n"));
    char *type = line != SIZE_MAX ? fb_slice_dup_str(fb_slice_sub(all, 0, line)) : NULL;
    if (type == NULL) {
        return 0;
    }
    struct fb_slice body = fb_slice_sub(all, line + 1, SIZE_MAX);
    if (multipart_parse(type, body, &form) == FB_OK) {
        for (size_t i = 0; i < form.count; i++) {
            const struct multipart_part *p = &form.parts[i];
            FB_ASSERT(p->content.len == 0 ||
                      (p->content.ptr >= body.ptr &&
                       p->content.ptr + p->content.len <= body.ptr + body.len));
            check_name(p->file_name);
            FB_ASSERT(strlen(p->type) <= MULTIPART_MAX_TYPE && strpbrk(p->type, "\r\n; ") == NULL);
        }
        compose(&form, type);
    }
    free(type);
    return 0;
}
