/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp_transport.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TLS_READ_HIGH (256U << 10) /* decrypted and not consumed; reading stops above */

/* ---- plain ---- */

static void on_plain(evutil_socket_t fd, short what, void *arg)
{
    struct transport *t = arg;
    (void)fd;
    t->is_drained = false;
    if ((what & EV_CLOSED) != 0) {
        t->has_peer_closed =
            true; /* no edge will tell of the end behind the last bytes: read up to it */
    }
    t->events->on_input(t->ctx);
}

static void on_plain_sent(evutil_socket_t fd, short what, void *arg)
{
    struct transport *t = arg;
    (void)fd;
    (void)what;
    t->events->on_sent(t->ctx);
}

static size_t plain_next(struct transport *t, const uint8_t **ptr_r)
{
    t->is_lent_kept = t->kept.len > 0;
    if (t->is_lent_kept) {
        *ptr_r = t->kept.ptr;
        return t->kept.len;
    }
    if (t->is_drained || t->state == TRANSPORT_ENDED) {
        return 0;
    }
    ssize_t n;
    do {
        n = recv(t->fd, t->shared, TRANSPORT_READ, 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        t->is_drained = (size_t)n < TRANSPORT_READ && !t->has_peer_closed;
        *ptr_r = t->shared;
        return (size_t)n;
    }
    if (n < 0 && errno == EAGAIN) {
        t->is_drained = true;
    } else {
        t->state = TRANSPORT_ENDED;
    }
    return 0;
}

static bool plain_send(struct transport *t, struct fb_buf *out)
{
    while (out->len > 0) {
        ssize_t n = send(t->fd, out->ptr, out->len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            if (event_add(t->send_watch, NULL) == 0) {
                return false;
            }
            n = -1;
        }
        if (n < 0) {
            t->state = TRANSPORT_ENDED;
            fb_buf_clear(out);
            break;
        }
        fb_buf_consume(out, (size_t)n);
    }
    return true;
}

/* ---- TLS ---- */

static void on_tls_input(struct bufferevent *bev, void *arg)
{
    struct transport *t = arg;
    (void)bev;
    t->events->on_input(t->ctx);
}

static void on_tls_sent(struct bufferevent *bev, void *arg)
{
    struct transport *t = arg;
    (void)bev;
    t->events->on_sent(t->ctx);
}

static void on_tls_event(struct bufferevent *bev, short what, void *arg)
{
    struct transport *t = arg;
    (void)bev;
    if ((what & BEV_EVENT_CONNECTED) != 0) {
        t->events->on_secured(t->ctx);
        return;
    }
    t->state = TRANSPORT_ENDED;
    t->events->on_input(t->ctx);
}

static size_t tls_next(struct transport *t, const uint8_t **ptr_r)
{
    struct evbuffer *in = bufferevent_get_input(t->tls);
    struct evbuffer_iovec v;
    if (evbuffer_peek(in, -1, NULL, &v, 1) < 1) {
        return 0;
    }
    *ptr_r = v.iov_base;
    return v.iov_len;
}

static bool tls_send(struct transport *t, struct fb_buf *out)
{
    if (out->len > 0 && bufferevent_write(t->tls, out->ptr, out->len) != 0) {
        t->state = TRANSPORT_ENDED;
    }
    fb_buf_clear(out);
    return evbuffer_get_length(bufferevent_get_output(t->tls)) == 0;
}

enum fb_status transport_start_tls(struct transport *t, SSL_CTX *context)
{
    SSL *ssl = SSL_new(context);
    if (ssl == NULL) {
        return FB_NO_SPACE;
    }
    (void)event_del(t->watch);
    (void)event_del(t->send_watch);
    /* Deferred: our calls into the bufferevent never call back at once. */
    t->tls = bufferevent_openssl_socket_new(t->base, t->fd, ssl, BUFFEREVENT_SSL_ACCEPTING,
                                            BEV_OPT_DEFER_CALLBACKS | BEV_OPT_CLOSE_ON_FREE);
    if (t->tls == NULL) {
        SSL_free(ssl);
        return FB_NO_SPACE;
    }
    bufferevent_openssl_set_allow_dirty_shutdown(t->tls, 1);
    bufferevent_setcb(t->tls, on_tls_input, on_tls_sent, on_tls_event, t);
    bufferevent_setwatermark(t->tls, EV_READ, 0, TLS_READ_HIGH);
    return bufferevent_enable(t->tls, EV_READ | EV_WRITE) == 0 ? FB_OK : FB_IO;
}

/* ---- both ---- */

enum fb_status transport_init(struct transport *t, struct event_base *base, evutil_socket_t fd,
                              uint8_t *shared, const struct transport_events *events, void *ctx)
{
    memset(t, 0, sizeof *t);
    t->events = events;
    t->ctx = ctx;
    t->base = base;
    t->fd = fd;
    t->shared = shared;
    fb_buf_init(&t->kept, TRANSPORT_READ);
    t->watch = event_new(base, fd, EV_READ | EV_CLOSED | EV_ET | EV_PERSIST, on_plain, t);
    t->send_watch = event_new(base, fd, EV_WRITE, on_plain_sent, t);
    if (t->watch == NULL || t->send_watch == NULL || event_add(t->watch, NULL) != 0) {
        transport_deinit(t);
        return FB_NO_SPACE;
    }
    return FB_OK;
}

void transport_deinit(struct transport *t)
{
    if (t->tls != NULL) {
        bufferevent_free(t->tls); /* and its SSL and socket */
        t->tls = NULL;
        t->fd = -1;
    }
    if (t->watch != NULL) {
        event_free(t->watch);
    }
    if (t->send_watch != NULL) {
        event_free(t->send_watch);
    }
    t->watch = t->send_watch = NULL;
    if (t->fd >= 0) {
        (void)close(t->fd);
        t->fd = -1;
    }
    fb_buf_deinit(&t->kept);
}

void transport_abandon(struct transport *t)
{
    t->state = TRANSPORT_ENDED;
    if (t->tls != NULL) {
        (void)bufferevent_disable(t->tls, EV_READ | EV_WRITE);
        bufferevent_setcb(t->tls, NULL, NULL, NULL, NULL);
    } else {
        (void)event_del(t->watch);
        (void)event_del(t->send_watch);
    }
    (void)shutdown(t->fd, SHUT_RDWR);
}

bool transport_can_send_now(const struct transport *t)
{
    return t->tls == NULL && t->state == TRANSPORT_OPEN;
}

size_t transport_send_now(const struct transport *t, const void *ptr, size_t len)
{
    ssize_t n = send(t->fd, ptr, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    return n > 0 ? (size_t)n : 0;
}

size_t transport_next(struct transport *t, const uint8_t **ptr_r)
{
    t->lent = t->tls != NULL ? tls_next(t, ptr_r) : plain_next(t, ptr_r);
    return t->lent;
}

void transport_consume(struct transport *t, size_t n)
{
    if (t->tls != NULL) {
        (void)evbuffer_drain(bufferevent_get_input(t->tls), n);
    } else if (t->is_lent_kept) {
        fb_buf_consume(&t->kept, n);
    } else if (n < t->lent) {
        if (fb_buf_add(&t->kept, t->shared + n, t->lent - n) != FB_OK) {
            t->state = TRANSPORT_ENDED; /* no memory: the peer keeps its mail */
        }
    }
    t->lent = 0;
}

bool transport_has_more(struct transport *t)
{
    int waiting = 0;
    if (t->tls != NULL && (evbuffer_get_length(bufferevent_get_input(t->tls)) > t->lent ||
                           SSL_pending(bufferevent_openssl_get_ssl(t->tls)) > 0)) {
        return true;
    }
    return ioctl(t->fd, FIONREAD, &waiting) == 0 && waiting > 0;
}

void transport_forget_input(struct transport *t)
{
    fb_buf_clear(&t->kept);
}

bool transport_send(struct transport *t, struct fb_buf *out)
{
    if (t->state == TRANSPORT_ENDED) {
        fb_buf_clear(out);
        return true;
    }
    return t->tls != NULL ? tls_send(t, out) : plain_send(t, out);
}

void transport_again(struct transport *t)
{
    if (t->tls != NULL) {
        bufferevent_trigger(t->tls, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_OPT_DEFER_CALLBACKS);
    } else {
        event_active(t->watch, EV_READ, 0);
    }
}

void transport_end_output(struct transport *t)
{
    if (t->tls != NULL) {
        (void)SSL_shutdown(
            bufferevent_openssl_get_ssl(t->tls)); /* close_notify; the peer's is not waited for */
    }
    (void)shutdown(t->fd, SHUT_WR);
}
