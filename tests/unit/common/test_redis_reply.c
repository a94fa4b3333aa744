/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "common/redis_reply.h"

/* What a Redis that is none says: the text once, then its end or the filling without end. */
struct peer {
    const char *text;
    bool is_endless;
    int fd;
    pthread_t thread;
};

static bool say(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

static void *speak(void *arg)
{
    static const char filling[1 << 16];
    const struct peer *p = arg;
    bool goes_on = say(p->fd, p->text, strlen(p->text)) && p->is_endless;
    while (goes_on) {
        goes_on = say(p->fd, filling, sizeof filling);
    }
    (void)shutdown(p->fd, SHUT_WR);
    return NULL;
}

static redisContext *connect_to(struct peer *p)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    redisContext *c = redisConnectFd(pair[0]);
    assert_non_null(c);
    fb_redis_reply_bound(c);
    p->fd = pair[1];
    assert_int_equal(pthread_create(&p->thread, NULL, speak, p), 0);
    return c;
}

static void end(struct peer *p, redisContext *c)
{
    redisFree(c);
    assert_int_equal(pthread_join(p->thread, NULL), 0);
    (void)close(p->fd);
}

static void replies_are_taken_one_by_one(void **state)
{
    (void)state;
    struct peer p = {.text = "+OK\r\n*2\r\n$3\r\nabc\r\n*-1\r\n:7\r\n"};
    redisContext *c = connect_to(&p);
    void *reply = NULL;
    assert_int_equal(redisAppendCommand(c, "PING"), REDIS_OK);
    assert_int_equal(fb_redis_reply_get(c, &reply), REDIS_OK);
    assert_string_equal(((redisReply *)reply)->str, "OK");
    freeReplyObject(reply);
    assert_int_equal(fb_redis_reply_get(c, &reply), REDIS_OK);
    assert_int_equal(((redisReply *)reply)->elements, 2);
    assert_string_equal(((redisReply *)reply)->element[0]->str, "abc");
    freeReplyObject(reply);
    assert_int_equal(fb_redis_reply_get(c, &reply), REDIS_OK);
    assert_int_equal(((redisReply *)reply)->integer, 7);
    freeReplyObject(reply);
    assert_int_equal(fb_redis_reply_get(c, &reply), REDIS_ERR);
    assert_null(reply);
    assert_int_equal(c->err, REDIS_ERR_EOF);
    end(&p, c);
}

static void an_array_that_announces_too_much_ends_the_connection(void **state)
{
    (void)state;
    static const char *const heads[] = {"*1709551615\r\n", "*4194305\r\n:1\r\n",
                                        "*2\r\n:1\r\n*2000000000\r\n"};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        struct peer p = {.text = heads[i]};
        redisContext *c = connect_to(&p);
        void *reply = NULL;
        assert_int_equal(fb_redis_reply_get(c, &reply), REDIS_ERR);
        assert_null(reply);
        assert_int_equal(c->err, REDIS_ERR_OOM);
        assert_non_null(strstr(c->errstr, "too many elements"));
        end(&p, c);
    }
}

static void a_reply_without_end_ends_the_connection(void **state)
{
    (void)state;
    struct peer p = {.text = "$9000000000\r\n", .is_endless = true};
    redisContext *c = connect_to(&p);
    void *reply = NULL;
    assert_int_equal(fb_redis_reply_get(c, &reply), REDIS_ERR);
    assert_null(reply);
    assert_string_equal(c->errstr, "a reply that is too long");
    end(&p, c);
}

static void what_is_no_reply_is_said(void **state)
{
    (void)state;
    struct peer p = {.text = "HTTP/1.1 400 Bad Request\r\n"};
    redisContext *c = connect_to(&p);
    void *reply = NULL;
    assert_int_equal(fb_redis_reply_get(c, &reply), REDIS_ERR);
    assert_int_equal(c->err, REDIS_ERR_PROTOCOL);
    assert_non_null(strstr(c->errstr, "Protocol error"));
    end(&p, c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_taken_one_by_one),
        cmocka_unit_test(an_array_that_announces_too_much_ends_the_connection),
        cmocka_unit_test(a_reply_without_end_ends_the_connection),
        cmocka_unit_test(what_is_no_reply_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
