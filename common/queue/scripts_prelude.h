/* SPDX-License-Identifier: Apache-2.0
 *
 * What the Lua scripts begin with.  For scripts.c and scripts_take.c only.
 */
#ifndef FB_COMMON_QUEUE_SCRIPTS_PRELUDE_H
#define FB_COMMON_QUEUE_SCRIPTS_PRELUDE_H

#define CODES "local OK, EXISTS, LOST, NOT_FOUND, AGAIN, WORN = 0, 1, 2, 3, 4, 5\n"

#define CLOCK                                                                                      \
    "local function now_ms()\n"                                                                    \
    "  local t = redis.call('TIME')\n"                                                             \
    "  return t[1] * 1000 + math.floor(t[2] / 1000)\n"                                             \
    "end\n"                                                                                        \
    "local function text(n) return string.format('%.0f', n) end\n"

/* The ops (ops.h).  UNCLAIM takes claims of claim_sending back where nothing can have gone out.
 * LISTIN, ADDRIN and HOURIN add to listings, which list_all writes: one command a listing, however
 * many members a call has for it.  Once a day a listing gets to live longer and loses what retention
 * has passed; an hour's lives as long as its first member's.  True: the key got its time to live. */
#define RUN                                                                                        \
    "local lists, hours = {}, {}\n"                                                                \
    "local function list_for(key, old, ttl, by_score)\n"                                           \
    "  local l = lists[key]\n"                                                                     \
    "  if l and #l > 2000 then redis.call('ZADD', key, unpack(l)); l = nil end\n"                  \
    "  if not l then\n"                                                                            \
    "    l = {old = old, ttl = tonumber(ttl), by_score = by_score}\n"                              \
    "    lists[key] = l\n"                                                                         \
    "  end\n"                                                                                      \
    "  return l\n"                                                                                 \
    "end\n"                                                                                        \
    "local function list_in(_, key, at, member, old, ttl)\n"                                       \
    "  local l = list_for(key, old, ttl, true)\n"                                                  \
    "  l[#l + 1] = at; l[#l + 1] = member\n"                                                       \
    "end\n"                                                                                        \
    "local function addr_in(_, key, member, old, ttl)\n"                                           \
    "  local l = list_for(key, old, ttl, false)\n"                                                 \
    "  l[#l + 1] = '0'; l[#l + 1] = member\n"                                                      \
    "end\n"                                                                                        \
    "local function hour_in(_, key, member, ttl)\n"                                                \
    "  local h = hours[key] or {ttl = ttl}\n"                                                      \
    "  hours[key] = h\n"                                                                           \
    "  h[#h + 1] = member\n"                                                                       \
    "end\n"                                                                                        \
    "local function list_all()\n"                                                                  \
    "  for key, l in pairs(lists) do\n"                                                            \
    "    if #l > 0 then redis.call('ZADD', key, unpack(l)) end\n"                                  \
    "    local left = redis.call('PTTL', key)\n"                                                   \
    "    if left < 0 or left < (l.ttl - 86400) * 1000 then\n"                                      \
    "      if l.by_score then redis.call('ZREMRANGEBYSCORE', key, '-inf', l.old)\n"                \
    "      else redis.call('ZREMRANGEBYLEX', key, '-', '(' .. l.old) end\n"                        \
    "      redis.call('EXPIRE', key, l.ttl)\n"                                                     \
    "    end\n"                                                                                    \
    "  end\n"                                                                                      \
    "  for key, h in pairs(hours) do\n"                                                            \
    "    local added = table.concat(h)\n"                                                          \
    "    if redis.call('APPEND', key, added) == #added then redis.call('EXPIRE', key, h.ttl) "     \
    "end\n"                                                                                        \
    "  end\n"                                                                                      \
    "end\n"                                                                                        \
    "local function map_in(_, key, field, value, ttl, day, today)\n"                               \
    "  redis.call('HSET', key, field, value .. ' ' .. day)\n"                                      \
    "  if redis.call('TTL', key) < tonumber(ttl) then redis.call('EXPIRE', key, ttl) end\n"        \
    "  local count = redis.call('HLEN', key)\n"                                                    \
    "  if count < 64 or count % 16 ~= 0 then return end\n"                                         \
    "  local all = redis.call('HGETALL', key)\n"                                                   \
    "  for i = 1, #all, 2 do\n"                                                                    \
    "    local over = tonumber(string.match(all[i + 1], ' (%d+)$'))\n"                             \
    "    if over and over < tonumber(today) then redis.call('HDEL', key, all[i]) end\n"            \
    "  end\n"                                                                                      \
    "end\n"                                                                                        \
    "local function unclaim(_, m, ...)\n"                                                          \
    "  for _, i in ipairs({...}) do\n"                                                             \
    "    if redis.call('HEXISTS', m, 'k:' .. i) == 0 and\n"                                        \
    "       redis.call('HGET', m, 's:' .. i) == 'sending' then\n"                                  \
    "      redis.call('HDEL', m, 's:' .. i)\n"                                                     \
    "    end\n"                                                                                    \
    "  end\n"                                                                                      \
    "end\n"                                                                                        \
    "local function del_if(_, key, value)\n"                                                       \
    "  if redis.call('GET', key) == value then redis.call('DEL', key) end\n"                       \
    "end\n"                                                                                        \
    "local own = {LISTIN = list_in, ADDRIN = addr_in, HOURIN = hour_in, MAPIN = map_in,\n"         \
    "             UNCLAIM = unclaim, DELIF = del_if}\n"                                            \
    "local function change(packed, key)\n"                                                         \
    "  local expires = false\n"                                                                    \
    "  if packed == '' then return expires end\n"                                                  \
    "  for _, op in ipairs(cmsgpack.unpack(packed)) do\n"                                          \
    "    local f = own[op[1]] or redis.call\n"                                                     \
    "    f(unpack(op))\n"                                                                          \
    "    if op[1] == 'EXPIRE' and op[2] == key then expires = true end\n"                          \
    "  end\n"                                                                                      \
    "  return expires\n"                                                                           \
    "end\n"                                                                                        \
    "local function run(packed) change(packed); list_all() end\n"

