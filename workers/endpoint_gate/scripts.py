"""What Redis does at once for a budget, in Lua: nobody comes between a look and a change, and the clock is Redis' own.

Each says its KEYS and ARGV first. Leases are members of a sorted set, by the time until which they hold.
"""

__all__ = ["ENTER", "GIVE_BACK", "HOLD", "LEAVE", "LOOK", "RENEW", "SETTLE"]

_NOW = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
"""

ENTER = (
    _NOW
    + """
-- KEYS: leases, state, this minute, what is held of its run's (if that may take only so much)
-- ARGV: id, lease, most at once (0: unknown), start, tokens
-- says: why it may not be sent ('' if it may), and for how many seconds; of what may, whether it is sent to see (1, 0)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local s = redis.call('HMGET', KEYS[2], 'closed_until', 'paused_until', 'pauses', 'probe', 'at_once')
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return {'', s[4] == ARGV[1] and '1' or '0'} end
local is_probe = '0'
local closed, paused = tonumber(s[1] or 0), tonumber(s[2] or 0)
if now < closed then return {'closed', tostring(closed - now)} end
if tonumber(s[3] or 0) > 0 then
    if now < paused then return {'paused', tostring(paused - now)} end
    if s[4] and redis.call('ZSCORE', KEYS[1], s[4]) then return {'probing', '1'} end
    redis.call('HSET', KEYS[2], 'probe', ARGV[1])
    is_probe = '1'
else
    local most, at_once = tonumber(ARGV[3]), tonumber(s[5] or ARGV[4])
    if most > 0 then at_once = math.min(most, at_once) end
    if redis.call('ZCARD', KEYS[1]) >= math.max(1, math.floor(at_once)) then return {'full', '0.1'} end
end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
local held = KEYS[4] and redis.call('HGET', KEYS[4], ARGV[1])
if held then redis.call('HSET', KEYS[4], ARGV[1], held .. ' sent') end
local minute = KEYS[3] .. math.floor(now / 60)
redis.call('HINCRBY', minute, 'requests', 1)
redis.call('HINCRBY', minute, 'tokens', ARGV[5])
redis.call('EXPIRE', minute, 120)
return {'', is_probe}
"""
)

LEAVE = (
    _NOW
    + """
-- KEYS: leases, state, this minute
-- ARGV: id, how (done, throttled, failed, refused, dropped), whether that is a sign of too much (1, 0), seconds it
--       took, seconds to close for (-1: not said), cost, most at once (0: unknown), start, failures in a row, seconds
--       without an answer, seconds of a look, fewest in a flood, first pause, longest pause, how much slower is slow,
--       why it failed, its tokens if it was not sent (-1: it was)
-- says: 1 if it is counted; it is not again if this is said twice
local id, how, much, took, after = ARGV[1], ARGV[2], ARGV[3] == '1', tonumber(ARGV[4]), tonumber(ARGV[5])
local most, start, row, silent = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local look, flood, first, longest = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14])
local slower, why, unsent = tonumber(ARGV[15]), ARGV[16], tonumber(ARGV[17])
local running = redis.call('ZCARD', KEYS[1])
if redis.call('ZREM', KEYS[1], id) == 0 then return 0 end
local s = {}
local flat = redis.call('HGETALL', KEYS[2])
for i = 1, #flat, 2 do s[flat[i]] = flat[i + 1] end
local function n(name, other) return tonumber(s[name] or other) end
local function set(name, value) s[name] = tostring(value); redis.call('HSET', KEYS[2], name, tostring(value)) end
local is_probe = s['probe'] == id
if is_probe then redis.call('HDEL', KEYS[2], 'probe') end
redis.call('HINCRBY', KEYS[2], how, 1)
redis.call('HINCRBYFLOAT', KEYS[2], 'spent', ARGV[6])
redis.call('EXPIRE', KEYS[2], 604800)
if unsent >= 0 then
    local minute = KEYS[3] .. math.floor((now - took) / 60)
    if redis.call('EXISTS', minute) == 1 then
        redis.call('HINCRBY', minute, 'requests', -1)
        redis.call('HINCRBY', minute, 'tokens', -unsent)
    end
end
if how == 'dropped' then return 1 end

-- how long an answer takes: the median of the last ones, and its best
local usual = n('usual', took)
if how == 'done' or took > usual then
    usual = took > usual and usual * 1.05 or usual / 1.05
    set('usual', usual)
    -- where one at a time is slow too, it is the questions that take longer, and nothing is too much
    set('best', n('at_once', start) <= 1 and usual or math.min(n('best', usual) * 1.001, usual))
    much = much or usual > slower * n('best', usual)
end

-- how many at once: fewer by half of the share of what was too much, one more for each round of answers
if not s['look_at'] then set('look_at', now) end
set('seen', n('seen', 0) + 1)
if much then set('much', n('much', 0) + 1) end
local share = n('much', 0) / n('seen', 1)
local is_look = now - n('look_at', now) >= look or (n('seen', 0) >= flood and share > 0.5)
if is_look then
    if share > 0 then
        set('at_once', math.max(1, n('at_once', start) * (1 - share / 2)))
        set('is_known', 1)
    end
    set('seen', 0); set('much', 0); set('look_at', now)
