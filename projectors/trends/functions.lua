#!lua name=rookery_trends

-- What trends, in buckets of an hour: every score is the size of sets whose members are people, posts and comments.
--
-- Keys (every function takes KEYS[1] = "{trends}:position"; all keys have that tag):
--
--   {trends}:incarnation   a random string, made by the projector when it is absent; gone with a flush
--   {trends}:position      hash "topic:partition" -> "next offset:epoch", all partitions of all topics or none
--   {trends}:filling       hash "topic:partition" -> the offset up to which the incarnation makes good what a flush took
--
-- and below "{trends}:<incarnation's first 8 characters>:", so that nothing of an earlier incarnation is ever mixed in:
--
--   newest                 the newest hour of which there was an event; hours are whole ones since 1970
--   tags:<hour>            sorted set hashtag -> how many people used it, the size of
--   people:<hour>:<tag>    set of those who have a post that counts, published in that hour, with the hashtag
--   uses:<hour>:<tag>      sorted set of those posts, "<author>:<post>" in alphabetical order
--   posts:<hour>           sorted set post -> its weight: what its likes, comments and shares of that hour weigh
--   like:<post> share:<post>   sorted set of those who do -> when, in microseconds since 1970
--   comment:<post>         sorted set of its comments -> when
--   removed:<post>         hash comment -> an event's id and whether moderators took it away; such comments are in
--   withheld:<post>        as comment:<post>, and weigh nothing
--   ended:<post>           sorted set "<kind>:<id>" of what was taken back -> when
--   post:<post>            hash author, public, withheld, hashtags, each an event's id and what it says; counted, the
--                          hashtags under which the post stands in `uses`
--   person:<person>        hash of reasons for which somebody's posts are not public, each an event's id and 1 or 0
--   gone:<post>            the post was deleted, or its author erased
--   posted:<person>        sorted set of the posts that somebody published -> when, by which they are found again
--   did:<kind>:<person>    sorted set of the posts that somebody likes or shares, or those and the comment -> when, likewise.
--                          Members have at most 64 characters, up to which Redis keeps a small set as compactly as it can
--
-- Why a record may come again, late, or out of order. Of every word the greater event's id, or time, wins, and the sets
-- follow from the words that won, in the same call as the position moves. A score is never added to: it is set to the
-- size of a set. What is older than HOURS_KEPT before the newest event can never be read again: it is ignored, and every
-- key ends by itself that long after it was last touched. So an erasure, or a deletion, need be remembered no longer: what
-- it ends is older than it.

local HOUR = 3600000000
local HOURS_READ = 48
local HOURS_KEPT = 50                  -- as LOG_HOURS in fold.py
local KEPT_SECONDS = HOURS_KEPT * 3600
local HALVED_AFTER_HOURS = 6
local RANKED_MS = 2000                 -- so old the order may be from which a page is taken
local WEIGHTS = { like = 1, comment = 3, share = 4 }
local ID_DIGITS = 32

local function root_of(keys)
  return (string.gsub(keys[1], 'position$', ''))
end

local function base_of(root, incarnation)
  return root .. string.sub(incarnation, 1, 8) .. ':'
end

local function whole(number)
  return string.format('%.0f', number)
end

local function hour_of(micros)
  return math.floor(micros / HOUR)
end

-- When a post was published is in its id (shared/ids.py).
local function millis_of(post)
  return tonumber(string.sub(post, 1, 12), 16)
end

local function keep(...)
  for _, key in ipairs({ ... }) do
    redis.call('EXPIRE', key, KEPT_SECONDS)
  end
end

-- Sets the fields that are newer than what the hash has; each value begins with its event's id.
local function hear(key, words)
  for field, value in pairs(words) do
    local known = redis.call('HGET', key, field)
    if not known or string.sub(known, 1, ID_DIGITS) < string.sub(value, 1, ID_DIGITS) then
      redis.call('HSET', key, field, value)
    end
  end
  keep(key)
end

local function hash_of(key)
  local found, flat = {}, redis.call('HGETALL', key)
  for nth = 1, #flat, 2 do found[flat[nth]] = flat[nth + 1] end
  return found
end

