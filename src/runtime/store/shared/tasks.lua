-- The tasks of all queues of a database. Nobody sees the half of what a call does; but what a call has written when the server
-- refuses the rest of it stays written (redis.io/docs/latest/develop/programmability/eval-intro). So a call looks first, and
-- writes what cannot be refused.
--
-- quell:version                 how all this is written
-- quell:tasks                   the last number that a task has got
-- quell:task:ID                 a task (hash)
-- quell:queues                  the names of all queues (set)
-- quell:queue:NAME              how many of its tasks stand where, and whether it is paused (hash)
-- quell:queue:NAME:CLASS        what waits or runs: an entry for each task, pending for the host that has it (stream)
-- quell:queue:NAME:ids:STATE    tasks by state, in the order of their numbers (sorted set)
-- quell:queue:NAME:due          delayed tasks by when they are due (sorted set)
-- quell:queue:NAME:ended:STATE  tasks that have ended, by when (sorted set)
-- quell:queue:NAME:key:KEY      the tasks of a key that have not ended (sorted set)
-- quell:hosts                   who works here, and when each was seen last (hash)
-- quell:bell:HOST               wakes a host that waits for tasks (stream)
-- quell:watch:ID                hosts that want to know what becomes of a task (set)
-- quell:over:HOST               what became of such tasks: number, state, what was said (list)
--
-- Times are the server's, in microseconds. Numbers of tasks are handed around as texts: a number of more than fourteen
-- digits does not survive Lua's concatenation.

local VERSION = 1
local GROUP = 'quell'
local CLASSES = {'high', 'normal', 'low'}
local STATES = {'waiting', 'delayed', 'running', 'done', 'buried', 'damaged'}
local ENDED = {done = true, buried = true, damaged = true}
-- So many tasks one call changes, where it is about many: the server does nothing else meanwhile.
local STEP_MAX = 1000
-- Who was not seen for so long is forgotten.
local FORGET_US = 86400 * 1000000
-- So long nobody is given a task that had begun with a host that is gone.
local FOUND_US = 1000000

local call = redis.call
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local changed = {}

-- Nought is added, for there are two of it and only one is a whole number's text.
local function whole(number) return string.format('%.0f', number + 0) end
local function of_task(id) return 'quell:task:' .. id end
local function of_queue(queue, ...) return table.concat({'quell:queue:' .. queue, ...}, ':') end
local function stream_of(task) return of_queue(task.queue, task.class) end
local function is_paused(queue) return call('HGET', of_queue(queue), 'paused') == '1' end

-- Makes a queue where there is none of that name.
local function open(queue)
    if call('SADD', 'quell:queues', queue) == 0 then return end
    for _, class in ipairs(CLASSES) do
        call('XGROUP', 'CREATE', of_queue(queue, class), GROUP, '0', 'MKSTREAM')
    end
end

local function load(id)
    local names = {'queue', 'class', 'state', 'attempt', 'bytes', 'entry', 'owner', 'key'}
    local values = call('HMGET', of_task(id), unpack(names))
    if not values[1] then return nil end
    local task = {id = id}
    for at, name in ipairs(names) do task[name] = values[at] or nil end
    return task
end

local function count(task, by)
    local field = task.state == 'waiting' and 'waiting_' .. task.class or task.state
    call('HINCRBY', of_queue(task.queue), field, by)
    if task.state ~= 'done' then call('HINCRBY', of_queue(task.queue), 'bytes', whole(by * task.bytes)) end
    changed[task.queue] = true
end

local function ring(host)
    call('XADD', 'quell:bell:' .. host, 'MAXLEN', 1, '*', 'ring', 1)
end

local function is_known(host) return call('HEXISTS', 'quell:hosts', host) == 1 end

-- Tells those who want to know what has become of a task.
local function tell(id, state, said)
    local watchers = call('SMEMBERS', 'quell:watch:' .. id)
    if #watchers == 0 then return end
    call('DEL', 'quell:watch:' .. id)
    for _, host in ipairs(watchers) do
        if is_known(host) then
            call('RPUSH', 'quell:over:' .. host, id, state, said)
            ring(host)
        end
    end
