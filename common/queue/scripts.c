/* SPDX-License-Identifier: Apache-2.0
 *
 * The Lua scripts.  Rules for all of them:
 *  - every key is in KEYS and has the shard's hash tag, so that one slot holds them;
 *  - Redis does not roll back: check first, then write, acknowledge last.  The first write is one
 *    that Redis refuses when memory is out (XADD, HSET, ZADD), so that a refusal changes nothing;
 *    XACK and XDEL are never refused;
 *  - time is the server's;
 *  - job bytes are opaque;
 *  - no unpack() of a list whose length comes from outside: Lua ends near 8,000.
 * Marks in the message hash: "d:<stage>:<branch>" = "<stream id>/<consumer>" of the claim that did
 * it; so a caller whose reply was lost asks again and is told OK, and a zombie is told LOST.
 */
#include "common/queue/scripts.h"

#include <pthread.h>

#define CODES "local OK, EXISTS, LOST, NOT_FOUND, AGAIN, WORN = 0, 1, 2, 3, 4, 5\n"

#define CLOCK                                                                                      \
    "local function now_ms()\n"                                                                    \
    "  local t = redis.call('TIME')\n"                                                             \
    "  return t[1] * 1000 + math.floor(t[2] / 1000)\n"                                             \
    "end\n"                                                                                        \
    "local function text(n) return string.format('%.0f', n) end\n"

/* The ops.  LISTIN (key at member old ttl) adds to a listing, which list_all writes: one command a
 * listing, however many members a call has for it.  Once a day a listing gets to live longer and
 * loses what retention has passed.  True: the key got its time to live. */
#define RUN                                                                                        \
    "local lists = {}\n"                                                                           \
    "local function list_in(_, key, at, member, old, ttl)\n"                                       \
    "  local l = lists[key]\n"                                                                     \
    "  if not l then l = {old = old, ttl = tonumber(ttl)}; lists[key] = l end\n"                   \
    "  l[#l + 1] = at; l[#l + 1] = member\n"                                                       \
    "  if #l > 2000 then\n"                                                                        \
    "    redis.call('ZADD', key, unpack(l)); lists[key] = {old = l.old, ttl = l.ttl}\n"            \
    "  end\n"                                                                                      \
    "end\n"                                                                                        \
    "local function list_all()\n"                                                                  \
    "  for key, l in pairs(lists) do\n"                                                            \
    "    if #l > 0 then redis.call('ZADD', key, unpack(l)) end\n"                                  \
    "    local left = redis.call('PTTL', key)\n"                                                   \
    "    if left < 0 or left < (l.ttl - 86400) * 1000 then\n"                                      \
    "      redis.call('ZREMRANGEBYSCORE', key, '-inf', l.old)\n"                                   \
    "      redis.call('EXPIRE', key, l.ttl)\n"                                                     \
    "    end\n"                                                                                    \
    "  end\n"                                                                                      \
    "end\n"                                                                                        \
    "local function change(packed, key)\n"                                                         \
    "  local expires = false\n"                                                                    \
    "  if packed == '' then return expires end\n"                                                  \
    "  for _, op in ipairs(cmsgpack.unpack(packed)) do\n"                                          \
    "    if op[1] == 'LISTIN' then list_in(unpack(op)) else redis.call(unpack(op)) end\n"          \
    "    if op[1] == 'EXPIRE' and op[2] == key then expires = true end\n"                          \
    "  end\n"                                                                                      \
    "  return expires\n"                                                                           \
    "end\n"                                                                                        \
    "local function run(packed) change(packed); list_all() end\n"