end
if not (is_look and share > 0) and how == 'done' and not much and running * 2 > n('at_once', start) then
    local more = n('at_once', start) + (s['is_known'] and 1 / n('at_once', start) or 1)
    set('at_once', most > 0 and math.min(most, more) or more)
end

-- whether it is closed for now, or left alone
if how == 'throttled' then
    if n('closed_until', 0) > now then
        after = math.max(after, 0)
    else
        if after < 0 then after = math.min(longest, 2 ^ n('throttles', 0)) end
        set('throttles', n('throttles', 0) + 1)
    end
    set('closed_until', math.max(n('closed_until', 0), now + after))
    return 1
end
set('throttles', 0)
if how ~= 'failed' then
    set('failures', 0); set('pauses', 0); set('heard_at', now)
    return 1
end
if n('failures', 0) == 0 then set('failing_since', now) end
set('failures', n('failures', 0) + 1)
set('why', why)
local since = math.max(n('heard_at', 0), n('failing_since', now))
if is_probe or (n('pauses', 0) == 0 and n('failures', 0) >= row and now - since >= silent) then
    set('paused_until', now + math.min(longest, first * 2 ^ n('pauses', 0)))
    set('pauses', n('pauses', 0) + 1)
end
return 1
"""
)

RENEW = (
    _NOW
    + """
-- KEYS: leases   ARGV: lease, ids
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), ARGV[i]) end
return 0
"""
)

HOLD = (
    _NOW
    + """
-- KEYS: spent, leases, held   ARGV: id, lease, tokens, cost, most tokens, most cost ('': any), stored tokens, cost
-- says: 'over' if it does not fit even when nothing else is out, 'wait' if it may fit later, '' if it is held; and
-- what was spent. A lease that ran out was of a worker that died: what it had sent counts as spent.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)) do
    local tokens, cost = string.match(redis.call('HGET', KEYS[3], id) or '', '(%S+) (%S+) sent')
    if tokens then
        redis.call('HINCRBYFLOAT', KEYS[1], 'tokens', tokens)
        redis.call('HINCRBYFLOAT', KEYS[1], 'cost', cost)
    end
    redis.call('ZREM', KEYS[2], id)
    redis.call('HDEL', KEYS[3], id)
end
if redis.call('HEXISTS', KEYS[3], ARGV[1]) == 1 then return {'', '0', '0'} end
local tokens = math.max(tonumber(redis.call('HGET', KEYS[1], 'tokens') or 0), tonumber(ARGV[7]))
local cost = math.max(tonumber(redis.call('HGET', KEYS[1], 'cost') or 0), tonumber(ARGV[8]))
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'cost', tostring(cost))
local out_tokens, out_cost = 0, 0
for _, held in ipairs(redis.call('HVALS', KEYS[3])) do
    local t, c = string.match(held, '(%S+) (%S+)')
    out_tokens, out_cost = out_tokens + tonumber(t), out_cost + tonumber(c)
end
local function fits(spent, out, need, most)
    if most == '' or spent + out + need <= tonumber(most) then return 0 end
    return spent + need > tonumber(most) and 2 or 1
end
local worst = math.max(fits(tokens, out_tokens, tonumber(ARGV[3]), ARGV[5]),
                       fits(cost, out_cost, tonumber(ARGV[4]), ARGV[6]))
if worst == 0 then
    redis.call('ZADD', KEYS[2], now + tonumber(ARGV[2]), ARGV[1])
    redis.call('HSET', KEYS[3], ARGV[1], ARGV[3] .. ' ' .. ARGV[4])
end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, 604800) end
return {worst == 2 and 'over' or worst == 1 and 'wait' or '', tostring(tokens), tostring(cost)}
"""
)

SETTLE = """
-- KEYS: spent, leases, held   ARGV: id, tokens, cost
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('HDEL', KEYS[3], ARGV[1]) == 1 then
    redis.call('HINCRBYFLOAT', KEYS[1], 'tokens', ARGV[2])
    redis.call('HINCRBYFLOAT', KEYS[1], 'cost', ARGV[3])
end
return 0
"""

GIVE_BACK = """
-- KEYS: a rate of throttled-py   ARGV: seconds that what is given back had filled of it
local until_then = redis.call('GET', KEYS[1])
if until_then then redis.call('SET', KEYS[1], until_then - ARGV[1], 'KEEPTTL') end
return 0
"""

LOOK = (
    _NOW
    + """
-- KEYS: leases, state, this minute
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local minute = redis.call('HMGET', KEYS[3] .. math.floor(now / 60), 'requests', 'tokens')
local state = redis.call('HGETALL', KEYS[2])
return {tostring(now), redis.call('ZCARD', KEYS[1]), minute[1] or '0', minute[2] or '0', state}
"""
)
