/* SPDX-License-Identifier: Apache-2.0
 *
 * The Lua scripts that take jobs and tidy up (take.c, stats.c); the rules for all are in scripts.c.
 */
#include "common/queue/scripts_prelude.h"

/* KEYS normal bulk  ARGV group me max share: up to max, of them share from bulk where it has so
 * many; the rest normal first.  Answers {entries of normal, entries of bulk}. */
const char fb_lua_take[] =
    "local max, share = tonumber(ARGV[3]), tonumber(ARGV[4])\n"
    "local function read(src, n)\n"
    "  if n <= 0 then return {} end\n"
    "  local got = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', n, 'STREAMS',\n"
    "                         src, '>')\n"
    "  return got and got[1] and got[1][2] or {}\n"
    "end\n"
    "local bulk = read(KEYS[2], share)\n"
    "local normal = read(KEYS[1], max - #bulk)\n"
    "if #bulk == share then\n"
    "  for _, e in ipairs(read(KEYS[2], max - #bulk - #normal)) do bulk[#bulk + 1] = e end\n"
    "end\n"
    "return {normal, bulk}\n";

/* KEYS streams...  ARGV group: ms that the oldest entry waits which nobody was given */
const char fb_lua_waiting[] = CODES CLOCK
    "local age = 0\n"
    "for _, key in ipairs(KEYS) do\n"
    "  local groups, last = redis.pcall('XINFO', 'GROUPS', key), '0-0'\n"
    "  for _, g in ipairs(groups) do\n"
    "    local info = {}\n"
    "    for i = 1, #g, 2 do info[g[i]] = g[i + 1] end\n"
    "    if info.name == ARGV[1] then last = info['last-delivered-id'] end\n"
    "  end\n"
    "  local e = redis.call('XRANGE', key, '(' .. last, '+', 'COUNT', 1)[1]\n"
    "  if e then age = math.max(age, now_ms() - tonumber(string.match(e[1], '^%d+'))) end\n"
    "end\n"
    "return age\n";

/* KEYS src  ARGV group me, ids...: XCLAIM without the check would take a job back from its new
 * owner */
const char fb_lua_touch[] =
    PRELUDE "local lost = 0\n"
            "for i = 3, #ARGV do\n"
            "  if owned(KEYS[1], ARGV[1], ARGV[2], ARGV[i]) then\n"
            "    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')\n"
            "  else\n"
            "    lost = lost + 1\n"
            "  end\n"
            "end\n"
            "return lost\n";

/* KEYS src lock  ARGV group me id ttl: a claim that is none any more would never give it back */
const char fb_lua_lock[] =
    PRELUDE "if not owned(KEYS[1], ARGV[1], ARGV[2], ARGV[3]) then return LOST end\n"
            "local holder = redis.call('GET', KEYS[2])\n"
            "if holder and holder ~= ARGV[3] then return EXISTS end\n"
            "redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])\n"
            "return OK\n";

/* KEYS delayed stream  ARGV max */
const char fb_lua_promote[] =
    PRELUDE "local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now_ms()), 'LIMIT', 0, "
            "ARGV[1])\n"
            "for _, member in ipairs(due) do\n"
            "  local colon = string.find(member, ':', 1, true)\n"
            "  redis.call('XADD', KEYS[2], '*', 'j', string.sub(member, colon + 1), 'f', "
            "string.sub(member, 1, colon - 1))\n"
            "  redis.call('ZREM', KEYS[1], member)\n"
            "end\n"
            "return #due\n";

/* KEYS stream dead dead_n rewrite  ARGV group me min_idle cursor count max_deliveries stage
 * answers {cursor, deleted, buried, id, deliveries, job, id, deliveries, job, ...} */
const char fb_lua_reap[] = PRELUDE
    "local src, group, me = KEYS[1], ARGV[1], ARGV[2]\n"
    /* The letter to the sender of a job that is buried here, for this worker does not see it. */
    "local function held(job, now)\n"
    "  local good, t = pcall(cmsgpack.unpack, job)\n"
    "  if not good or type(t) ~= 'table' or t.stage == 'revoke' or t.letter or\n"
    "     type(t.msg) ~= 'string' or type(t.spool) ~= 'string' or type(t.branch) ~= 'number' or\n"
    "     type(t.trace) ~= 'string' then\n"
    "    return nil\n"
    "  end\n"
    "  return cmsgpack.pack({v = 2, stage = 'rewrite', msg = t.msg, spool = t.spool,\n"
    "                        branch = t.branch, attempt = 0, first = now, trace = t.trace,\n"
    "                        letter = 'held'})\n"
    "end\n"
    "local got = redis.call('XAUTOCLAIM', src, group, me, ARGV[3], ARGV[4], 'COUNT', ARGV[5])\n"
    "local answer = {got[1], got[3] and #got[3] or 0, 0}\n"
    "for _, e in ipairs(got[2]) do\n"
    "  local id, p = e[1], redis.call('XPENDING', src, group, e[1], e[1], 1)\n"
    "  local deliveries = p[1] and p[1][4] or 1\n"
    "  if deliveries > tonumber(ARGV[6]) then\n"
    "    bury(KEYS[2], KEYS[3], now_ms(), field(e[2], 'j'), field(e[2], 'f'), ARGV[7], 'crashed',\n"
    "         'crash-loop: delivered ' .. deliveries .. ' times and never ended', id, src)\n"
    "    local letter = held(field(e[2], 'j'), now_ms())\n"
    "    if letter then\n"
    "      redis.call('XADD', KEYS[4], '*', 'j', letter, 'f', text(now_ms()))\n"
    "    end\n"
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
const char fb_lua_history[] =
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
const char fb_lua_forget[] = PRELUDE
    "if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) > 0 then return AGAIN end\n"
    "redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])\n"
    "return OK\n";

/* KEYS stream  ARGV group idle me: forgets all consumers that left nothing behind */
const char fb_lua_sweep[] = PRELUDE
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

/* KEYS dead_n stream delayed, and the same of the bulk lane  ARGV group stage: length, in flight,
 * delayed, dead, age of the oldest in ms, length of the bulk lane */
const char fb_lua_stats[] =
    CODES CLOCK "local len, inflight, delayed, age, bulk = 0, 0, 0, 0, 0\n"
                "for i = 2, #KEYS, 2 do\n"
                "  local n = redis.call('XLEN', KEYS[i])\n"
                "  local p = redis.pcall('XPENDING', KEYS[i], ARGV[1])\n"
                "  if not p.err then inflight = inflight + p[1] end\n"
                "  local first = redis.call('XRANGE', KEYS[i], '-', '+', 'COUNT', 1)[1]\n"
                "  if first then\n"
                "    age = math.max(age, now_ms() - tonumber(string.match(first[1], '^%d+')))\n"
                "  end\n"
                "  delayed = delayed + redis.call('ZCARD', KEYS[i + 1])\n"
                "  len = len + n\n"
                "  if i > 2 then bulk = n end\n"
                "end\n"
                "return {len, inflight, delayed,\n"
                "        tonumber(redis.call('HGET', KEYS[1], ARGV[2]) or '0'), age, bulk}\n";