#define PRELUDE                                                                                    \
    CODES "local function owned(src, group, me, id)\n"                                             \
          "  local p = redis.call('XPENDING', src, group, id, id, 1)\n"                            \
          "  return p[1] and p[1][2] == me\n"                                                      \
          "end\n"                                                                                  \
          "local function ack(src, group, id)\n"                                                   \
          "  redis.call('XACK', src, group, id)\n"                                                 \
          "  redis.call('XDEL', src, id)\n"                                                        \
          "end\n" RUN CLOCK /* Nothing is left to do for this branch. */                           \
          "local function finished(m, stage, branch)\n"                                            \
          "  if stage == 'revoke' then return false end\n"                                         \
          "  if stage ~= 'render' and redis.call('HEXISTS', m, 'd:rewrite:' .. branch) == 1 then " \
          "return true end\n"                                                                      \
          "  return redis.call('HGET', m, 'state') == 'done'\n"                                    \
          "end\n"                                                                                  \
          "local function end_message(m, open, msg, now)\n"                                        \
          "  redis.call('HSET', m, 'state', 'done', 'done_ms', text(now))\n"                       \
          "  redis.call('ZREM', open, msg)\n"                                                      \
          "  redis.call('PEXPIRE', m, redis.call('HGET', m, 'ttl') or '34560000000')\n"            \
          "end\n"                                                                                  \
          "local function bury(dead, dead_n, now, job, first, stage, status, reason, id)\n"        \
          "  redis.call('XADD', dead, '*', 'j', job, 'f', first, 'g', stage, 's', status, 'r', "   \
          "reason,\n"                                                                              \
          "             't', text(now), 'i', id)\n"                                                \
          "  redis.call('HINCRBY', dead_n, stage, 1)\n"                                            \
          "end\n"                                                                                  \
          "local function field(fields, name)\n"                                                   \
          "  for i = 1, #fields, 2 do if fields[i] == name then return fields[i + 1] end end\n"    \
          "  return ''\n"                                                                          \
          "end\n"

/* KEYS open stream, then for each message: m, ops...  ARGV, for each message: index of m, msg job
 * first ops.  Answers a code for each: several messages in one call and as few commands as can be,
 * because that is what Redis spends its time on.  Where one is refused the answer ends before it
 * (or is the refusal, when it is the first).  The job comes before the ledger: were something wrong
 * with the ops (LOST), the mail would still go its way. */
static const char enqueue_lua[] = CODES CLOCK RUN
    "local open, q = KEYS[1], KEYS[2]\n"
    "local now, codes, opened = text(now_ms()), {}, {}\n"
    "for i = 1, #ARGV, 5 do\n"
    "  local m, ops = KEYS[tonumber(ARGV[i])], ARGV[i + 4]\n"
    "  local fresh = redis.pcall('HSETNX', m, 'queued', now)\n"
    "  if type(fresh) == 'table' then\n"
    "    if #codes == 0 then return fresh end\n"
    "    break\n"
    "  end\n"
    "  local code = EXISTS\n"
    "  if fresh == 1 then\n"
    "    code = OK\n"
    "    redis.call('XADD', q, '*', 'j', ARGV[i + 2], 'f', ARGV[i + 3])\n"
    "    opened[#opened + 1] = now; opened[#opened + 1] = ARGV[i + 1]\n"
    "    redis.call('HSETNX', m, 'state', 'queued')\n"
    "    local good, expires = pcall(change, ops, m)\n"
    "    if not good then code = LOST end\n"
    /* A bound for messages that never end; ops of the ledger set a better one. */
    "    if not good or not expires then redis.call('PEXPIRE', m, '42336000000') end\n"
    "  end\n"
    "  codes[#codes + 1] = code\n"
    "end\n"
    "if #opened > 0 then redis.call('ZADD', open, unpack(opened)) end\n"
    "list_all()\n"
    "return codes\n";

/* KEYS stream, ops...  ARGV job first ops */
static const char add_lua[] =
    PRELUDE "run(ARGV[3])\n"
            "redis.call('XADD', KEYS[1], '*', 'j', ARGV[1], 'f', ARGV[2])\n"
            "return OK\n";

/* KEYS src m  ARGV group me id stage branch: is there anything left to do? */
static const char check_lua[] =
    PRELUDE "local src, m = KEYS[1], KEYS[2]\n"
            "local group, me, id, stage, branch = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]\n"
            "if not owned(src, group, me, id) then return LOST end\n"
            "if finished(m, stage, branch) or\n"
            "   (stage == 'render' and redis.call('HEXISTS', m, 'd:render:' .. branch) == 1) then\n"
            "  ack(src, group, id)\n"
            "  return EXISTS\n"
            "end\n"
            "return OK\n";

/* KEYS src m open render upload rewrite revoke, ops...
 * ARGV group me id stage branch msg ops count, then count times: stage branch job first */