local function said(word)
  return word and string.sub(word, ID_DIGITS + 1)
end

local function is_hidden(base, person)
  for _, word in pairs(hash_of(base .. 'person:' .. person)) do
    if said(word) == '1' then return true end
  end
  return false
end

local function is_erased(base, person)
  return redis.call('HEXISTS', base .. 'person:' .. person, 'erased') == 1
end

local function words_of(text)
  local found = {}
  for word in string.gmatch(text or '', '%S+') do found[word] = true end
  return found
end

local function use(base, hour, tag, author, post, counts)
  local place = hour .. ':' .. tag
  local uses, people, tags = base .. 'uses:' .. place, base .. 'people:' .. place, base .. 'tags:' .. hour
  redis.call(counts and 'ZADD' or 'ZREM', uses, unpack(counts and { 0, author .. ':' .. post } or { author .. ':' .. post }))
  if redis.call('ZLEXCOUNT', uses, '[' .. author .. ':', '(' .. author .. ';') > 0 then
    redis.call('SADD', people, author)
  else
    redis.call('SREM', people, author)
  end
  local size = redis.call('SCARD', people)
  if size > 0 then
    redis.call('ZADD', tags, size, tag)
  else
    redis.call('ZREM', tags, tag)
  end
  keep(uses, people, tags)
end