end

-- Takes a task out of all that is kept of its state.
local function leave(task, to)
    count(task, -1)
    call('ZREM', of_queue(task.queue, 'ids', task.state), task.id)
    if task.state == 'delayed' then call('ZREM', of_queue(task.queue, 'due'), task.id) end
    if ENDED[task.state] then call('ZREM', of_queue(task.queue, 'ended', task.state), task.id) end
    -- Who has taken a task keeps its entry for the try.
    if (task.state == 'waiting' and to ~= 'running') or task.state == 'running' then
        call('XACK', stream_of(task), GROUP, task.entry)
        call('XDEL', stream_of(task), task.entry)
    end
    if task.key and not ENDED[task.state] and (ENDED[to] or to == nil) then
        call('ZREM', of_queue(task.queue, 'key', task.key), task.id)
    end
end

-- A task stands so from now on; further fields of it behind that.
local function enter(task, state, fields)
    task.state = state
    count(task, 1)
    call('ZADD', of_queue(task.queue, 'ids', state), task.id, task.id)
    fields = fields or {}
    if state == 'waiting' then
        fields.entry = call('XADD', stream_of(task), '*', 'id', task.id)
        fields.owner = ''
    elseif state == 'delayed' then
        call('ZADD', of_queue(task.queue, 'due'), fields.due, task.id)
    elseif ENDED[state] then
        fields.ended = whole(now)
        call('ZADD', of_queue(task.queue, 'ended', state), fields.ended, task.id)
        tell(task.id, state, fields.said or '')
    end
    if task.key and not ENDED[state] then
        call('ZADD', of_queue(task.queue, 'key', task.key), task.id, task.id)
    end
    for name, value in pairs(fields) do call('HSET', of_task(task.id), name, value) end
    call('HSET', of_task(task.id), 'state', state)
end

local function move(task, state, fields)
    leave(task, state)
    enter(task, state, fields)
end

local function drop(task)
    leave(task, nil)
    call('DEL', of_task(task.id))
    tell(task.id, '', '')
end

-- Does something with the tasks that a sorted set names, with so many at most: how many, and whether there may be more.
local function each(ids, work)
    for _, id in ipairs(ids) do
        local task = load(id)
        if task then work(task) end
    end
    return #ids, #ids == STEP_MAX
end

local function first(...) return call('ZRANGE', of_queue(...), 0, STEP_MAX - 1) end