static const char advance_lua[] = PRELUDE
    "local src, m, open = KEYS[1], KEYS[2], KEYS[3]\n"
    "local stream = {render = KEYS[4], upload = KEYS[5], rewrite = KEYS[6], revoke = KEYS[7]}\n"
    "local group, me, id, stage, branch, msg = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], "
    "ARGV[6]\n"
    "local mark, mine = 'd:' .. stage .. ':' .. branch, ARGV[3] .. '/' .. ARGV[2]\n"
    "local tracked = stage ~= 'revoke'\n"
    "if not owned(src, group, me, id) then\n"
    "  if tracked and redis.call('HGET', m, mark) == mine then return OK end\n"
    "  return LOST\n"
    "end\n"
    "if tracked and (redis.call('HEXISTS', m, mark) == 1 or finished(m, stage, branch)) then\n"
    "  ack(src, group, id)\n"
    "  return EXISTS\n"
    "end\n"
    "run(ARGV[7])\n"
    "local seen, left, again = {}, 0, stage == 'rewrite'\n"
    "for i = 9, 8 + ARGV[8] * 4, 4 do\n"
    "  local to, b = ARGV[i], ARGV[i + 1]\n"
    "  if to == stage and b == branch then again = true end\n"
    "  local over = stage == 'render' and to ~= 'revoke' and\n"
    "               redis.call('HEXISTS', m, 'd:rewrite:' .. b) == 1\n"
    "  if not over then\n"
    "    redis.call('XADD', stream[to], '*', 'j', ARGV[i + 2], 'f', ARGV[i + 3])\n"
    "    if to ~= 'revoke' and not seen[b] then seen[b] = true; left = left + 1 end\n"
    "  end\n"
    "end\n"
    /* Recalled while the upload ran: the revoke jobs that the recall left here. */
    "if stage == 'upload' then\n"
    "  for k = 0, 63 do\n"
    "    local v = 'v:' .. branch .. ':' .. k\n"
    "    local job = redis.call('HGET', m, v)\n"
    "    if not job then break end\n"
    "    redis.call('XADD', stream['revoke'], '*', 'j', job, 'f', text(now_ms()))\n"
    "    redis.call('HDEL', m, v)\n"
    "  end\n"
    "end\n"
    "local answer = OK\n"
    "if tracked then\n"
    "  local now = now_ms()\n"
    /* The same stage of the branch goes on in another job: it is not done. */
    "  if not again then redis.call('HSET', m, mark, mine) end\n"
    "  redis.call('HDEL', m, 'h:' .. branch, 'e:' .. stage .. ':' .. branch)\n"
    "  redis.call('ZADD', open, text(now), msg)\n"
    "  if stage == 'render' then\n"
    "    redis.call('HSET', m, 'left', left, 'state', 'planned')\n"
    "    if left == 0 then end_message(m, open, msg, now); answer = EXISTS end\n"
    "  end\n"
    "end\n"
    "ack(src, group, id)\n"
    "return answer\n";

/* KEYS src m open, ops...  ARGV group me id stage branch msg ops */
static const char finish_lua[] =
    PRELUDE "local src, m, open = KEYS[1], KEYS[2], KEYS[3]\n"
            "local group, me, id, stage, branch, msg = ARGV[1], ARGV[2], ARGV[3], ARGV[4], "
            "ARGV[5], ARGV[6]\n"
            "local mark, mine = 'd:rewrite:' .. branch, ARGV[3] .. '/' .. ARGV[2]\n"
            "local tracked = stage ~= 'revoke'\n"
            "local function is_over()\n"
            "  return redis.call('HGET', m, 'state') == 'done' and 1 or 0\n"
            "end\n"
            "if not owned(src, group, me, id) then\n"
            "  if tracked and redis.call('HGET', m, mark) == mine then return {OK, is_over()} end\n"
            "  return {LOST, 0}\n"
            "end\n"
            "if not tracked then\n"
            "  run(ARGV[7])\n"
            "  ack(src, group, id)\n"
            "  return {OK, 0}\n"
            "end\n"
            "if redis.call('HEXISTS', m, mark) == 1 or finished(m, stage, branch) then\n"
            "  ack(src, group, id)\n"
            "  return {EXISTS, is_over()}\n"
            "end\n"
            "run(ARGV[7])\n"
            "redis.call('HSET', m, mark, mine, 'd:' .. stage .. ':' .. branch, mine)\n"
            "redis.call('HDEL', m, 'h:' .. branch, 'e:' .. stage .. ':' .. branch)\n"
            "local now, left = now_ms(), 0\n"
            "if stage == 'render' then\n"
            "  redis.call('HSET', m, 'left', 0)\n"
            "else\n"
            "  left = redis.call('HINCRBY', m, 'left', -1)\n"
            "end\n"
            "if left <= 0 then\n"
            "  end_message(m, open, msg, now)\n"
            "else\n"
            "  redis.call('ZADD', open, text(now), msg)\n"
            "end\n"
            "ack(src, group, id)\n"
            "return {OK, left <= 0 and 1 or 0}\n";

