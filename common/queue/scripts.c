/* SPDX-License-Identifier: Apache-2.0
 *
 * The Lua scripts.  Rules for all of them:
 *  - every key is in KEYS and has the shard's hash tag, so that one slot holds them;
 *  - Redis does not roll back: check first, then write, acknowledge last.  The first write is one
 *    that Redis refuses when memory is out (XADD, HSET, ZADD), so that a refusal changes nothing;
 *    XACK and XDEL are never refused;
 *  - time is the server's;
 *  - job bytes are opaque, but to reap, which makes the letter for a job that nobody could end;
 *  - a job beside the pipeline (fb_job_is_side) comes with the stage `revoke` or `letter`: it sets no
 *    marks and is in no count of branches.  A letter lies in the stream of rewrite;
 *  - no unpack() of a list whose length comes from outside: Lua ends near 8,000.
 * Marks in the message hash: "d:<stage>:<branch>" = "<stream id>/<consumer>" of the claim that did
 * it; so a caller whose reply was lost asks again and is told OK, and a zombie is told LOST.  With
 * the message's end those of rewrite become brief (28 bits of their SHA-1), and the others go.
 */
#include "common/queue/scripts.h"

#include <pthread.h>

#include "common/queue/scripts_prelude.h"

/* KEYS open stream bulk, then for each message: m, ops..., pace  ARGV room step, then for each
 * message: index of m, msg job first ops, index of pace (0 = none).
 * pace is the sender's key: the time (TAT of the generic cell rate algorithm) at which he will have
 * room for a whole burst again.  A mail moves it on by step; one that would move it further than
 * room into the future goes into the bulk lane and leaves it where it is.  Answers a code for each:
 * several messages in one call and as few commands as can be, because that is what Redis spends
 * its time on.  Where one is refused the answer ends before it
 * (or is the refusal, when it is the first).  The job comes before the ledger: were something wrong
 * with the ops (LOST), the mail would still go its way. */
static const char enqueue_lua[] = CODES CLOCK RUN
    "local open, q, bulk = KEYS[1], KEYS[2], KEYS[3]\n"
    "local at = now_ms()\n"
    "local now, codes, opened, paces, moved = text(at), {}, {}, {}, {}\n"
    "local room, step = tonumber(ARGV[1]), tonumber(ARGV[2])\n"
    "local function is_flood(key)\n"
    "  local tat = paces[key] or tonumber(redis.call('GET', key) or '0')\n"
    "  if tat < at then tat = at end\n"
    "  local is = tat + step - at > room\n"
    "  if not is then tat = tat + step; moved[key] = true end\n"
    "  paces[key] = tat\n"
    "  return is\n"
    "end\n"
    "for i = 3, #ARGV, 6 do\n"
    "  local m, ops = KEYS[tonumber(ARGV[i])], ARGV[i + 4]\n"
    "  local fresh = redis.pcall('HSETNX', m, 'queued', now)\n"
    "  if type(fresh) == 'table' then\n"
    "    if #codes == 0 then return fresh end\n"
    "    break\n"
    "  end\n"
    "  local code = EXISTS\n"
    "  if fresh == 1 then\n"
    "    code = OK\n"
    "    local is = ARGV[i + 5] ~= '0' and is_flood(KEYS[tonumber(ARGV[i + 5])])\n"
    "    redis.call('XADD', is and bulk or q, '*', 'j', ARGV[i + 2], 'f', ARGV[i + 3])\n"
    "    if is then redis.call('HSET', m, 'lane', 'bulk') end\n"
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
    "for key in pairs(moved) do\n"
    "  redis.call('SET', key, string.format('%.3f', paces[key]), 'PX',\n"
    "             text(math.ceil(paces[key] - at) + 1))\n"
    "end\n"
    "list_all()\n"
    "return codes\n";

/* KEYS render upload rewrite revoke, ops...  ARGV ops, then for each job: number of its key, job,
 * first */
static const char add_lua[] = PRELUDE
    "run(ARGV[1])\n"
    "for i = 2, #ARGV, 3 do\n"
    "  redis.call('XADD', KEYS[tonumber(ARGV[i])], '*', 'j', ARGV[i + 1], 'f', ARGV[i + 2])\n"
    "end\n"
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
    "stream.letter = stream.rewrite\n"
    "local group, me, id, stage, branch, msg = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], "
    "ARGV[6]\n"
    "local mark, mine = 'd:' .. stage .. ':' .. branch, ARGV[3] .. '/' .. ARGV[2]\n"
    "local tracked = not side(stage)\n"
    "if not owned(src, group, me, id) then\n"
    "  if tracked and is_mine(m, mark, mine) then return OK end\n"
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
    "  local over = stage == 'render' and not side(to) and\n"
    "               redis.call('HEXISTS', m, 'd:rewrite:' .. b) == 1\n"
    "  if not over then\n"
    "    redis.call('XADD', stream[to], '*', 'j', ARGV[i + 2], 'f', ARGV[i + 3])\n"
    "    if not side(to) and not seen[b] then seen[b] = true; left = left + 1 end\n"
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
            "local tracked = not side(stage)\n"
            "local function is_over()\n"
            "  return redis.call('HGET', m, 'state') == 'done' and 1 or 0\n"
            "end\n"
            "if not owned(src, group, me, id) then\n"
            "  if tracked and is_mine(m, mark, mine) then return {OK, is_over()} end\n"
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