-- How the queues stand: of those that have changed, or of all.
local function counts(all)
    local found = {}
    for _, queue in ipairs(call('SMEMBERS', 'quell:queues')) do
        if all or changed[queue] then
            local fields = {'paused', 'waiting_high', 'waiting_normal', 'waiting_low', 'delayed', 'running', 'done',
                'buried', 'damaged', 'bytes'}
            local values = call('HMGET', of_queue(queue), unpack(fields))
            local due = call('ZRANGE', of_queue(queue, 'due'), 0, 0, 'WITHSCORES')[2]
            local row = {queue, due and whole(math.max(0, due - now)) or ''}
            for at = 1, #fields do row[at + 2] = values[at] or '0' end
            found[#found + 1] = row
        end
    end
    return found
end

-- Whether a queue may hold what is put; what is wrong otherwise, and how much it would hold.
local function refuses(queue, max_tasks, max_bytes, tasks)
    local held = call('HMGET', of_queue(queue), 'waiting_high', 'waiting_normal', 'waiting_low', 'delayed', 'running',
        'buried', 'damaged', 'bytes')
    local size, bytes, seen = 0, tonumber(held[8] or 0), {}
    for at = 1, 7 do size = size + (held[at] or 0) end
    for _, task in ipairs(tasks) do
        local is_new = true
        if task.key ~= '' then
            local holders = call('ZRANGE', of_queue(queue, 'key', task.key), 0, -1)
            if task.on == 'drop-new' then
                is_new = #holders == 0 and not seen[task.key]
            elseif not seen[task.key] then
                for _, id in ipairs(holders) do
                    local other = load(id)
                    if other and other.state ~= 'running' then
                        size, bytes = size - 1, bytes - other.bytes
                    end
                end
            else
                size, bytes = size - 1, bytes - seen[task.key]
            end
            if is_new then seen[task.key] = #task.payload end
        end
        if is_new then size, bytes = size + 1, bytes + #task.payload end
    end
    if size > tonumber(max_tasks) then return {'tasks', whole(size)} end
    if bytes > tonumber(max_bytes) then return {'bytes', whole(bytes)} end
end

-- Puts one task: its number, where it stands, how it came there, and which other one that is about.
local function place(queue, new)
    local how, other = 'new', ''
    if new.key ~= '' then
        for _, id in ipairs(call('ZRANGE', of_queue(queue, 'key', new.key), 0, -1)) do
            local task = load(id)
            if task and new.on == 'drop-new' then return {id, task.state, 'there', id} end
            if task and task.state ~= 'running' then
                drop(task)
                if how == 'new' then how, other = 'replaced', id end
            end
        end
    end
    local id = whole(call('INCR', 'quell:tasks'))
    local task = {id = id, queue = queue, class = new.class, bytes = #new.payload}
    if new.key ~= '' then task.key = new.key end
    local fields = {queue = queue, class = new.class, attempt = 0, bytes = task.bytes, put = whole(now), sum = new.sum,
        payload = new.payload, key = task.key}
    if new.trace ~= '' then fields.trace = new.trace end
    local state = 'waiting'
    if tonumber(new.delay) > 0 then
        state, fields.due = 'delayed', whole(now + new.delay)
        changed.bell = true
    end
    enter(task, state, fields)
    return {id, state, how, other}
end

-- A host has taken the entry of a stream: the task, if it is still to be done here and now.
local function taken(host, queue, class, entry, id)
    local task = load(id)
    if not task or task.state ~= 'waiting' or task.entry ~= entry then
        call('XACK', of_queue(queue, class), GROUP, entry)
        call('XDEL', of_queue(queue, class), entry)
    elseif is_paused(queue) then
        changed[queue] = true
        move(task, 'waiting')
    else
        call('HSET', of_task(id), 'owner', host)
        local rest = call('HMGET', of_task(id), 'put', 'trace', 'payload', 'sum')
        return {queue, id, class, task.attempt, rest[1], rest[2] or '', rest[3] or '', rest[4] or '0'}
    end
end

-- Whether the first low task has waited so long that it comes before the first normal one.
local function low_first(queue, max_wait)
    local function age(class)
        local stream = of_queue(queue, class)
        for _, group in ipairs(call('XINFO', 'GROUPS', stream)) do
            local at = {}
            for field = 1, #group, 2 do at[group[field]] = group[field + 1] end
            local entry = call('XRANGE', stream, '(' .. at['last-delivered-id'], '+', 'COUNT', 1)[1]
            if entry then return now - 1000 * string.match(entry[1], '^%d+') end
        end
        return -1
    end
    local low = age('low')
    return low >= tonumber(max_wait) and low >= age('normal')
end

-- Gives back what a host has had: it waits again, its tries counted, and what had begun waits for a moment first.
local function give_back(stream_entry, found)
    local task = load(stream_entry[2][2])
    if task and task.entry == stream_entry[1] then
        if task.state == 'running' then
            found[#found + 1] = {task.id, task.queue, task.attempt, task.owner or ''}
            -- Whoever finds it can give it up before another begins it once more.
            move(task, 'delayed', {due = whole(now + FOUND_US), owner = ''})
            changed.bell = true
        else
            move(task, 'waiting')
        end
    end
end

local function each_stream(work)
    for _, queue in ipairs(call('SMEMBERS', 'quell:queues')) do
        for _, class in ipairs(CLASSES) do work(of_queue(queue, class)) end
    end
end

-- Says that the tasks behind this argument are those of a host that lives: which of them are another's by now.
local function keep(a, from)
    local lost = {}
    for at = from, #a do
        local task = load(a[at])
        if task and task.owner == a[1] and task.entry then
            call('XCLAIM', stream_of(task), GROUP, a[1], 0, task.entry, 'JUSTID')
        else
            lost[#lost + 1] = a[at]
        end
    end
    return lost
end

-- Nobody will hear of a host any more.
local function forget(host)
    each_stream(function(stream)
        if #call('XPENDING', stream, GROUP, '-', '+', 1, host) == 0 then
            call('XGROUP', 'DELCONSUMER', stream, GROUP, host)
        end
    end)
    call('HDEL', 'quell:hosts', host)
    call('DEL', 'quell:bell:' .. host, 'quell:over:' .. host)
end

local verbs = {}

-- A host comes, or comes back: HOST, and where the numbers of tasks begin where there are none yet. The last number.
function verbs.come(a)
    call('SET', 'quell:version', VERSION, 'NX')
    local version = tonumber(call('GET', 'quell:version'))
    if version > VERSION then
        error('a newer quell has written these tasks: version ' .. version .. ', this one knows ' .. VERSION, 0)
    end
    call('SET', 'quell:tasks', a[2], 'NX')
    if a[1] ~= '' then
        call('HSET', 'quell:hosts', a[1], whole(now))
        -- Most often it is there.
        redis.pcall('XGROUP', 'CREATE', 'quell:bell:' .. a[1], GROUP, '$', 'MKSTREAM')
    end
    return call('GET', 'quell:tasks')
end

-- A host is back: HOST, and the tasks that it knows of, which are kept. What it has by the stream, and does not know of, is
-- given back. As for `refresh`.
function verbs.recover(a)
    local known, found = {}, {}
    local lost = keep(a, 2)
    for at = 2, #a do known[a[at]] = true end
    each_stream(function(stream)
        local from = '-'
        while true do
            local pending = call('XPENDING', stream, GROUP, from, '+', STEP_MAX, a[1])
            for _, one in ipairs(pending) do
                local entry = call('XRANGE', stream, one[1], one[1])[1]
                if not entry then
                    call('XACK', stream, GROUP, one[1])
                elseif not known[entry[2][2]] then
                    give_back(entry, found)
                end
                from = '(' .. one[1]
            end
            if #pending < STEP_MAX then return end
        end
    end)
    return {lost, found}
end

-- A host lives, and so do its tasks: HOST, after how many milliseconds one is taken for dead, or none where nobody is to be,
-- and the tasks of HOST. Those that are another's by now, and those that have come back from the dead.
function verbs.refresh(a)
    local lost, found = keep(a, 3), {}
    call('HSET', 'quell:hosts', a[1], whole(now))
    each_stream(function(stream)
        if a[2] == '' then return end
        local claimed = call('XAUTOCLAIM', stream, GROUP, a[1], a[2], '0-0', 'COUNT', STEP_MAX)[2]
        for _, entry in ipairs(claimed) do
            if entry and entry[2] then give_back(entry, found) end
        end
    end)
    local hosts = call('HGETALL', 'quell:hosts')
    for at = 1, #hosts, 2 do
        if now - hosts[at + 1] > FORGET_US then forget(hosts[at]) end
    end
    changed.all = true
    return {lost, found}
end

-- The bell of a host was heard: HOST, ENTRY. What has become of tasks that it wants to know of, until it says that it knows.
function verbs.heard(a)
    call('XACK', 'quell:bell:' .. a[1], GROUP, a[2])
    changed.all = true
    local over, found = call('LRANGE', 'quell:over:' .. a[1], 0, -1), {}
    for at = 1, #over, 3 do found[#found + 1] = {over[at], over[at + 1], over[at + 2]} end
    return found
end

-- HOST knows what has become of so many tasks.
function verbs.known(a)
    call('LTRIM', 'quell:over:' .. a[1], whole(3 * a[2]), -1)
    return {}
end

-- HOST is to look up.
function verbs.ring(a)
    ring(a[1])
    return {}
end

-- Who wants to know what becomes of them, QUEUE, its limits, and of each task: class, key, what to do with another of that, delay, trace, checksum, payload.
function verbs.put(a)
    local queue, tasks, placed = a[2], {}, {}
    open(queue)
    for at = 5, #a, 7 do
        tasks[#tasks + 1] = {class = a[at], key = a[at + 1], on = a[at + 2], delay = a[at + 3], trace = a[at + 4],
            sum = a[at + 5], payload = a[at + 6]}
    end
    local full = refuses(queue, a[3], a[4], tasks)
    if full then return {'full', full} end
    for at, task in ipairs(tasks) do
        placed[at] = place(queue, task)
        if a[1] ~= '' then call('SADD', 'quell:watch:' .. placed[at][1], a[1]) end
    end
    return {'put', placed}
end

-- The next task for HOST, of the first that has one of these: queue, class, and after how long low counts as normal.
function verbs.take(a)
    for at = 2, #a, 3 do
        local queue, class = a[at], a[at + 1]
        open(queue)
        if class == 'normal' and low_first(queue, a[at + 2]) then class = 'low' end
        while not is_paused(queue) do
            local read = call('XREADGROUP', 'GROUP', GROUP, a[1], 'COUNT', 1, 'STREAMS', of_queue(queue, class), '>')
            if not read then break end
            local entry = read[1][2][1]
            local task = taken(a[1], queue, class, entry[1], entry[2][2])
            if task then return {task} end
        end
    end
    return {}
end

-- What HOST has read from a stream: queue, class, entry, number.
function verbs.taken(a)
    return {taken(a[1], a[2], a[3], a[4], a[5])}
end

-- Tries begin at HOST: of each task the number of the try, or nought.
function verbs.lease(a)
    local attempts = {}
    for at = 2, #a do
        local task = load(a[at])
        if task and task.state == 'waiting' and task.owner == a[1] then
            move(task, 'running', {attempt = task.attempt + 1})
            attempts[#attempts + 1] = task.attempt + 1
        else
            attempts[#attempts + 1] = 0
        end
    end
    return attempts
end

-- HOST is at an end with a task: the task, what becomes of it, after how long, and what is said of it. What is unbegun waits
-- as if no try had begun.
function verbs.finish(a)
    local task = load(a[2])
    local is_unbegun = a[3] == 'unbegun'
    local is_back = is_unbegun or a[3] == 'waiting'
    if not task or task.owner ~= a[1] then return {0, 0} end
    -- It was told before, and the answer was lost on its way.
    if task.state == a[3] and not is_back then return {1, 0} end
    if task.state ~= 'running' and not is_back then return {0, 0} end
    local fields = {}
    if is_unbegun then
        if task.state == 'running' then fields.attempt = task.attempt - 1 end
        a[3] = 'waiting'
    end
    if a[4] ~= '' then fields.due = whole(now + a[4]) end
    if a[5] ~= '' then fields.said = a[5] end
    move(task, a[3], fields)
    if a[3] == 'done' then call('HDEL', of_task(task.id), 'payload') end
    return {1, 0}
end

-- A task is not what was put.
function verbs.damaged(a)
    local task = load(a[1])
    if not task or task.state ~= 'waiting' then return {0, 0} end
    move(task, 'damaged')
    return {1, 0}
end

local function some(changed_tasks, more)
    return {changed_tasks, more and 1 or 0}
end

function verbs.due()
    local tasks, more = 0, false
    for _, queue in ipairs(call('SMEMBERS', 'quell:queues')) do
        local ids = call('ZRANGEBYSCORE', of_queue(queue, 'due'), '-inf', whole(now), 'LIMIT', 0, STEP_MAX)
        local of_it, left = each(ids, function(task)
            move(task, 'waiting')
            call('HDEL', of_task(task.id), 'due')
        end)
        tasks, more = tasks + of_it, more or left
        -- Whoever waited for that has to hear of the next, though another was faster.
        changed[queue] = true
    end
    return some(tasks, more)
end

local function kick(task)
    move(task, 'waiting', {attempt = 0})
    call('HDEL', of_task(task.id), 'said', 'ended', 'due')
end

function verbs.kick(a)
    local task = load(a[1])
    if not task or (task.state ~= 'buried' and task.state ~= 'delayed') then return {0, 0} end
    kick(task)
    return {1, 0}
end

function verbs.kick_all(a)
    local buried, more_buried = each(first(a[1], 'ids', 'buried'), kick)
    local delayed, more_delayed = each(first(a[1], 'ids', 'delayed'), kick)
    return some(buried + delayed, more_buried or more_delayed)
end

function verbs.bury(a)
    local task = load(a[1])
    if not task or (task.state ~= 'waiting' and task.state ~= 'delayed') then return {0, 0} end
    move(task, 'buried', {said = a[2], owner = ''})
    call('HDEL', of_task(task.id), 'due')
    return {1, 0}
end

function verbs.drop(a)
    local task = load(a[1])
    if not task or task.state == 'running' then return {0, 0} end
    drop(task)
    return {1, 0}
end

function verbs.drain(a)
    local tasks, more = 0, false
    for _, state in ipairs({'waiting', 'delayed', 'buried', 'damaged'}) do
        local of_it, left = each(first(a[1], 'ids', state), drop)
        tasks, more = tasks + of_it, more or left
    end
    return some(tasks, more)
end

-- QUEUE, what ended before which age in microseconds, and of how many done ones the oldest.
function verbs.purge(a)
    local tasks, more = 0, false
    local function purge(ids)
        local of_it, left = each(ids, drop)
        tasks, more = tasks + of_it, more or left
    end
    for state in pairs(ENDED) do
        local ended = of_queue(a[1], 'ended', state)
        purge(call('ZRANGEBYSCORE', ended, '-inf', '(' .. whole(now - a[2]), 'LIMIT', 0, STEP_MAX))
    end
    local surplus = call('ZCARD', of_queue(a[1], 'ended', 'done')) - a[3]
    if surplus > 0 then
        purge(call('ZRANGE', of_queue(a[1], 'ended', 'done'), 0, math.min(surplus, STEP_MAX) - 1))
    end
    return some(tasks, more)
end

function verbs.pause(a)
    open(a[1])
    call('HSET', of_queue(a[1]), 'paused', a[2])
    changed[a[1]], changed.bell = true, true
    return {0, 0}
end

function verbs.look()
    changed.all = true
    return {0, 0}
end

local SHOWN = {'queue', 'class', 'state', 'attempt', 'bytes', 'put', 'due', 'ended', 'key', 'said', 'trace', 'payload'}

local function shown(id, payload_max)
    local values = call('HMGET', of_task(id), unpack(SHOWN))
    if not values[1] then return nil end
    local row = {id}
    for at = 1, #SHOWN do row[at + 1] = values[at] or '' end
    -- Not by what is empty: a payload may be.
    if values[3] == 'done' then row[13] = false elseif payload_max then row[13] = string.sub(row[13], 1, payload_max) end
    return row
end

-- QUEUE or none for all, STATE or none for all, behind which number, how many.
function verbs.list(a)
    local max, ids, found = tonumber(a[4]), {}, {}
    for _, queue in ipairs(a[1] ~= '' and {a[1]} or call('SMEMBERS', 'quell:queues')) do
        for _, state in ipairs(a[2] ~= '' and {a[2]} or STATES) do
            local some_ids = call('ZRANGEBYSCORE', of_queue(queue, 'ids', state), '(' .. a[3], '+inf', 'LIMIT', 0, max + 1)
            for _, id in ipairs(some_ids) do ids[#ids + 1] = id end
        end
    end
    table.sort(ids, function(one, other) return tonumber(one) < tonumber(other) end)
    for at = 1, math.min(max, #ids) do found[at] = shown(ids[at], 257) end
    return {found, #ids > max and 1 or 0}
end

function verbs.show(a)
    return {shown(a[1])}
end

local arguments = {}
for at = 2, #ARGV do arguments[at - 1] = ARGV[at] end
-- A server whose memory is full refuses a call whose first write may need some. Only puts are to be refused: without this
-- nothing could be ended either, and it would stay full.
if ARGV[1] ~= 'put' then call('DEL', 'quell:') end
local result = verbs[ARGV[1]](arguments)
if changed.bell then
    for _, host in ipairs(call('HKEYS', 'quell:hosts')) do ring(host) end
end
return {result, counts(changed.all)}