/* KEYS src m open render  ARGV group me id stage branch msg job first max */
static const char restart_lua[] =
    PRELUDE "local src, m, open = KEYS[1], KEYS[2], KEYS[3]\n"
            "local group, me, id, stage, branch, msg = ARGV[1], ARGV[2], ARGV[3], ARGV[4], "
            "ARGV[5], ARGV[6]\n"
            "if not owned(src, group, me, id) then return LOST end\n"
            "if finished(m, stage, branch) then\n"
            "  ack(src, group, id)\n"
            "  return EXISTS\n"
            "end\n"
            "local n = tonumber(redis.call('HGET', m, 'n:' .. branch) or '0')\n"
            "if n >= tonumber(ARGV[9]) then return WORN end\n"
            "redis.call('HINCRBY', m, 'n:' .. branch, 1)\n"
            "redis.call('XADD', KEYS[4], '*', 'j', ARGV[7], 'f', ARGV[8])\n"
            "redis.call('ZADD', open, text(now_ms()), msg)\n"
            "redis.call('HDEL', m, 'd:render:0')\n"
            /* Its upload must run again and lead to a new rewrite job in place of this one. */
            "if stage == 'rewrite' then redis.call('HDEL', m, 'd:upload:' .. branch) end\n"
            "ack(src, group, id)\n"
            "return OK\n";

/* KEYS src delayed m, ops...  ARGV group me id stage branch delay job first error ops; job "" = the
 * bytes as they are */
static const char retry_lua[] = PRELUDE
    "local src, z, m = KEYS[1], KEYS[2], KEYS[3]\n"
    "local group, me, id, stage, branch = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]\n"
    "local job, first = ARGV[7], ARGV[8]\n"
    "if not owned(src, group, me, id) then return LOST end\n"
    "if finished(m, stage, branch) then\n"
    "  ack(src, group, id)\n"
    "  return EXISTS\n"
    "end\n"
    "if job == '' then\n"
    "  local e = redis.call('XRANGE', src, id, id)[1]\n"
    "  if not e then ack(src, group, id); return LOST end\n"
    "  job, first = field(e[2], 'j'), field(e[2], 'f')\n"
    "end\n"
    "run(ARGV[10])\n"
    "redis.call('ZADD', z, text(now_ms() + ARGV[6]), first .. ':' .. job)\n"
    "if ARGV[9] ~= '' then redis.call('HSET', m, 'e:' .. stage .. ':' .. branch, ARGV[9]) end\n"
    "ack(src, group, id)\n"
    "return OK\n";

/* KEYS src dead dead_n m, ops...  ARGV group me id stage branch job first status reason ops */
static const char bury_lua[] =
    PRELUDE "local src, m = KEYS[1], KEYS[4]\n"
            "local group, me, id, stage, branch = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]\n"
            "local job, first = ARGV[6], ARGV[7]\n"
            "if not owned(src, group, me, id) then return LOST end\n"
            "if finished(m, stage, branch) then\n"
            "  ack(src, group, id)\n"
            "  return EXISTS\n"
            "end\n"
            "if job == '' then\n"
            "  local e = redis.call('XRANGE', src, id, id)[1]\n"
            "  if not e then ack(src, group, id); return LOST end\n"
            "  job, first = field(e[2], 'j'), field(e[2], 'f')\n"
            "end\n"
            "run(ARGV[10])\n"
            "bury(KEYS[2], KEYS[3], now_ms(), job, first, stage, ARGV[8], ARGV[9], id)\n"
            "ack(src, group, id)\n"
            "return OK\n";

/* KEYS src  ARGV group me id: the same bytes, a new entry (7.0 has no XNACK) */
static const char release_lua[] =
    PRELUDE "local src, group, me, id = KEYS[1], ARGV[1], ARGV[2], ARGV[3]\n"
            "if not owned(src, group, me, id) then return LOST end\n"
            "local e = redis.call('XRANGE', src, id, id)[1]\n"
            "if not e then ack(src, group, id); return LOST end\n"
            "redis.call('XADD', src, '*', 'j', field(e[2], 'j'), 'f', field(e[2], 'f'))\n"
            "ack(src, group, id)\n"
            "return OK\n";