-- Puts a post under the hashtags under which it counts now, and no others.
local function recount(base, post)
  local key = base .. 'post:' .. post
  local found = hash_of(key)
  if not found.author then return end
  local author, hour = said(found.author), whole(math.floor(millis_of(post) * 1000 / HOUR))
  local counts = said(found.public) == '1' and said(found.withheld) ~= '1' and redis.call('EXISTS', base .. 'gone:' .. post) == 0
    and not is_hidden(base, author)
  local wanted, counted = words_of(counts and said(found.hashtags) or ''), words_of(found.counted)
  local now = {}
  for tag in pairs(counted) do
    if not wanted[tag] then use(base, hour, tag, author, post, false) end
  end
  for tag in pairs(wanted) do
    if not counted[tag] then use(base, hour, tag, author, post, true) end
    now[#now + 1] = tag
  end
  redis.call('HSET', key, 'counted', table.concat(now, ' '))
end

-- What is to be weighed anew at the end of a batch: posts, each with hours. Sets to be rid of what is too old are `aged`.
local function touch(batch, post, micros)
  local hours = batch.touched[post] or {}
  hours[hour_of(micros)] = true
  batch.touched[post] = hours
end

local function weigh(batch)
  local too_old = '(' .. whole((batch.oldest + 1) * HOUR)
  for key in pairs(batch.aged) do redis.call('ZREMRANGEBYSCORE', key, '-inf', too_old) end
  for post, hours in pairs(batch.touched) do
    local kinds = {}
    for kind in pairs(WEIGHTS) do
      kinds[kind] = batch.base .. kind .. ':' .. post
      redis.call('ZREMRANGEBYSCORE', kinds[kind], '-inf', too_old)
    end
    for hour in pairs(hours) do
      if hour > batch.oldest then
        local weight, bucket = 0, batch.base .. 'posts:' .. whole(hour)
        for kind, each in pairs(WEIGHTS) do
          weight = weight + each * redis.call('ZCOUNT', kinds[kind], whole(hour * HOUR), '(' .. whole((hour + 1) * HOUR))
        end
        if weight > 0 then
          redis.call('ZADD', bucket, weight, post)
          keep(bucket)
        else
          redis.call('ZREM', bucket, post)
        end
      end
    end
  end
end

-- What a batch asks of the same post or person again and again is asked once.
local function once(known, key, ask)
  if known[key] == nil then known[key] = ask() end
  return known[key]
end

local function is_removed(base, post, comment)
  return said(redis.call('HGET', base .. 'removed:' .. post, comment)) == '1'
end

-- A comment that moderators took away weighs nothing until they bring it back.
local function moderate(batch, post, comment, word)
  local base = batch.base
  if hour_of(millis_of(comment) * 1000) <= batch.oldest then return end
  local shown, withheld = base .. 'comment:' .. post, base .. 'withheld:' .. post
  hear(base .. 'removed:' .. post, { [comment] = word })
  local from, to = withheld, shown
  if is_removed(base, post, comment) then from, to = shown, withheld end
  local since = redis.call('ZSCORE', from, comment)
  if since then
    redis.call('ZREM', from, comment)
    redis.call('ZADD', to, since, comment)
    touch(batch, post, tonumber(since))
    batch.aged[withheld] = true
    keep(to)
  end
end

local function engage(batch, kind, post, id, person, micros, stands)
  local base = batch.base
  if hour_of(micros) <= batch.oldest then return end
  if stands and (once(batch.gone, post, function() return redis.call('EXISTS', base .. 'gone:' .. post) == 1 end)
    or once(batch.erased, person, function() return is_erased(base, person) end)) then return end
  local set, ended, mark = base .. kind .. ':' .. post, base .. 'ended:' .. post, kind .. ':' .. id
  if kind == 'comment' and is_removed(base, post, id) then set = base .. 'withheld:' .. post end
  local did, entry = base .. 'did:' .. kind .. ':' .. person, kind == 'comment' and post .. id or post
  local stood, ended_at = redis.call('ZSCORE', set, id), redis.call('ZSCORE', ended, mark)
  if stood and tonumber(stood) >= micros or ended_at and tonumber(ended_at) >= micros then return end
  if stood then touch(batch, post, tonumber(stood)) end
  if stands then
    redis.call('ZADD', set, whole(micros), id)
    redis.call('ZADD', did, whole(micros), entry)
    if ended_at then redis.call('ZREM', ended, mark) end
    touch(batch, post, micros)
    keep(set, did)
  else
    redis.call('ZADD', ended, whole(micros), mark)
    redis.call('ZREM', set, id)
    redis.call('ZREM', did, entry)
    keep(ended)
  end
  batch.aged[did] = true
  batch.aged[ended] = true
end

-- A post that is gone for good takes all engagement with it.
local function forget(batch, post)
  local base = batch.base
  redis.call('SET', base .. 'gone:' .. post, '', 'EX', KEPT_SECONDS)
  recount(base, post)
  local sets = {}
  for kind in pairs(WEIGHTS) do
    local set = base .. kind .. ':' .. post
    sets[#sets + 1] = set
    local first, last = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')[2], redis.call('ZRANGE', set, -1, -1, 'WITHSCORES')[2]
    for hour = hour_of(tonumber(first or '0')), hour_of(tonumber(last or '-1')) do
      redis.call('ZREM', base .. 'posts:' .. whole(hour), post)
    end
  end
  redis.call('UNLINK', base .. 'post:' .. post, base .. 'ended:' .. post, base .. 'removed:' .. post,
    base .. 'withheld:' .. post, unpack(sets))
end

local function erase(batch, person)
  local base = batch.base
  redis.call('HSET', base .. 'person:' .. person, 'erased', string.rep('0', ID_DIGITS) .. '1')
  keep(base .. 'person:' .. person)
  for _, post in ipairs(redis.call('ZRANGE', base .. 'posted:' .. person, 0, -1)) do
    forget(batch, post)
  end
  for kind in pairs(WEIGHTS) do
    local did = base .. 'did:' .. kind .. ':' .. person
    for _, entry in ipairs(redis.call('ZRANGE', did, 0, -1)) do
      local post, id = string.sub(entry, 1, ID_DIGITS), string.sub(entry, ID_DIGITS + 1)
      id = id ~= '' and id or person
      local set = base .. kind .. ':' .. post
      if kind == 'comment' and is_removed(base, post, id) then set = base .. 'withheld:' .. post end
      local since = redis.call('ZSCORE', set, id)
      if since then
        redis.call('ZREM', set, id)
        touch(batch, post, tonumber(since))
      end
    end
    redis.call('UNLINK', did)
  end
  redis.call('UNLINK', base .. 'posted:' .. person)
end

local function write(batch, post, words)
  local base, millis = batch.base, millis_of(post)
  if hour_of(millis * 1000) <= batch.oldest or redis.call('EXISTS', base .. 'gone:' .. post) == 1 then return end
  local author = said(words.author)
  if is_erased(base, author) then return end
  hear(base .. 'post:' .. post, words)
  local posted = base .. 'posted:' .. author
  redis.call('ZADD', posted, whole(millis * 1000), post)
  redis.call('ZREMRANGEBYSCORE', posted, '-inf', '(' .. whole((batch.oldest + 1) * HOUR))
  keep(posted)
  recount(base, post)
end

local function tell(batch, person, words)
  local base, key = batch.base, batch.base .. 'person:' .. person
  local before = is_hidden(base, person)
  hear(key, words)
  local after = is_hidden(base, person)
  -- What is hidden stays so until another word, however long that takes.
  if after and not is_erased(base, person) then redis.call('PERSIST', key) end
  if before ~= after then
    for _, post in ipairs(redis.call('ZRANGE', base .. 'posted:' .. person, 0, -1)) do recount(base, post) end
  end
end

-- The window moves on: buckets that can no longer be read end before their time is up. An event that claims to be of the
-- future does not move it, else it would end all that there is.
local function move_on(base, newest)
  local known = tonumber(redis.call('GET', base .. 'newest') or '0')
  newest = math.min(newest, math.floor(tonumber(redis.call('TIME')[1]) / 3600) + 1)
  if newest <= known then return known end
  -- Of the first event there is nothing before it to end.
  for hour = known - HOURS_KEPT + 1, known > 0 and math.min(known, newest - HOURS_KEPT) or -HOURS_KEPT do
    local bucket = base .. 'tags:' .. whole(hour)
    for _, tag in ipairs(redis.call('ZRANGE', bucket, 0, -1)) do
      local place = whole(hour) .. ':' .. tag
      redis.call('UNLINK', base .. 'people:' .. place, base .. 'uses:' .. place)
    end
    redis.call('UNLINK', bucket, base .. 'posts:' .. whole(hour))
  end
  redis.call('SET', base .. 'newest', whole(newest), 'EX', KEPT_SECONDS)
  return newest
end

-- trends_fence(position, incarnation, epoch, packed) -> {incarnation, {topic:partition, offset, ...}} or {'behind', epoch}
--
-- As feed_fence (projectors/feed/functions.lua); packed has `until` besides, what `filling` holds for a new incarnation.
local function fence(keys, args)
  local root, epoch = root_of(keys), tonumber(args[2])
  local packed = cmsgpack.unpack(args[3])
  local position = hash_of(keys[1])
  local incarnation = redis.call('GET', root .. 'incarnation')
  for field in pairs(packed.starts) do
    if not position[field] then incarnation = false end
  end
  if not incarnation then
    incarnation = args[1]
    redis.call('SET', root .. 'incarnation', incarnation)
    redis.call('DEL', keys[1], root .. 'filling')
    position = {}
    for field, offset in pairs(packed.starts) do
      position[field] = whole(offset) .. ':0'
      redis.call('HSET', keys[1], field, position[field])
    end
    for field, offset in pairs(packed['until']) do
      redis.call('HSET', root .. 'filling', field, whole(offset))
    end
  end
  local greatest = 0
  for _, field in ipairs(packed.fenced) do
    greatest = math.max(greatest, tonumber(string.match(position[field], ':(%d+)$')))
  end
  if greatest >= epoch then
    return { 'behind', greatest }
  end
  local answer = {}
  for _, field in ipairs(packed.fenced) do
    local offset = string.match(position[field], '^%d+')
    redis.call('HSET', keys[1], field, offset .. ':' .. args[2])
    answer[#answer + 1] = field
    answer[#answer + 1] = tonumber(offset)
  end
  return { incarnation, answer }
end

-- trends_apply(position, topic:partition, previous, next, epoch, incarnation, packed)
--   -> 'applied' | 'already' | 'refused'
--
-- One batch of one partition, as feed_apply.
-- packed = msgpack {posts = {post -> {field -> event's id and value}}, people = {person -> the same}, edges = {{kind, post,
-- id, person, microseconds, stands}, ...}, removed = {{post, comment, event's id and value}, ...}, gone = {post, ...}, erased = {person, ...}, newest = microseconds}
local function apply(keys, args)
  local root, field = root_of(keys), args[1]
  local previous, following = tonumber(args[2]), tonumber(args[3])
  local found, incarnation = redis.call('HGET', keys[1], field), redis.call('GET', root .. 'incarnation')
  if not found or incarnation ~= args[5] then
    return 'refused'
  end
  local offset, epoch = string.match(found, '^(%d+):(%d+)$')
  offset = tonumber(offset)
  if epoch ~= args[4] or offset < previous then
    return 'refused'
  end
  if offset >= following and following > previous then
    return 'already'
  end
  local changes = cmsgpack.unpack(args[6])
  local base = base_of(root, incarnation)
  local newest = move_on(base, hour_of(changes.newest))
  local batch = { base = base, oldest = newest - HOURS_KEPT, touched = {}, aged = {}, gone = {}, erased = {} }
  for _, person in ipairs(changes.erased) do erase(batch, person) end
  for _, post in ipairs(changes.gone) do forget(batch, post) end
  for person, words in pairs(changes.people) do tell(batch, person, words) end
  for post, words in pairs(changes.posts) do write(batch, post, words) end
  for _, each in ipairs(changes.removed) do moderate(batch, unpack(each)) end
  for _, edge in ipairs(changes.edges) do engage(batch, unpack(edge)) end
  weigh(batch)
  offset = math.max(offset, following)
  redis.call('HSET', keys[1], field, whole(offset) .. ':' .. epoch)
  local target = redis.call('HGET', root .. 'filling', field)
  if target and offset >= tonumber(target) then
    redis.call('HDEL', root .. 'filling', field)
  end
  return 'applied'
end

-- trends_top(position, 'tags' or 'posts', hour, first, last, anew) -> {state, name, "hours:size hours:size ...", ...}
--
-- The names from the `first` to the `last` (counted from 0) in the order at `hour`, each with its sizes in the buckets of so
-- many hours before. Highest first; of equal ones hashtags in alphabetical order, posts newest first. Unless `anew` is '1',
-- the order may be RANKED_MS old. `state` is 'whole', 'filling' while it makes good what a flush took, or 'absent'.
local function top(keys, args)
  local root, kind, hour = root_of(keys), args[1], tonumber(args[2])
  local incarnation = redis.call('GET', root .. 'incarnation')
  if not incarnation then
    return { 'absent' }
  end
  local base = base_of(root, incarnation)
  local buckets, factors = {}, {}
  for hours = 0, HOURS_READ - 1 do
    buckets[#buckets + 1] = base .. kind .. ':' .. whole(hour - hours)
    -- Negative for hashtags: a sorted set has equal members in alphabetical order, and highest first turns that round.
    factors[#factors + 1] = string.format('%.17g', (kind == 'tags' and -1 or 1) * 2 ^ (-hours / HALVED_AFTER_HOURS))
  end
  local ranked = base .. 'ranked:' .. kind .. ':' .. whole(hour)
  if args[5] == '1' or redis.call('EXISTS', ranked) == 0 then
    local sources = { #buckets }
    for _, bucket in ipairs(buckets) do sources[#sources + 1] = bucket end
    sources[#sources + 1] = 'WEIGHTS'
    for _, factor in ipairs(factors) do sources[#sources + 1] = factor end
    redis.call('ZUNIONSTORE', ranked, unpack(sources))
    redis.call('PEXPIRE', ranked, RANKED_MS)
  end
  local names = redis.call(kind == 'tags' and 'ZRANGE' or 'ZREVRANGE', ranked, args[3], args[4])
  local sizes = {}
  if #names > 0 then
    for nth, bucket in ipairs(buckets) do
      for place, size in ipairs(redis.call('ZMSCORE', bucket, unpack(names))) do
        if size then sizes[place] = (sizes[place] and sizes[place] .. ' ' or '') .. whole(nth - 1) .. ':' .. size end
      end
    end
  end
  local answer = { redis.call('EXISTS', root .. 'filling') == 1 and 'filling' or 'whole' }
  for place, name in ipairs(names) do
    answer[#answer + 1] = name
    answer[#answer + 1] = sizes[place] or ''
  end
  return answer
end

redis.register_function('trends_fence', fence)
redis.register_function('trends_apply', apply)
redis.register_function('trends_top', top)
