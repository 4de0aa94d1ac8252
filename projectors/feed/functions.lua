#!lua name=rookery_feed

-- Warm home feeds, one shard of readers at a time: what is pushed, what is cooled, and why a page never has a gap.
--
-- Keys of shard K (every function takes KEYS[1] = "{s:K}:position" and touches only keys with that tag):
--
--   {s:K}:incarnation        a random string, made by the projector when it is absent; gone with a flush. Behind a point, how
--                            often all its feeds were made cold since (renew): "9f3c.2"
--   {s:K}:position           hash "topic:partition" -> "next offset:epoch", all partitions of all topics or none
--   {s:K}:warm:<reader>      hash nonce, incarnation, joined and, once filled, floor: an item's id, or "" when nothing lies below
--   {s:K}:feed:<reader>      sorted set item -> microseconds since 1970
--   {s:K}:audience:<author>  set of the readers to whom this author's items are pushed
--
-- An item is a post, "<post>", or a share, "<share>.<post>" (shared/feed_item.py). Ids are 32 lowercase hex digits of a
-- UUIDv7, and an item's own comes first: its time is in its id (shared/ids.py), so the set's order, by time and then by
-- member, is the order of the ids, and ids compare as strings.
--
-- The invariant. A filled feed holds exactly the items newer than its floor that its reader published, or those they follow
-- and do not mute published or shared, as far as the shard's positions in `posts` and `engagement` reach and with these
-- relations as of its position in `graph`. (It may hold more: a post since deleted, a share since withdrawn or of such a
-- post, or an item of somebody whose unfollow PostgreSQL knows already. Every page is filtered when it is built.)
--
-- Why it holds. Functions are atomic, and a shard's position moves in the same call as its sets. A reader's request does
--
--   begin   makes a nonce, empties the set and answers G, the position in `graph`. Then it waits until PostgreSQL has
--           reached G and reads whom the reader follows.
--   join    puts the reader into the audiences and answers P, the positions in `posts` and `engagement`. Then it waits until
--           PostgreSQL has reached P and reads the newest items.
--   fill    adds them, drops what is not newer than the floor, and sets the floor.
--
-- * A push before join lies below P: the items read contain it. A push after join finds the reader in the audience and adds
--   to the set, filled or not. So nothing falls between the two, wherever PostgreSQL is; what both give is one member.
-- * A follow, approval, block or mute, or the end of one, before begin lies below G: the followees read reflect it. One
--   after begin deletes the nonce, and join, fill and every page check it: the request begins anew. What PostgreSQL knows
--   ahead of the shard is cooled when the shard gets there.
-- * Two requests of one reader share the nonce of a filling that is under way; whichever fills first is right, since no
--   follow came between, and the other finds the feed warm.
-- * Trimming removes the oldest items and raises the floor to the newest of them; a push not newer than the floor is
--   ignored. While filling nothing is trimmed, as there is no floor yet.
-- * A flush takes the incarnation, all nonces and all positions. No filling survives it: its nonce is gone, and nonces are
--   never used twice. Begin is refused until the projector has made a new incarnation, with a position for every partition
--   at once, so that no wait leaves one out. Those are PostgreSQL's at that moment, so later reads are at or past them. An
--   owner fenced under an earlier incarnation is refused, whatever its epoch.
-- * Renewing a shard ends all that was under the incarnation as it was called before: feeds are cold and fillings begin anew,
--   as after a flush. The projector stays the owner, since the positions stay: what they passed is in PostgreSQL, and what
--   follows is pushed to whoever joined under the new name.
-- * A Redis that comes back with an older snapshot has sets and positions of one moment: its owner is refused, is fenced
--   anew and repeats what came after. A filling of that moment counts only if it had joined by then.
-- * A batch that a shard has partly or wholly applied (its store retries, or restarts at the least offset of all shards)
--   changes nothing: the same members are added, below the floor nothing is, and cooling twice only costs a filling.
-- * Nobody is in an audience by mistake for long: an unfollow, block or mute takes the reader out, and a push drops those who are not warm.
--   Somebody warm is never dropped, and audiences never expire.
-- * The set lives longer than the hash that makes it count: it cannot vanish while a floor says that it is complete.
--   Eviction is off, which the projector asserts.

local WARM_SECONDS = 7 * 24 * 3600     -- since the last read
local FEED_SECONDS = WARM_SECONDS + 3600
local FILLING_SECONDS = 60             -- from begin or join to the next step
local UNTRIMMED_SHARE = 8              -- a feed may exceed its limit by one in eight before it is trimmed
local ARGUMENTS_MAX = 4000             -- of one redis.call; Lua's stack holds 8,000
local ID_DIGITS = 32
local LAST = '~'                       -- after an id: the last of all members that begin with it