/* KEYS src  ARGV group me, ids...: XCLAIM without the check would take a job back from its new
 * owner */
static const char touch_lua[] =
    PRELUDE "local lost = 0\n"
            "for i = 3, #ARGV do\n"
            "  if owned(KEYS[1], ARGV[1], ARGV[2], ARGV[i]) then\n"
            "    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')\n"
            "  else\n"
            "    lost = lost + 1\n"
            "  end\n"
            "end\n"
            "return lost\n";

/* KEYS delayed stream  ARGV max */
static const char promote_lua[] =
    PRELUDE "local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now_ms()), 'LIMIT', 0, "
            "ARGV[1])\n"
            "for _, member in ipairs(due) do\n"
            "  local colon = string.find(member, ':', 1, true)\n"
            "  redis.call('XADD', KEYS[2], '*', 'j', string.sub(member, colon + 1), 'f', "
            "string.sub(member, 1, colon - 1))\n"
            "  redis.call('ZREM', KEYS[1], member)\n"
            "end\n"
            "return #due\n";

/* KEYS stream dead dead_n  ARGV group me min_idle cursor count max_deliveries stage
 * answers {cursor, deleted, buried, id, deliveries, job, id, deliveries, job, ...} */
static const char reap_lua[] = PRELUDE
    "local src, group, me = KEYS[1], ARGV[1], ARGV[2]\n"
    "local got = redis.call('XAUTOCLAIM', src, group, me, ARGV[3], ARGV[4], 'COUNT', ARGV[5])\n"
    "local answer = {got[1], got[3] and #got[3] or 0, 0}\n"
    "for _, e in ipairs(got[2]) do\n"
    "  local id, p = e[1], redis.call('XPENDING', src, group, e[1], e[1], 1)\n"
    "  local deliveries = p[1] and p[1][4] or 1\n"
    "  if deliveries > tonumber(ARGV[6]) then\n"
    "    bury(KEYS[2], KEYS[3], now_ms(), field(e[2], 'j'), field(e[2], 'f'), ARGV[7], 'crashed',\n"
    "         'crash-loop: delivered ' .. deliveries .. ' times and never ended', id)\n"
    "    ack(src, group, id)\n"
    "    answer[3] = answer[3] + 1\n"
    "  else\n"
    "    answer[#answer + 1] = id\n"
    "    answer[#answer + 1] = deliveries\n"
    "    answer[#answer + 1] = field(e[2], 'j')\n"
    "  end\n"
    "end\n"
    "return answer\n";

/* KEYS src  ARGV group me after max: what is pending for me, answered as reap does.  Not by
 * XREADGROUP with an id: that would count as a delivery, though nothing crashed. */
static const char history_lua[] =
    PRELUDE "local answer = {ARGV[3], 0, 0}\n"
            "for _, p in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '(' .. ARGV[3], '+', "
            "ARGV[4], ARGV[2])) do\n"
            "  local e = redis.call('XRANGE', KEYS[1], p[1], p[1])[1]\n"
            "  answer[1] = p[1]\n"
            "  if e then\n"
            "    answer[#answer + 1] = p[1]\n"
            "    answer[#answer + 1] = p[4]\n"
            "    answer[#answer + 1] = field(e[2], 'j')\n"
            "  else\n"
            "    redis.call('XACK', KEYS[1], ARGV[1], p[1])\n"
            "    answer[2] = answer[2] + 1\n"
            "  end\n"
            "end\n"
            "return answer\n";

/* KEYS stream  ARGV group consumer: DELCONSUMER with something pending would lose it for ever */
static const char forget_lua[] = PRELUDE
    "if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) > 0 then return AGAIN end\n"
    "redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])\n"
    "return OK\n";

/* KEYS stream  ARGV group idle me: forgets all consumers that left nothing behind */
static const char sweep_lua[] = PRELUDE
    "local n = 0\n"
    "for _, c in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do\n"
    "  local info = {}\n"
    "  for i = 1, #c, 2 do info[c[i]] = c[i + 1] end\n"
    "  if info.pending == 0 and info.idle > tonumber(ARGV[2]) and info.name ~= ARGV[3] then\n"
    "    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], info.name)\n"
    "    n = n + 1\n"
    "  end\n"
    "end\n"
    "return n\n";