/* KEYS src dead dead_n m rewrite, ops...
 * ARGV group me id stage branch job first status reason ops letter letter_first
 * letter: the job that tells the sender that his mail is held; "" = none.  Told once a stage: he
 * knows it when the operator tries again and it fails again. */
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
            "local known = redis.call('EXISTS', m) == 1\n"
            "bury(KEYS[2], KEYS[3], now_ms(), job, first, stage, ARGV[8], ARGV[9], id, src)\n"
            "if ARGV[11] ~= '' and (not known or\n"
            "   redis.call('HSETNX', m, 'hl:' .. stage .. ':' .. branch, '1') == 1) then\n"
            "  redis.call('XADD', KEYS[5], '*', 'j', ARGV[11], 'f', ARGV[12])\n"
            "end\n"
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

/* KEYS dead dead_n m open stream, ops...  ARGV id oldstage branch msg job first ops; job "" = only
 * remove */
static const char dead_take_lua[] =
    PRELUDE "local m = KEYS[3]\n"
            "local id, stage, branch, msg, job = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]\n"
            "if #redis.call('XRANGE', KEYS[1], id, id) == 0 then return NOT_FOUND end\n"
            "if job ~= '' then\n"
            "  run(ARGV[7])\n"
            "  redis.call('XADD', KEYS[5], '*', 'j', job, 'f', ARGV[6])\n"
            "  if msg ~= '' and not side(stage) and redis.call('EXISTS', m) == 1 then\n"
            "    redis.call('HDEL', m, 'h:' .. branch)\n"
            "    redis.call('ZADD', KEYS[4], text(now_ms()), msg)\n"
            "  end\n"
            "elseif msg ~= '' and not side(stage) and redis.call('EXISTS', m) == 1 then\n"
            "  redis.call('HSET', m, 'h:' .. branch, 'expired|nobody released it in time')\n"
            "  redis.call('ZREM', KEYS[4], msg)\n"
            "end\n"
            "redis.call('XDEL', KEYS[1], id)\n"
            "stage = counted(stage)\n"
            "if redis.call('HINCRBY', KEYS[2], stage, -1) < 0 then redis.call('HSET', KEYS[2], "
            "stage, 0) end\n"
            "return OK\n";

/* KEYS src m  ARGV group me id, indices...: answers {code, "101..."} (1 = may be sent).  Who is
 * recalled is never sent (any more); `s:<i>` stays `sending` where an earlier try claimed it, which
 * may have gone out.  `k:<i>`: claimed again with the earlier claim still there, so UNCLAIM keeps
 * it for good. */
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
            "    if not recalled and state == 'sending' then\n"
            "      set[#set + 1] = 'k:' .. ARGV[i]\n"
            "      set[#set + 1] = '1'\n"
            "    elseif state ~= 'sending' and state ~= 'sent' then\n"
            "      set[#set + 1] = 's:' .. ARGV[i]\n"
            "      set[#set + 1] = recalled and 'recalled' or 'sending'\n"
            "    end\n"
            "    answer[#answer + 1] = recalled and '0' or '1'\n"
            "  end\n"
            "  if #set > 0 then redis.call('HSET', m, unpack(set)) end\n"
            "end\n"
            "return {OK, table.concat(answer)}\n";

/* KEYS m revoke rc due, h...  ARGV now all branches recipients job_count line_count msg recall
 * report_at max record, recipients * index, job_count * (branch has_parcel mark job), line_count *
 * (key number in KEYS, line)
 * answers {code, "101..."} (1 = was out); AGAIN when the plan came between reading and now, EXISTS
 * when this recall was done before, WORN when there are too many */
