/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/redis_fixture.h"
#include "tests/support/free_port.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ATTEMPTS  5
#define WAIT_MS   60000
#define MAX_WORDS 16

static void pause_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL);
}

static _Noreturn void give_up(const char *why)
{
    (void)fprintf(stderr, "redis fixture: %s\n", why);
    abort();
}

static void spawn(struct redis_fixture *f)
{
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", f->port);
    pid_t parent = getpid();
    f->pid = fork();
    if (f->pid < 0) {
        give_up("fork");
    }
    if (f->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(1);
        }
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
               "--appendonly", "no", "--dir", f->dir, "--loglevel", "warning",
               "--enable-debug-command", "local", (char *)NULL);
        _exit(127);
    }
}

static bool answers(const struct redis_fixture *f)
{
    struct timeval tv = {.tv_sec = 1};
    redisContext *c = redisConnectWithTimeout("127.0.0.1", f->port, tv);
    bool ok = false;
    if (c != NULL && c->err == 0) {
        redisReply *reply = redisCommand(c, "PING");
        ok = reply != NULL && reply->type == REDIS_REPLY_STATUS;
        if (reply != NULL) {
            freeReplyObject(reply);
        }
    }
    if (c != NULL) {
        redisFree(c);
    }
    return ok;
}

/* False when the server ended: its port was taken meanwhile. */
static bool wait_for(struct redis_fixture *f)
{
    for (int ms = 0; ms < WAIT_MS; ms += 10) {
        if (answers(f)) {
            return waitpid(f->pid, NULL, WNOHANG) == 0;
        }
        if (waitpid(f->pid, NULL, WNOHANG) == f->pid) {
            f->pid = 0;
            return false;
        }
        pause_ms(10);
    }
    give_up("redis-server does not answer");
}

void redis_fixture_start(struct redis_fixture *f, int shards)
{
    memset(f, 0, sizeof(*f));
    (void)signal(SIGPIPE, SIG_IGN);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/fb-redis-XXXXXX");
    if (mkdtemp(f->dir) == NULL) {
        give_up("mkdtemp");
    }
    for (int i = 0; i < ATTEMPTS; i++) {
        f->port = free_port();
        spawn(f);
        if (wait_for(f)) {
            (void)snprintf(f->url, sizeof(f->url), "redis://127.0.0.1:%u/0", f->port);
            f->config.redis.url = f->url;
            f->config.redis.shards = shards;
            return;
        }
    }
    give_up("redis-server does not start");
}

void redis_fixture_kill(struct redis_fixture *f)
{
    if (f->pid > 0) {
        (void)kill(f->pid, SIGKILL);
        (void)waitpid(f->pid, NULL, 0);
        f->pid = 0;
    }
}

void redis_fixture_again(struct redis_fixture *f)
{
    spawn(f);
    if (!wait_for(f)) {
        give_up("redis-server does not start again");
    }
}

void redis_fixture_stop(struct redis_fixture *f)
{
    redis_fixture_kill(f);
    (void)rmdir(f->dir);
}

struct fb_redis *redis_fixture_connect(const struct redis_fixture *f)
{
    struct fb_redis *r = NULL;
    struct fb_error err = {.status = FB_OK};
    if (fb_redis_new(&f->config, 20000, &r, &err) != FB_OK) {
        give_up(err.text);
    }
    return r;
}

long long redis_fixture_int(const struct redis_fixture *f, ...)
{
    const char *words[MAX_WORDS];
    int count = 0;
    va_list list;
    va_start(list, f);
    const char *word = va_arg(list, const char *);
    while (word != NULL && count < MAX_WORDS) {
        words[count++] = word;
        word = va_arg(list, const char *);
    }
    va_end(list);
    struct timeval tv = {.tv_sec = 30};
    redisContext *c = redisConnectWithTimeout("127.0.0.1", f->port, tv);
    long long answer = -1;
    if (c != NULL && c->err == 0) {
        redisReply *reply = redisCommandArgv(c, count, words, NULL);
        if (reply != NULL && reply->type == REDIS_REPLY_INTEGER) {
            answer = reply->integer;
        } else if (reply != NULL && reply->type == REDIS_REPLY_STRING) {
            answer = strtoll(reply->str, NULL, 10);
        } else if (reply != NULL && reply->type == REDIS_REPLY_STATUS) {
            answer = 0;
        }
        if (reply != NULL) {
            freeReplyObject(reply);
        }
    }
    if (c != NULL) {
        redisFree(c);
    }
    return answer;
}