-- An incarnation's random part: the owner's, however often its feeds were renewed.
local function born(incarnation)
  return string.match(incarnation, '^[^.]*')
end

local function shard_of(keys)
  return (string.gsub(keys[1], 'position$', ''))
end

local function score(item)
  local milliseconds = tonumber(string.sub(item, 1, 12), 16)
  local fraction = tonumber(string.sub(item, 14, 16), 16)
  return string.format('%.0f', milliseconds * 1000 + math.floor(fraction * 1000 / 4096))
end

local function id_of(item)
  return string.sub(item, 1, ID_DIGITS)
end

local function cool(shard, reader)
  redis.call('UNLINK', shard .. 'warm:' .. reader, shard .. 'feed:' .. reader)
end

-- Calls a command on one key with any number of further arguments; answers the sum of what the calls answered.
local function in_pieces(command, key, arguments)
  local total = 0
  for first = 1, #arguments, ARGUMENTS_MAX do
    local last = math.min(first + ARGUMENTS_MAX - 1, #arguments)
    total = total + redis.call(command, key, unpack(arguments, first, last))
  end
  return total
end

-- Adds items (score, member, score, member, ...) to a feed. A set that this makes gets a time to live.
local function add(feed, scored)
  local added = in_pieces('ZADD', feed, scored)
  local size = redis.call('ZCARD', feed)
  if size == added then
    redis.call('EXPIRE', feed, FEED_SECONDS)
  end
  return size
end

local function trim(shard, reader, size, items_max)
  local feed = shard .. 'feed:' .. reader
  local newest_removed = redis.call('ZRANGE', feed, size - items_max - 1, size - items_max - 1)[1]
  redis.call('ZREMRANGEBYRANK', feed, 0, size - items_max - 1)
  redis.call('HSET', shard .. 'warm:' .. reader, 'floor', id_of(newest_removed))
end

-- 'warm' and 'filling' are states under this very incarnation; anything else is 'cold'.
local function state_of(shard, reader)
  local found = redis.call('HMGET', shard .. 'warm:' .. reader, 'nonce', 'incarnation', 'floor')
  local nonce, incarnation, floor = found[1], found[2], found[3]
  if not nonce or incarnation ~= redis.call('GET', shard .. 'incarnation') then
    return 'cold', '', ''
  end
  if floor then
    return 'warm', nonce, floor
  end
  return 'filling', nonce, ''
end

-- Readers' floors ('' accepts every item, as does a feed still filling) as one batch finds them; false for those not warm.
local function floor_in(shard, incarnation, known, reader)
  local entry = known[reader]
  if entry == nil then
    local found = redis.call('HMGET', shard .. 'warm:' .. reader, 'incarnation', 'floor')
    entry = found[1] == incarnation and { floor = found[2] or '', filled = found[2] and true }
    known[reader] = entry
  end
  return entry
end

local function push(shard, incarnation, items_max, pushed)
  local known, arriving = {}, {}
  for author, items in pairs(pushed) do
    local audience = shard .. 'audience:' .. author
    local readers = redis.call('SMEMBERS', audience)
    local scores, absent = {}, {}
    if #readers > 0 then
      for nth, item in ipairs(items) do scores[nth] = score(item) end
    end
    for _, reader in ipairs(readers) do
      local entry = floor_in(shard, incarnation, known, reader)
      if not entry then
        absent[#absent + 1] = reader
      else
        local list = arriving[reader]
        if not list then
          list = {}
          arriving[reader] = list
        end
        for nth, item in ipairs(items) do
          -- What somebody shares is news to their followers and not to themselves.
          if id_of(item) > entry.floor and (reader ~= author or #item == ID_DIGITS) then
            list[#list + 1] = scores[nth]
            list[#list + 1] = item
          end
        end
      end
    end
    in_pieces('SREM', audience, absent)
  end
  for reader, scored in pairs(arriving) do
    if #scored > 0 then
      local size = add(shard .. 'feed:' .. reader, scored)
      if known[reader].filled and size > items_max + items_max / UNTRIMMED_SHARE then
        trim(shard, reader, size, items_max)
      end
    end
  end
end

local function remove(shard, removed)
  for author, items in pairs(removed) do
    for _, reader in ipairs(redis.call('SMEMBERS', shard .. 'audience:' .. author)) do
      in_pieces('ZREM', shard .. 'feed:' .. reader, items)
    end
  end
end

-- feed_fence(position, incarnation, epoch, packed) -> {incarnation, {topic:partition, offset, ...}} or {'behind', epoch}
--
-- Makes the caller the owner of the partitions in `fenced` under `epoch`, which must be greater than theirs; else answers
-- 'behind' with the greatest found, having changed nothing. A shard without an incarnation, or without a position for one
-- of `starts` (every partition of the projection -> the offset to start from), begins as `incarnation`, every feed cold.
-- packed = msgpack {starts = {"topic:partition" -> offset}, fenced = {"topic:partition", ...}}
local function fence(keys, args)
  local shard, epoch = shard_of(keys), tonumber(args[2])
  local packed = cmsgpack.unpack(args[3])
  local position = {}
  local flat = redis.call('HGETALL', keys[1])
  for nth = 1, #flat, 2 do position[flat[nth]] = flat[nth + 1] end
  local incarnation = redis.call('GET', shard .. 'incarnation')
  for field in pairs(packed.starts) do
    if not position[field] then incarnation = false end
  end
  if not incarnation then
    incarnation = args[1]
    redis.call('SET', shard .. 'incarnation', incarnation)
    redis.call('DEL', keys[1])
    position = {}
    for field, offset in pairs(packed.starts) do
      position[field] = string.format('%.0f:0', offset)
      redis.call('HSET', keys[1], field, position[field])
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

-- feed_apply(position, topic:partition, previous, next, epoch, incarnation, items_max, packed)
--   -> 'applied' | 'already' | 'refused'
--
-- One batch of one partition on one shard: sets and position move together, if the shard stands at or past `previous` and
-- the caller is still the owner. A shard at or past `next` has made this step: 'already'. A step from a place to itself is
-- a record that was set aside and is applied late: it moves nothing, and is made however far the shard is.
-- packed = msgpack {push = {author or sharer -> items}, remove = {author -> items}, cool = {reader, ...}, leave = {reader, author,
-- reader, author, ...}, erase = {person, ...}}; what a shard's readers do not concern finds no key there.
local function apply(keys, args)
  local shard, field = shard_of(keys), args[1]
  local previous, following = tonumber(args[2]), tonumber(args[3])
  local incarnation, items_max = args[5], tonumber(args[6])
  local found, current = redis.call('HGET', keys[1], field), redis.call('GET', shard .. 'incarnation')
  if not found or not current or born(current) ~= born(incarnation) then
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
  local changes = cmsgpack.unpack(args[7])
  push(shard, current, items_max, changes.push)
  remove(shard, changes.remove)
  for _, reader in ipairs(changes.cool) do
    cool(shard, reader)
  end
  for nth = 1, #changes.leave, 2 do
    redis.call('SREM', shard .. 'audience:' .. changes.leave[nth + 1], changes.leave[nth])
  end
  for _, person in ipairs(changes.erase) do
    cool(shard, person)
    redis.call('UNLINK', shard .. 'audience:' .. person)
  end
  redis.call('HSET', keys[1], field, string.format('%.0f', math.max(offset, following)) .. ':' .. epoch)
  return 'applied'
end

-- feed_begin(position, reader, nonce) -> {state, nonce, {topic:partition, "offset:epoch", ...}}
--
-- 'absent': the shard has no incarnation. 'warm': somebody has filled the feed meanwhile. 'filling': go on with the nonce
-- answered, which is the given one unless a filling is under way; then the positions are those of now.
local function begin(keys, args)
  local shard, reader = shard_of(keys), args[1]
  local warm = shard .. 'warm:' .. reader
  local incarnation = redis.call('GET', shard .. 'incarnation')
  if not incarnation then
    return { 'absent', '', {} }
  end
  local state, nonce = state_of(shard, reader)
  if state == 'warm' then
    return { state, nonce, {} }
  end
  if state == 'cold' then
    nonce = args[2]
    cool(shard, reader)
    redis.call('HSET', warm, 'nonce', nonce, 'incarnation', incarnation)
  end
  redis.call('EXPIRE', warm, FILLING_SECONDS)
  return { 'filling', nonce, redis.call('HGETALL', keys[1]) }
end

-- feed_join(position, reader, nonce, authors...) -> {state, {topic:partition, "offset:epoch", ...}}
--
-- The reader joins the audiences of these authors, who must include themselves. 'cold': begin anew.
local function join(keys, args)
  local shard, reader = shard_of(keys), args[1]
  local state, nonce = state_of(shard, reader)
  if state == 'cold' or nonce ~= args[2] then
    return { 'cold', {} }
  end
  if state == 'warm' then
    return { state, {} }
  end
  for nth = 3, #args do
    redis.call('SADD', shard .. 'audience:' .. args[nth], reader)
  end
  redis.call('HSET', shard .. 'warm:' .. reader, 'joined', '1')
  redis.call('EXPIRE', shard .. 'warm:' .. reader, FILLING_SECONDS)
  return { 'filling', redis.call('HGETALL', keys[1]) }
end

-- feed_fill(position, reader, nonce, items_max, floor, items...) -> 'warm' | 'cold'
--
-- `items` are all that lie above `floor`, an item's id ('' when there are no others), read after join as said above.
local function fill(keys, args)
  local shard, reader = shard_of(keys), args[1]
  local items_max, floor = tonumber(args[3]), args[4]
  local warm, feed = shard .. 'warm:' .. reader, shard .. 'feed:' .. reader
  local state, nonce = state_of(shard, reader)
  if state == 'cold' or nonce ~= args[2] or not redis.call('HGET', warm, 'joined') then
    return 'cold'
  end
  if state == 'warm' then
    return 'warm'
  end
  local scored = {}
  for nth = 5, #args do
    scored[#scored + 1] = score(args[nth])
    scored[#scored + 1] = args[nth]
  end
  in_pieces('ZADD', feed, scored)
  if floor ~= '' then
    local mark = floor .. LAST
    redis.call('ZADD', feed, score(floor), mark)
    redis.call('ZREMRANGEBYRANK', feed, 0, redis.call('ZRANK', feed, mark))
  end
  redis.call('HSET', warm, 'floor', floor)
  local size = redis.call('ZCARD', feed)
  if size > items_max then
    trim(shard, reader, size, items_max)
  end
  redis.call('EXPIRE', warm, WARM_SECONDS)
  redis.call('EXPIRE', feed, FEED_SECONDS)
  return 'warm'
end

-- feed_page(position, reader, before, limit) -> {'warm', nonce, floor, items...} or {'cold'}
--
-- Items older than the one with the id `before` ('' for the newest), newest first, at most `limit`. Fewer than that means that the floor is
-- reached: what is not newer than it must be asked of PostgreSQL, unless it is ''. Reading keeps the feed warm.
local function page(keys, args)
  local shard, reader = shard_of(keys), args[1]
  local before, limit = args[2], tonumber(args[3])
  local state, nonce, floor = state_of(shard, reader)
  if state ~= 'warm' then
    return { 'cold' }
  end
  local feed = shard .. 'feed:' .. reader
  redis.call('EXPIRE', shard .. 'warm:' .. reader, WARM_SECONDS)
  redis.call('EXPIRE', feed, FEED_SECONDS)
  local answer = { 'warm', nonce, floor }
  local highest = '+inf'
  if before ~= '' then
    -- Items of the same microsecond first, those below `before` in the order of ids.
    highest = score(before)
    for _, item in ipairs(redis.call('ZREVRANGEBYSCORE', feed, highest, highest)) do
      if item < before and #answer < limit + 3 then answer[#answer + 1] = item end
    end
    highest = '(' .. highest
  end
  local wanted = limit + 3 - #answer
  for _, item in ipairs(redis.call('ZREVRANGEBYSCORE', feed, highest, '-inf', 'LIMIT', 0, wanted)) do
    answer[#answer + 1] = item
  end
  return answer
end

-- feed_renew(position) -> the incarnation's new name, or '' where the shard has none
--
-- Every feed of the shard is cold from here on, and every filling under way begins anew.
local function renew(keys, args)
  local shard = shard_of(keys)
  local incarnation = redis.call('GET', shard .. 'incarnation')
  if not incarnation then
    return ''
  end
  local times = tonumber(string.match(incarnation, '%.(%d+)$')) or 0
  incarnation = string.format('%s.%.0f', born(incarnation), times + 1)
  redis.call('SET', shard .. 'incarnation', incarnation)
  return incarnation
end

-- feed_cool(position, reader) -> 'warm' | 'filling' | 'cold', what the feed was
local function cool_one(keys, args)
  local shard = shard_of(keys)
  local state = state_of(shard, args[1])
  cool(shard, args[1])
  return state
end

-- feed_clear(position, readers...) -> how many of these readers' feeds were left over from an earlier incarnation, and
-- are gone now
local function clear(keys, args)
  local shard, cleared = shard_of(keys), 0
  for _, reader in ipairs(args) do
    if state_of(shard, reader) == 'cold' and redis.call('EXISTS', shard .. 'warm:' .. reader) == 1 then
      cool(shard, reader)
      cleared = cleared + 1
    end
  end
  return cleared
end

redis.register_function('feed_fence', fence)
redis.register_function('feed_apply', apply)
redis.register_function('feed_begin', begin)
redis.register_function('feed_join', join)
redis.register_function('feed_fill', fill)
redis.register_function('feed_page', page)
redis.register_function('feed_renew', renew)
redis.register_function('feed_cool', cool_one)
redis.register_function('feed_clear', clear)