#define PRELUDE                                                                                       \
    CODES                                                                                             \
    "local function owned(src, group, me, id)\n"                                                      \
    "  local p = redis.call('XPENDING', src, group, id, id, 1)\n"                                     \
    "  return p[1] and p[1][2] == me\n"                                                               \
    "end\n"                                                                                           \
    "local function ack(src, group, id)\n"                                                            \
    "  redis.call('XACK', src, group, id)\n"                                                          \
    "  redis.call('XDEL', src, id)\n"                                                                 \
    "end\n" RUN CLOCK /* Nothing is left to do for this branch. */                                    \
    "local function side(stage) return stage == 'revoke' or stage == 'letter' end\n"                  \
    "local function finished(m, stage, branch)\n"                                                     \
    "  if side(stage) then return false end\n"                                                        \
    "  if stage ~= 'render' and redis.call('HEXISTS', m, 'd:rewrite:' .. branch) == 1 then "          \
    "return true end\n"                                                                               \
    "  return redis.call('HGET', m, 'state') == 'done'\n"                                             \
    "end\n"                                                                                           \
    "local function brief(mine)\n"                                                                    \
    "  return text(tonumber(string.sub(redis.sha1hex(mine), 1, 7), 16))\n"                            \
    "end\n"                                                                                           \
    "local function is_mine(m, mark, mine)\n"                                                         \
    "  local has = redis.call('HGET', m, mark)\n"                                                     \
    "  return has == mine or has == brief(mine)\n"                                                    \
    "end\n"                                                                                           \
    "local function all_of(command, m, list)\n"                                                       \
    "  for i = 1, #list, 500 do\n"                                                                    \
    "    redis.call(command, m, unpack(list, i, math.min(i + 499, #list)))\n"                         \
    "  end\n"                                                                                         \
    "end\n" /* What only the way to the end needed goes with the end: a record is kept for a year. */ \
    "local function shrink(m)\n"                                                                      \
    "  local all, gone, short, again = redis.call('HGETALL', m), {'ttl'}, {}, {}\n"                   \
    "  for i = 1, #all, 2 do\n"                                                                       \
    "    local b = string.match(all[i], '^n:(%d+)$')\n"                                               \
    "    if b then again[b] = true end\n"                                                             \
    "    if string.match(all[i], '^d:rewrite:') then again.sent = true end\n"                         \
    "  end\n"                                                                                         \
    "  for i = 1, #all, 2 do\n"                                                                       \
    "    local name, value = all[i], all[i + 1]\n"                                                    \
    "    local stage, b = string.match(name, '^d:(%a+):(%d+)$')\n"                                    \
    "    if stage == 'rewrite' or (stage == 'upload' and again[b]) or\n"                              \
    "       (stage == 'render' and not again.sent) then\n"                                            \
    "      short[#short + 1] = name; short[#short + 1] = brief(value)\n"                              \
    "    elseif stage or (value == '0' and string.match(name, '^i:%d+$')) then\n"                     \
    "      gone[#gone + 1] = name\n"                                                                  \
    "    end\n"                                                                                       \
    "  end\n"                                                                                         \
    "  all_of('HDEL', m, gone)\n"                                                                     \
    "  all_of('HSET', m, short)\n"                                                                    \
    "end\n"                                                                                           \
    "local function end_message(m, open, msg, now)\n"                                                 \
    "  local ttl = redis.call('HGET', m, 'ttl') or '34560000000'\n"                                   \
    "  redis.call('HSET', m, 'state', 'done', 'done_ms', text(now), 'queued', '1')\n"                 \
    "  redis.call('ZREM', open, msg)\n"                                                               \
    "  redis.call('PEXPIRE', m, ttl)\n"                                                               \
    "  shrink(m)\n"                                                                                   \
    "end\n"                                                                                           \
    "local function counted(stage) return stage == 'letter' and 'rewrite' or stage end\n"             \
    "local function bury(dead, dead_n, now, job, first, stage, status, reason, id, src)\n"            \
    "  stage = counted(stage)\n"                                                                      \
    "  local e = {'j', job, 'f', first, 'g', stage, 's', status, 'r', reason, 't', "                  \
    "text(now), 'i', id}\n"                                                                           \
    "  if string.sub(src, -5) == ':bulk' then e[15] = 'l'; e[16] = 'bulk' end\n"                      \
    "  redis.call('XADD', dead, '*', unpack(e))\n"                                                    \
    "  redis.call('HINCRBY', dead_n, stage, 1)\n"                                                     \
    "end\n"                                                                                           \
    "local function field(fields, name)\n"                                                            \
    "  for i = 1, #fields, 2 do if fields[i] == name then return fields[i + 1] end end\n"             \
    "  return ''\n"                                                                                   \
    "end\n"

/* scripts_take.c */
extern const char fb_lua_take[];
extern const char fb_lua_waiting[];
extern const char fb_lua_touch[];
extern const char fb_lua_lock[];
extern const char fb_lua_promote[];
extern const char fb_lua_reap[];
extern const char fb_lua_history[];
extern const char fb_lua_forget[];
extern const char fb_lua_sweep[];
extern const char fb_lua_stats[];

#endif
