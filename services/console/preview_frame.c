/* SPDX-License-Identifier: Apache-2.0
 *
 * The frame in which the console shows a mail's HTML.  Mail has its styles in attributes, and the policy of our pages
 * rightly allows none; so this page has one of its own: styles and data: images, no address to load from, no form,
 * no frame, an origin that is nobody's (sandbox).  Its one script, known by its hash, takes HTML from the page around
 * it and puts it in; scripts and handlers in that HTML do not run, and what would be refused is left out beforehand. */
#include <pthread.h>
#include <stdio.h>

#include "common/crypto.h"
#include "services/console/call.h"

#define SCRIPT                                                                                     \
    "addEventListener('message',(e)=>{"                                                            \
    "if(e.source!==parent)return;"                                                                 \
    "const d=new DOMParser().parseFromString(String(e.data),'text/html');"                         \
    "d.querySelectorAll('script,meta,base,link,iframe,frame,object,embed,form').forEach((x)=>"     \
    "x.remove());"                                                                                 \
    "d.querySelectorAll('*').forEach((x)=>{for(const a of [...x.attributes])"                      \
    "if(/^on|^(href|target|action|formaction|ping|autofocus|srcset|xlink:href)$/i.test(a.name)||"  \
    "(/^(src|background|poster|data)$/i.test(a.name)&&!/^data:image\\//i.test(a.value)))"          \
    "x.removeAttribute(a.name);});"                                                                \
    "const s=[...d.head.querySelectorAll('style')].map((x)=>document.adoptNode(x));"               \
    "const b=document.adoptNode(d.body);"                                                          \
    "b.prepend(...s);"                                                                             \
    "document.documentElement.lang=d.documentElement.lang;"                                        \
    "document.body.replaceWith(b);"                                                                \
    "b.style.display='flow-root';"                                                                 \
    "const h=b.getBoundingClientRect().bottom+parseFloat(getComputedStyle(b).marginBottom);"       \
    "parent.postMessage({height:Math.ceil(h)},'*');"                                               \
    "});"                                                                                          \
    "parent.postMessage({ready:true},'*');"

static const char page[] =
    "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>Fumibako</title>"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
    "<meta name=\"color-scheme\" content=\"light\"></head>"
    "<body><script>" SCRIPT "</script></body></html>\n";

static char hash[64]; /* "" = cannot be made: nothing runs then */
static pthread_once_t hash_once = PTHREAD_ONCE_INIT;

static void make_hash(void)
{
    uint8_t digest[FB_SHA256_SIZE];
    struct fb_buf text;
    fb_buf_init(&text, sizeof hash);
    fb_sha256(SCRIPT, sizeof SCRIPT - 1, digest);
    if (fb_base64_encode(fb_slice_of(digest, sizeof digest), &text) == FB_OK) {
        (void)snprintf(hash, sizeof hash, "%s", fb_buf_str(&text));
    }
    fb_buf_deinit(&text);
}

void preview_frame_send(struct call *c)
{
    (void)pthread_once(&hash_once, make_hash);
    fb_http_answer_replace(c->answer, "Content-Security-Policy",
                           "default-src 'none'; script-src 'sha256-%s'; style-src 'unsafe-inline'; "
                           "img-src data:; base-uri 'none'; form-action 'none'; "
                           "frame-ancestors 'self'; sandbox allow-scripts",
                           hash);
    fb_http_answer_replace(c->answer, "X-Frame-Options", "SAMEORIGIN");
    fb_http_answer_header(c->answer, "Content-Type", "text/html; charset=utf-8");
    c->answer->status = fb_buf_add_str(&c->answer->body, page) == FB_OK ? 200 : 500;
}