/* KEYS stream delayed dead_n  ARGV group stage: length, in flight, delayed, dead, age of the oldest
 * in ms */
static const char stats_lua[] =
    PRELUDE "local len = redis.call('XLEN', KEYS[1])\n"
            "local p = redis.pcall('XPENDING', KEYS[1], ARGV[1])\n"
            "local inflight = 0\n"
            "if not p.err then inflight = p[1] end\n"
            "local age = 0\n"
            "local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]\n"
            "if first then\n"
            "  age = now_ms() - tonumber(string.match(first[1], '^%d+'))\n"
            "  if age < 0 then age = 0 end\n"
            "end\n"
            "return {len, inflight, redis.call('ZCARD', KEYS[2]),\n"
            "        tonumber(redis.call('HGET', KEYS[3], ARGV[2]) or '0'), age}\n";

/* KEYS dead dead_n m open stream, ops...  ARGV id oldstage branch msg job first ops; job "" = only
 * remove */
static const char dead_take_lua[] =
    PRELUDE "local m = KEYS[3]\n"
            "local id, stage, branch, msg, job = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]\n"
            "if #redis.call('XRANGE', KEYS[1], id, id) == 0 then return NOT_FOUND end\n"
            "if job ~= '' then\n"
            "  run(ARGV[7])\n"
            "  redis.call('XADD', KEYS[5], '*', 'j', job, 'f', ARGV[6])\n"
            "  if msg ~= '' and stage ~= 'revoke' and redis.call('EXISTS', m) == 1 then\n"
            "    redis.call('HDEL', m, 'h:' .. branch)\n"
            "    redis.call('ZADD', KEYS[4], text(now_ms()), msg)\n"
            "  end\n"
            "elseif msg ~= '' and stage ~= 'revoke' and redis.call('EXISTS', m) == 1 then\n"
            "  redis.call('HSET', m, 'h:' .. branch, 'expired|nobody released it in time')\n"
            "  redis.call('ZREM', KEYS[4], msg)\n"
            "end\n"
            "redis.call('XDEL', KEYS[1], id)\n"
            "if redis.call('HINCRBY', KEYS[2], stage, -1) < 0 then redis.call('HSET', KEYS[2], "
            "stage, 0) end\n"
            "return OK\n";

/* KEYS src m  ARGV group me id, indices...: answers {code, "101..."} (1 = may be sent) */
static const char claim_sending_lua[] =
    PRELUDE "local src, m = KEYS[1], KEYS[2]\n"
            "if not owned(src, ARGV[1], ARGV[2], ARGV[3]) then return {LOST, ''} end\n"
            "local all = redis.call('HEXISTS', m, 'recalled') == 1\n"
            "local answer = {}\n"
            "for from = 4, #ARGV, 500 do\n"
            "  local ask, set = {}, {}\n"
            "  local to = math.min(from + 499, #ARGV)\n"
            "  for i = from, to do\n"
            "    ask[#ask + 1] = 's:' .. ARGV[i]\n"
            "    ask[#ask + 1] = 'x:' .. ARGV[i]\n"
            "  end\n"
            "  local have = redis.call('HMGET', m, unpack(ask))\n"
            "  for i = from, to do\n"
            "    local at = (i - from) * 2 + 1\n"
            "    local state, recalled = have[at], have[at + 1] or all\n"
            "    local may = state == 'sending' or state == 'sent' or not recalled\n"
            "    local want = may and 'sending' or 'recalled'\n"
            "    if state ~= want and state ~= 'sent' then\n"
            "      set[#set + 1] = 's:' .. ARGV[i]\n"
            "      set[#set + 1] = want\n"
            "    end\n"
            "    answer[#answer + 1] = may and '1' or '0'\n"
            "  end\n"
            "  if #set > 0 then redis.call('HSET', m, unpack(set)) end\n"
            "end\n"
            "return {OK, table.concat(answer)}\n";

/* KEYS m revoke, h...  ARGV now all branches recipients job_count line_count, recipients * index,
 * job_count * (branch job), line_count * (key number in KEYS, line)
 * answers {code, "101..."} (1 = was out); AGAIN when the plan came between reading and now */