static const char recall_lua[] =
    PRELUDE "local m, q, rc, due = KEYS[1], KEYS[2], KEYS[3], KEYS[4]\n"
            "local now, count, jobs, lines = ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5]), "
            "tonumber(ARGV[6])\n"
            "local msg, recall, first = ARGV[7], ARGV[8], 12\n"
            "if redis.call('EXISTS', m) == 0 then return {NOT_FOUND, ''} end\n"
            "local known = redis.call('HEXISTS', rc, recall) == 1\n"
            "if not known and (redis.call('HGET', m, 'branches') or '0') ~= ARGV[3] then return "
            "{AGAIN, ''} end\n"
            "local answer = {}\n"
            "for from = first, first + count - 1, 500 do\n"
            "  local ask = {}\n"
            "  for i = from, math.min(from + 499, first + count - 1) do\n"
            "    ask[#ask + 1] = 's:' .. ARGV[i]\n"
            "  end\n"
            "  for _, state in ipairs(redis.call('HMGET', m, unpack(ask))) do\n"
            "    answer[#answer + 1] = (state == 'sending' or state == 'sent') and '1' or '0'\n"
            "  end\n"
            "end\n"
            "if known then return {EXISTS, table.concat(answer)} end\n"
            "if tonumber(redis.call('HGET', rc, 'n') or '0') >= tonumber(ARGV[10]) then return "
            "{WORN, ''} end\n"
            /* Room for what a recall leaves for the upload: see below. */
            "for i = 0, jobs - 1 do\n"
            "  local v = 'v:' .. ARGV[first + count + i * 4] .. ':'\n"
            "  if redis.call('HEXISTS', m, v .. '40') == 1 then return {WORN, ''} end\n"
            "end\n"
            "redis.call('HSET', rc, recall, ARGV[11])\n"
            "redis.call('HINCRBY', rc, 'n', 1)\n"
            "local left = redis.call('PTTL', m)\n"
            "if left < 34560000000 then left = 34560000000 end\n"
            "redis.call('PEXPIRE', rc, text(left))\n"
            "for from = first, first + count - 1, 500 do\n"
            "  local set = {}\n"
            "  for i = from, math.min(from + 499, first + count - 1) do\n"
            "    set[#set + 1] = 'x:' .. ARGV[i]\n"
            "    set[#set + 1] = now\n"
            "  end\n"
            "  redis.call('HSET', m, unpack(set))\n"
            "end\n"
            "if ARGV[2] == '1' then redis.call('HSET', m, 'recalled', now) end\n"
            "local at = first + count\n"
            "for i = 1, jobs do\n"
            "  local branch, has_parcel, mark, job = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at "
            "+ 3]\n"
            "  at = at + 4\n"
            "  redis.call('HSET', rc, 'j:' .. recall .. ':' .. mark, now)\n"
            "  redis.call('XADD', q, '*', 'j', job, 'f', now)\n"
            /* No parcel yet, or its upload runs again (restart): that one's advance takes it once
             * more from here. */
            "  local again = redis.call('HEXISTS', m, 'n:' .. branch) == 1 and\n"
            "                redis.call('HEXISTS', m, 'd:upload:' .. branch) == 0\n"
            "  if has_parcel == '1' and (again or redis.call('HEXISTS', m, 'u:' .. branch) == 0) "
            "then\n"
            "    local k = 0\n"
            "    while k < 63 and redis.call('HEXISTS', m, 'v:' .. branch .. ':' .. k) == 1 do k = "
            "k + 1 end\n"
            "    redis.call('HSET', m, 'v:' .. branch .. ':' .. k, job)\n"
            "  end\n"
            "end\n"
            "for i = 1, lines do\n"
            "  redis.call('RPUSH', KEYS[tonumber(ARGV[at])], ARGV[at + 1])\n"
            "  redis.call('LTRIM', KEYS[tonumber(ARGV[at])], -10000, -1)\n"
            "  if redis.call('PTTL', KEYS[tonumber(ARGV[at])]) == -1 then\n"
            "    redis.call('EXPIRE', KEYS[tonumber(ARGV[at])], 34560000)\n"
            "  end\n"
            "  at = at + 2\n"
            "end\n"
            "redis.call('ZADD', due, ARGV[9], 'report:' .. msg .. '/' .. recall)\n"
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
    [FB_SCRIPT_TAKE] = {"take", fb_lua_take, ""},
    [FB_SCRIPT_WAITING] = {"waiting", fb_lua_waiting, ""},
    [FB_SCRIPT_TOUCH] = {"touch", fb_lua_touch, ""},
    [FB_SCRIPT_LOCK] = {"lock", fb_lua_lock, ""},
    [FB_SCRIPT_PROMOTE] = {"promote", fb_lua_promote, ""},
    [FB_SCRIPT_REAP] = {"reap", fb_lua_reap, ""},
    [FB_SCRIPT_HISTORY] = {"history", fb_lua_history, ""},
    [FB_SCRIPT_FORGET] = {"forget", fb_lua_forget, ""},
    [FB_SCRIPT_SWEEP] = {"sweep", fb_lua_sweep, ""},
    [FB_SCRIPT_STATS] = {"stats", fb_lua_stats, ""},
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