static const char recall_lua[] =
    PRELUDE "local m, q = KEYS[1], KEYS[2]\n"
            "local now, count, jobs, lines = ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5]), "
            "tonumber(ARGV[6])\n"
            "if redis.call('EXISTS', m) == 0 then return {NOT_FOUND, ''} end\n"
            "if (redis.call('HGET', m, 'branches') or '0') ~= ARGV[3] then return {AGAIN, ''} end\n"
            "local answer = {}\n"
            "for from = 7, 6 + count, 500 do\n"
            "  local ask, set = {}, {}\n"
            "  for i = from, math.min(from + 499, 6 + count) do\n"
            "    ask[#ask + 1] = 's:' .. ARGV[i]\n"
            "    set[#set + 1] = 'x:' .. ARGV[i]\n"
            "    set[#set + 1] = now\n"
            "  end\n"
            "  for _, state in ipairs(redis.call('HMGET', m, unpack(ask))) do\n"
            "    answer[#answer + 1] = (state == 'sending' or state == 'sent') and '1' or '0'\n"
            "  end\n"
            "  redis.call('HSET', m, unpack(set))\n"
            "end\n"
            "if ARGV[2] == '1' then redis.call('HSET', m, 'recalled', now) end\n"
            "local at = 7 + count\n"
            "for i = 1, jobs do\n"
            "  local branch, job = ARGV[at], ARGV[at + 1]\n"
            "  at = at + 2\n"
            "  local up = redis.call('HEXISTS', m, 'u:' .. branch) == 1\n"
            "  if up or redis.call('HEXISTS', m, 'h:' .. branch) == 1 then\n"
            "    redis.call('XADD', q, '*', 'j', job, 'f', now)\n"
            "  end\n"
            /* No parcel yet: the upload's advance takes it from here.  (Held ones may have half a
               parcel: both.) */
            "  if not up then\n"
            "    local k = 0\n"
            "    while k < 63 and redis.call('HEXISTS', m, 'v:' .. branch .. ':' .. k) == 1 do k = "
            "k + 1 end\n"
            "    redis.call('HSET', m, 'v:' .. branch .. ':' .. k, job)\n"
            "  end\n"
            "end\n"
            "for i = 1, lines do\n"
            "  redis.call('RPUSH', KEYS[tonumber(ARGV[at])], ARGV[at + 1])\n"
            "  redis.call('LTRIM', KEYS[tonumber(ARGV[at])], -10000, -1)\n"
            "  at = at + 2\n"
            "end\n"
            "return {OK, table.concat(answer)}\n";

static struct fb_script scripts[FB_SCRIPT_COUNT] = {
    [FB_SCRIPT_ENQUEUE] = {"enqueue", enqueue_lua, ""},
    [FB_SCRIPT_ADD] = {"add", add_lua, ""},
    [FB_SCRIPT_CHECK] = {"check", check_lua, ""},
    [FB_SCRIPT_ADVANCE] = {"advance", advance_lua, ""},
    [FB_SCRIPT_FINISH] = {"finish", finish_lua, ""},
    [FB_SCRIPT_RESTART] = {"restart", restart_lua, ""},
    [FB_SCRIPT_RETRY] = {"retry", retry_lua, ""},
    [FB_SCRIPT_BURY] = {"bury", bury_lua, ""},
    [FB_SCRIPT_RELEASE] = {"release", release_lua, ""},
    [FB_SCRIPT_TOUCH] = {"touch", touch_lua, ""},
    [FB_SCRIPT_PROMOTE] = {"promote", promote_lua, ""},
    [FB_SCRIPT_REAP] = {"reap", reap_lua, ""},
    [FB_SCRIPT_HISTORY] = {"history", history_lua, ""},
    [FB_SCRIPT_FORGET] = {"forget", forget_lua, ""},
    [FB_SCRIPT_SWEEP] = {"sweep", sweep_lua, ""},
    [FB_SCRIPT_STATS] = {"stats", stats_lua, ""},
    [FB_SCRIPT_DEAD_TAKE] = {"dead", dead_take_lua, ""},
    [FB_SCRIPT_CLAIM_SENDING] = {"claim_sending", claim_sending_lua, ""},
    [FB_SCRIPT_RECALL] = {"recall", recall_lua, ""},
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare_all(void)
{
    for (size_t i = 0; i < FB_SCRIPT_COUNT; i++) {
        fb_redis_script_prepare(&scripts[i]);
    }
}

const struct fb_script *fb_script_get(enum fb_script_id id)
{
    (void)pthread_once(&once, prepare_all);
    return &scripts[id];
}
