#!lua name=rookery_feed

-- Warm home feeds, one shard of readers at a time: what is pushed or merged, what is cooled, and why a page has no gap.
--
-- Keys of shard K (every function takes KEYS[1] = "{s:K}:position" and touches only keys with that tag):
--
--   {s:K}:incarnation        a random string, made by the projector when it is absent; gone with a flush. Behind a point, how
--                            often all its feeds were made cold since (renew): "9f3c.2"
--   {s:K}:position           hash "topic:partition" -> "next offset:epoch", all partitions of all topics or none
--   {s:K}:warm:<reader>      hash nonce, incarnation, joined, pulled (ids of pulled authors, one behind the other) and, once
--                            filled, floor: an item's id, or "" when nothing lies below
--   {s:K}:feed:<reader>      sorted set item -> microseconds since 1970; what is not above the floor does not count
--   {s:K}:arrived:<reader>   msgpack of score, item, score, item, ...: pushed, and not in the set yet
--   {s:K}:audience:<author>  set of the readers who are shown this author's items
--   {s:K}:pulled             set of the authors who are pulled: their items are not pushed but merged into every page
--   {s:K}:timeline:<author>  sorted set as a feed: what is merged into the pages of the author's audience
--   {s:K}:removing:<author>  set of items that are yet to be taken out of the audience's feeds
--   {s:K}:author:<author>    hash since, floor (of the timeline), queued, reindex, and of a walk cursor, server, round
--   {s:K}:queue              list of the authors whose audience is being walked, in turns
--
-- A reader's set is taken to be the sorted set with what has arrived: adding a hundred items to a sorted set at once costs
-- half of what adding each by itself does, since it lies in no cache the first time. Whoever reads or removes takes in first
-- what has arrived; besides, pushing does when it has become a share of the feed.
--
-- An item is a post, "<post>", or a share, "<share>.<post>" (shared/feed_item.py). Ids are 32 lowercase hex digits of a
-- UUIDv7, and an item's own comes first: its time is in its id (shared/ids.py), so the set's order, by time and then by
-- member, is the order of the ids, and ids compare as strings.
--
-- A reader's items are those of their feed, and those in the timelines of pulled or queued authors whose audience they
-- are in; above the greatest of the floors of all these.
--
-- The invariant. The items of a filled feed are exactly those newer than that floor that its reader published, or those
-- they follow and do not mute published or shared, as far as the shard's positions in `posts` and `engagement` reach and
-- with these relations as of its position in `graph`. (They may be more: a post since deleted, a share since withdrawn or
-- of such a post, or an item of somebody whose unfollow PostgreSQL knows already. Every page is filtered when it is built.)
--
-- Why it holds. Functions are atomic, and a shard's position moves in the same call as its sets. A reader's request does
--
--   begin   makes a nonce, empties the set and answers G, the position in `graph`. Then it waits until PostgreSQL has
--           reached G and reads whom the reader follows.
--   join    puts the reader into the audiences and answers P, the positions in `posts` and `engagement`. Then it waits until
--           PostgreSQL has reached P and reads the newest items.
--   fill    adds them, drops what is not newer than the floor, and sets the floor.
--
-- * A push before join lies below P: the items read contain it. A push after join finds the reader in the audience: it adds
--   to the set, filled or not, or to a timeline that the reader is shown. So nothing falls between the two, wherever
--   PostgreSQL is; what several give is one member.
-- * A follow, approval, block or mute, or the end of one, before begin lies below G: the followees read reflect it. One
--   after begin deletes the nonce, and join, fill and every page check it: the request begins anew. What PostgreSQL knows
--   ahead of the shard is cooled when the shard gets there.
-- * Two requests of one reader share the nonce of a filling that is under way; whichever fills first is right, since no
--   follow came between, and the other finds the feed warm.
-- * Trimming removes the oldest items and raises the floor to the newest of them, or leaves it where it is higher. While
--   filling nothing is trimmed, as there is no floor yet.
-- * A flush takes the incarnation, all nonces and all positions. No filling survives it: its nonce is gone, and nonces are
--   never used twice. Begin is refused until the projector has made a new incarnation, with a position for every partition
--   at once, so that no wait leaves one out. Those are PostgreSQL's at that moment, so later reads are at or past them. An
--   owner fenced under an earlier incarnation is refused, whatever its epoch.
-- * Renewing a shard ends all that was under the incarnation as it was called before: feeds are cold and fillings begin anew,
--   as after a flush. Timelines and walks end with it: who joins under the new name reads what they held from PostgreSQL.
--   The projector stays the owner, since the positions stay.
-- * A Redis that comes back with an older snapshot has sets and positions of one moment: its owner is refused, is fenced
--   anew and repeats what came after. A filling of that moment counts only if it had joined by then.
-- * A batch that a shard has partly or wholly applied (its store retries, or restarts at the least offset of all shards)
--   changes nothing: the same members are added, and cooling twice only costs a filling.
-- * Nobody is in an audience by mistake for long: an unfollow, block or mute takes the reader out, and a push for whom nothing
--   has arrived since the last taking in looks whether the reader is warm, and drops who is not. A set is only ever shown after
--   begin has emptied it, so what was pushed to one that nobody can be shown does no harm. Somebody warm is never dropped, and
--   audiences never expire.
-- * The set and what has arrived live longer than the hash that makes them count: neither can vanish while a floor says that
--   the set is complete. Reading prolongs the set and the hash, and leaves nothing that arrived before. Eviction is off,
--   which the projector asserts.
--
-- Walks. No call may take long, or everybody waits for one author's audience. An apply pushes what a few hundred
-- deliveries can do; the items of other authors go into their timelines and the authors into the queue, where pages find
-- them from that call on. Afterwards feed_step, which anybody may call at any time, walks audiences, the authors taking
-- turns: some readers of each are given the items of the author's `round`, and once all were, these leave the timeline.
--
-- * What a walk has yet to do lies in the shard, and each step moves it on in the call that does the work: a projector that
--   dies leaves nothing half done, and the position needs not wait for the walk, since pages show the items either way.
-- * SSCAN hands out every member that is in the set from the first call of a round to the last, in whatever order, as long as
--   it is one server's set. Who joined meanwhile reads the items from PostgreSQL: they lie below P. A cursor means nothing
--   to another process, so with the cursor goes a name for this one, and under another the round begins again.
-- * Items that arrive during a round are in the timeline and not in the round, hence are of a later one. An item pushed
--   again or removed is struck out of the round: a round only ends for what stayed in it from its beginning.
--
-- Pushed or pulled. Which, is a state of the author in each shard, changed by feed_weigh alone, with hysteresis around the
-- threshold. Pages are right in either state and while it changes, so the number of followers that it is told may be old:
-- it decides what is cheaper, and nothing else. That is why the number is PostgreSQL's, asked by the projector from time
-- to time: a flush cannot lose it, a replay cannot count twice, every shard is told the same, and a rebuild verifies it. A
-- count kept here, from the events, would be none of that.
--
-- * To pulled: what was pushed stays in the sets, what is yet to be pushed stays in the timeline, and so does what comes. A
--   walk notes the author with every reader of the audience, who thus need not ask for each author of the queue; join
--   notes those that are pulled by then.
-- * To pushed: what comes is pushed, and the timeline as a whole is to be pushed too, by the walk that strikes the author
--   off the readers' notes. It is merged until all of it is in the sets, or below the floors: where the timeline has been
--   trimmed, the walk raises the floors to the timeline's.
-- * A round that was under way is begun anew, since it was for the other state.

local WARM_SECONDS = 7 * 24 * 3600     -- since the last read
local FEED_SECONDS = WARM_SECONDS + 3600
local FILLING_SECONDS = 60             -- from begin or join to the next step
local UNTRIMMED_SHARE = 8              -- a feed may exceed its limit by one in eight before it is trimmed
local ARRIVED_SHARE = 8                -- and as many may have arrived before they are taken in
local ARRIVED_LEAST, ARRIVED_BYTES = 2, 52 -- but never fewer items than these, of so many bytes each
local ARGUMENTS_MAX = 4000             -- of one redis.call; Lua's stack holds 8,000
local ID_DIGITS = 32
local LAST = '~'                       -- after an id: the last of all members that begin with it
local ROUND_ITEMS = 16                 -- a set of few members is walked in one go, with all items of the round
local TURNS = 100                      -- authors whose audiences one step walks at most
local TURN_LEAST = 200                 -- cost of one of these turns at least, if there is that much to do
local SET_COST, ITEM_COST = 5, 2       -- of reaching a reader's feed, and of each item put into it: microseconds
local UNLIMITED = 1000000000
local OVER, UNDER = 1.1, 0.9           -- of the threshold: where an author begins and ceases to be pulled


-- There is no redis.call yet while a library is loaded.
local function call(...)
  return redis.call(...)
end

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

local function microseconds()
  local now = call('TIME')
  return string.format('%d%06d', now[1], now[2])
end

-- A name for this process's memory: a cursor of SSCAN means nothing to another. Gone with the library, as loaded.
local process
local function this_process()
  process = process or microseconds()
  return process
end

local function cool(shard, reader)
  call('UNLINK', shard .. 'warm:' .. reader, shard .. 'feed:' .. reader, shard .. 'arrived:' .. reader)
end

-- Calls a command on one key with any number of further arguments; answers the sum of what the calls answered.
local function in_pieces(command, key, arguments)
  local total = 0
  for first = 1, #arguments, ARGUMENTS_MAX do
    local last = math.min(first + ARGUMENTS_MAX - 1, #arguments)
    total = total + call(command, key, unpack(arguments, first, last))
  end
  return total
end

-- score, member, score, member, ... as ZADD takes them; without shares where `own`: what somebody shares is news to their
-- followers and not to themselves.
local function scored(items, own)
  local arguments = {}
  for _, item in ipairs(items) do
    if not own or #item == ID_DIGITS then
      arguments[#arguments + 1] = score(item)
      arguments[#arguments + 1] = item
    end
  end
  return arguments
end

-- Keeps the newest `items_max` of a set, and its floor, which it answers, in the field of that name.
local function trim(set, size, items_max, holder)
  local newest_removed = id_of(call('ZRANGE', set, size - items_max - 1, size - items_max - 1)[1])
  call('ZREMRANGEBYRANK', set, 0, size - items_max - 1)
  local floor = call('HGET', holder, 'floor')
  if not floor or newest_removed > floor then
    call('HSET', holder, 'floor', newest_removed)
    return newest_removed
  end
  return floor
end

-- How large a set may grow before it is trimmed.
local function grown(items_max)
  return items_max + items_max / UNTRIMMED_SHARE
end

-- 'warm' and 'filling' are states under this very incarnation; anything else is 'cold'.
local function state_of(shard, reader)
  local found = call('HMGET', shard .. 'warm:' .. reader, 'nonce', 'incarnation', 'floor', 'pulled')
  local nonce, incarnation, floor = found[1], found[2], found[3]
  if not nonce or incarnation ~= call('GET', shard .. 'incarnation') then
    return 'cold', '', '', ''
  end
  if floor then
    return 'warm', nonce, floor, found[4] or '', incarnation
  end
  return 'filling', nonce, '', ''
end

-- As it is added to what has arrived.
local function packed(arguments)
  local parts = {}
  for first = 1, #arguments, ARGUMENTS_MAX do
    parts[#parts + 1] = cmsgpack.pack(unpack(arguments, first, math.min(first + ARGUMENTS_MAX - 1, #arguments)))
  end
  return table.concat(parts)
end

-- Puts what has arrived for a reader into the set, and trims it; answers the floor where that has changed.
local function take_in(shard, incarnation, reader, items_max)
  local arrived = redis.call('GETDEL', shard .. 'arrived:' .. reader)
  if not arrived then
    return nil
  end
  local feed, offset, added = shard .. 'feed:' .. reader, 0, 0
  local function add(following, ...)
    offset, added = following, added + redis.call('ZADD', feed, ...)
  end
  repeat
    add(cmsgpack.unpack_limit(arrived, ARGUMENTS_MAX, offset))
  until offset < 0 or offset >= #arrived
  local size = redis.call('ZCARD', feed)
  if size == added then
    call('EXPIRE', feed, FEED_SECONDS)
  end
  if size > grown(items_max) then
    local warm = shard .. 'warm:' .. reader
    local found = call('HMGET', warm, 'incarnation', 'floor')
    if found[1] == incarnation and found[2] then
      return trim(feed, size, items_max, warm)
    end
  end
  return nil
end

-- Deliveries gathered: by reader what is to arrive, several authors' together, and by author whom they were for.
local function gathering()
  return { arriving = {}, authors = {} }
end

-- Answers what it will cost.
local function gather(gathered, author, readers, items)
  local everybody, arriving = packed(scored(items, false)), gathered.arriving
  gathered.authors[#gathered.authors + 1] = { author, readers }
  local cost = #readers * #items * ITEM_COST
  for nth = 1, #readers do
    local reader = readers[nth]
    local adding = reader == author and packed(scored(items, true)) or everybody
    local before = arriving[reader]
    if before then
      arriving[reader] = before .. adding
    else
      arriving[reader] = adding
      cost = cost + SET_COST
    end
  end
  return cost
end

-- Has what was gathered arrive, and takes it in where much has. Whether a reader is warm is asked where nothing had arrived;
-- those who are not leave the audiences.
local function deliver(shard, incarnation, items_max, gathered)
  local call, prefix, absent = redis.call, shard .. 'arrived:', {}
  local bytes_max = math.max(items_max / ARRIVED_SHARE, ARRIVED_LEAST) * ARRIVED_BYTES
  for reader, adding in pairs(gathered.arriving) do
    local size = adding ~= '' and call('APPEND', prefix .. reader, adding) or 0
    local is_warm = true
    if size == #adding and size > 0 then
      is_warm = call('HGET', shard .. 'warm:' .. reader, 'incarnation') == incarnation
      if is_warm then
        call('EXPIRE', prefix .. reader, FEED_SECONDS)
      else
        call('UNLINK', prefix .. reader, shard .. 'feed:' .. reader)
        absent[reader] = true
      end
    end
    if is_warm and size > bytes_max then take_in(shard, incarnation, reader, items_max) end
  end
  if next(absent) then
    for _, pair in ipairs(gathered.authors) do
      local leaving = {}
      for _, reader in ipairs(pair[2]) do
        if absent[reader] then leaving[#leaving + 1] = reader end
      end
      in_pieces('SREM', shard .. 'audience:' .. pair[1], leaving)
    end
  end
end

local function enqueue(shard, author)
  if call('HSET', shard .. 'author:' .. author, 'queued', '1') == 1 then
    call('RPUSH', shard .. 'queue', author)
  end
end

-- Takes these items, with their sign, out of the round that is under way.
local function strike(about, sign, items)
  local round = call('HGET', about, 'round')
  if not round then
    return
  end
  for _, item in ipairs(items) do
    local first, last = string.find(round, sign .. item .. ' ', 1, true)
    if first then
      round = string.sub(round, 1, first - 1) .. string.sub(round, last + 1)
    end
  end
  call('HSET', about, 'round', round)
end

local function put_in_timeline(shard, author, items, items_max)
  local about, timeline = shard .. 'author:' .. author, shard .. 'timeline:' .. author
  strike(about, '+', items)
  strike(about, '-', items)
  in_pieces('SREM', shard .. 'removing:' .. author, items)
  in_pieces('ZADD', timeline, scored(items, false))
  if call('SISMEMBER', shard .. 'pulled', author) == 0 then
    enqueue(shard, author)
    return
  end
  local size = call('ZCARD', timeline)
  if size > grown(items_max) then
    trim(timeline, size, items_max, about)
  end
end

-- Pushes what may be done at a cost of `allowed`, and leaves the rest to walks; answers what of `allowed` is left, and how
-- many items were left. Whoever is pulled or being walked has an `author` hash.
local function push(shard, incarnation, items_max, pushed, allowed)
  local gathered, left = gathering(), 0
  for author, items in pairs(pushed) do
    local audience = shard .. 'audience:' .. author
    local size = call('SCARD', audience)
    if size == 0 then
      -- Nobody is shown them; who joins later reads them from PostgreSQL.
    elseif size * (SET_COST + #items * ITEM_COST) > allowed or call('EXISTS', shard .. 'author:' .. author) == 1 then
      put_in_timeline(shard, author, items, items_max)
      left = left + #items
    else
      allowed = allowed - gather(gathered, author, call('SMEMBERS', audience), items)
    end
  end
  deliver(shard, incarnation, items_max, gathered)
  return allowed, left
end

local function remove(shard, incarnation, items_max, removed, allowed)
  for author, items in pairs(removed) do
    local about, audience = shard .. 'author:' .. author, shard .. 'audience:' .. author
    local size, is_known = call('SCARD', audience), call('EXISTS', about) == 1
    if is_known then
      strike(about, '+', items)
      in_pieces('ZREM', shard .. 'timeline:' .. author, items)
    end
    if size > 0 and (is_known or size * (SET_COST + #items) > allowed) then
      in_pieces('SADD', shard .. 'removing:' .. author, items)
      enqueue(shard, author)
    elseif size > 0 then
      for _, reader in ipairs(call('SMEMBERS', audience)) do
        take_in(shard, incarnation, reader, items_max)
        in_pieces('ZREM', shard .. 'feed:' .. reader, items)
      end
      allowed = allowed - size * (SET_COST + #items)
    end
  end
end

-- The authors whom a reader is to be shown by their timelines, as noted in their `warm` hash: each behind a space.
local function note(list, author, is_pulled)
  local first, last = string.find(list, ' ' .. author, 1, true)
  if is_pulled then
    return first and list or list .. ' ' .. author
  end
  return first and string.sub(list, 1, first - 1) .. string.sub(list, last + 1) or list
end

-- Has a reader's notes say what the author is now. A feed that was spared items which the timeline has lost ends above them.
local function reindex(shard, incarnation, author, is_pulled, floor, reader)
  local warm = shard .. 'warm:' .. reader
  local found = call('HMGET', warm, 'incarnation', 'floor', 'pulled')
  if found[1] ~= incarnation then
    return
  end
  local before = found[3] or ''
  local after = note(before, author, is_pulled)
  if after ~= before then
    call('HSET', warm, 'pulled', after)
  end
  if floor and not is_pulled and found[2] and found[2] < floor then
    call('HSET', warm, 'floor', floor)
  end
end

-- What the next round of an author's walk is to do, '' for nothing: "i" for reindex, "+<item>", "-<item>", each with a space
-- behind it.
local function next_round(shard, author, is_pulled)
  local about, parts = shard .. 'author:' .. author, {}
  if call('HEXISTS', about, 'reindex') == 1 then
    parts[1] = 'i '
  end
  if not is_pulled then
    for _, item in ipairs(call('ZREVRANGE', shard .. 'timeline:' .. author, 0, ROUND_ITEMS - 1)) do
      parts[#parts + 1] = '+' .. item .. ' '
    end
  end
  for _, item in ipairs(call('SRANDMEMBER', shard .. 'removing:' .. author, ROUND_ITEMS)) do
    parts[#parts + 1] = '-' .. item .. ' '
  end
  return table.concat(parts)
end

local function parsed(round)
  local added, removed, count = {}, {}, 0
  for sign, item in string.gmatch(round, '([-+i])(%S*) ') do
    count = count + 1
    if sign == '+' then
      added[#added + 1] = item
    elseif sign == '-' then
      removed[#removed + 1] = item
    end
  end
  return added, removed, string.sub(round, 1, 2) == 'i ', count
end

-- One turn of an author's walk: some readers of the audience, at a cost of about `fair`, or all of them where `allowed`
-- suffices. What it gathers must be delivered before `settle` is called with what it answers.
local function walk(shard, incarnation, items_max, author, fair, allowed, gathered)
  local about, audience = shard .. 'author:' .. author, shard .. 'audience:' .. author
  local is_pulled = call('SISMEMBER', shard .. 'pulled', author) == 1
  local found = call('HMGET', about, 'cursor', 'process', 'round', 'floor')
  local cursor, round, floor = found[1], found[3], found[4]
  if not round then
    cursor, round = '0', next_round(shard, author, is_pulled)
    call('HSET', about, 'round', round)
    call('HDEL', about, 'reindex')
  elseif found[2] ~= this_process() then
    cursor = '0'
  end
  local added, removed, is_reindexing, count = parsed(round)
  local turn = { author = author, following = '0', added = added, removed = removed, is_pulled = is_pulled, used = 1 }
  if count == 0 then
    return turn
  end
  local readers
  local each = SET_COST + count * ITEM_COST
  if cursor == '0' and call('SCARD', audience) * each <= allowed then
    readers = call('SMEMBERS', audience)
  else
    local answer = call('SSCAN', audience, cursor, 'COUNT', math.max(1, math.floor(fair / each)))
    turn.following, readers = answer[1], answer[2]
  end
  for _, reader in ipairs(readers) do
    if is_reindexing then reindex(shard, incarnation, author, is_pulled, floor, reader) end
    if removed[1] then
      take_in(shard, incarnation, reader, items_max)
      call('ZREM', shard .. 'feed:' .. reader, unpack(removed))
    end
  end
  turn.used = 1 + #readers * (count - #added) * ITEM_COST
  if added[1] then
    turn.used = turn.used + gather(gathered, author, readers, added)
  end
  return turn
end

-- Moves a walk on; answers whether the author has more to do.
local function settle(shard, turn)
  local author = turn.author
  local about = shard .. 'author:' .. author
  if turn.following ~= '0' then
    call('HSET', about, 'cursor', turn.following, 'process', this_process())
    return true
  end
  in_pieces('ZREM', shard .. 'timeline:' .. author, turn.added)
  in_pieces('SREM', shard .. 'removing:' .. author, turn.removed)
  call('HDEL', about, 'cursor', 'process', 'round')
  if next_round(shard, author, turn.is_pulled) ~= '' then
    return true
  end
  if turn.is_pulled then
    call('HDEL', about, 'queued')
  else
    call('UNLINK', about)
  end
  return false
end

-- feed_step(position, items_max, allowed) -> {authors in the queue and items that these turns left, cost}
--
-- Walks some audiences on at a cost of about `allowed`, a turn each for the first authors of the queue, who then stand last.
-- Readers of several of them are given all of it at once, which costs least.
local function step(keys, args)
  local shard = shard_of(keys)
  local items_max, allowed = tonumber(args[1]), tonumber(args[2])
  local incarnation, queue = call('GET', shard .. 'incarnation'), shard .. 'queue'
  if not incarnation then
    return { 0, 0 }
  end
  local authors = call('LRANGE', queue, 0, TURNS - 1)
  local gathered, turns, used, left = gathering(), {}, 0, 0
  for nth, author in ipairs(authors) do
    if used < allowed then
      local left_of_it = allowed - used
      local fair = math.min(math.max(left_of_it / (#authors - nth + 1), TURN_LEAST), left_of_it)
      turns[nth] = walk(shard, incarnation, items_max, author, fair, left_of_it, gathered)
      used = used + turns[nth].used
    end
  end
  deliver(shard, incarnation, items_max, gathered)
  for _, turn in ipairs(turns) do
    if settle(shard, turn) then
      call('LMOVE', queue, queue, 'LEFT', 'RIGHT')
      left = left + (turn.is_pulled and 0 or call('ZCARD', shard .. 'timeline:' .. turn.author))
    else
      call('LPOP', queue)
    end
  end
  return { call('LLEN', queue) + left, used }
end

-- feed_weigh(position, threshold, author, followers, author, followers, ...) -> {author, 'pulled' | 'pushed', ...}
--
-- Tells how many followers these authors have. Those with clearly more than the threshold are pulled from now on, those with
-- clearly fewer pushed; answers whose state has changed. A shard that is not in use is left alone.
local function weigh(keys, args)
  local shard, threshold, changed = shard_of(keys), tonumber(args[1]), {}
  if not call('GET', shard .. 'incarnation') then
    return changed
  end
  for nth = 2, #args, 2 do
    local author, followers = args[nth], tonumber(args[nth + 1])
    local was = call('SISMEMBER', shard .. 'pulled', author) == 1
    local is = followers >= (was and UNDER or OVER) * threshold
    if is ~= was then
      local about = shard .. 'author:' .. author
      call(is and 'SADD' or 'SREM', shard .. 'pulled', author)
      call('HSET', about, 'since', microseconds(), 'reindex', '1')
      call('HDEL', about, 'cursor', 'process', 'round')
      enqueue(shard, author)
      changed[#changed + 1] = author
      changed[#changed + 1] = is and 'pulled' or 'pushed'
    end
  end
  return changed
end

local function forget(shard, author)
  call('UNLINK', shard .. 'author:' .. author, shard .. 'timeline:' .. author, shard .. 'removing:' .. author)
end

-- Ends every walk and timeline: nobody's feed counts any more.
local function forget_all(shard)
  for _, author in ipairs(call('LRANGE', shard .. 'queue', 0, -1)) do forget(shard, author) end
  for _, author in ipairs(call('SMEMBERS', shard .. 'pulled')) do forget(shard, author) end
  call('UNLINK', shard .. 'queue', shard .. 'pulled')
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
  local flat = call('HGETALL', keys[1])
  for nth = 1, #flat, 2 do position[flat[nth]] = flat[nth + 1] end
  local incarnation = call('GET', shard .. 'incarnation')
  for field in pairs(packed.starts) do
    if not position[field] then incarnation = false end
  end
  if not incarnation then
    incarnation = args[1]
    forget_all(shard)
    call('SET', shard .. 'incarnation', incarnation)
    call('DEL', keys[1])
    position = {}
    for field, offset in pairs(packed.starts) do
      position[field] = string.format('%.0f:0', offset)
      call('HSET', keys[1], field, position[field])
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
    call('HSET', keys[1], field, offset .. ':' .. args[2])
    answer[#answer + 1] = field
    answer[#answer + 1] = tonumber(offset)
  end
  return { incarnation, answer }
end

-- feed_apply(position, topic:partition, previous, next, epoch, incarnation, items_max, packed, allowed)
--   -> {'applied' | 'already' | 'refused'}, authors in the queue and items left to it}
--
-- One batch of one partition on one shard: sets, timelines and position move together, if the shard stands at or past
-- `previous` and the caller is still the owner. A shard at or past `next` has made this step: 'already'. A step from a
-- place to itself is a record that was set aside and is applied late: it moves nothing, and is made however far the shard
-- is. Deliveries that cost more than `allowed` are owed, and feed_step makes them.
-- packed = msgpack {push = {author or sharer -> items}, remove = {author -> items}, cool = {reader, ...}, leave = {reader, author,
-- reader, author, ...}, erase = {person, ...}}; what a shard's readers do not concern finds no key there.
local function apply(keys, args)
  local shard, field = shard_of(keys), args[1]
  local previous, following = tonumber(args[2]), tonumber(args[3])
  local incarnation, items_max = args[5], tonumber(args[6])
  local found, current = call('HGET', keys[1], field), call('GET', shard .. 'incarnation')
  if not found or not current or born(current) ~= born(incarnation) then
    return { 'refused', 0 }
  end
  local offset, epoch = string.match(found, '^(%d+):(%d+)$')
  offset = tonumber(offset)
  if epoch ~= args[4] or offset < previous then
    return { 'refused', 0 }
  end
  if offset >= following and following > previous then
    return { 'already', call('LLEN', shard .. 'queue') }
  end
  local changes = cmsgpack.unpack(args[7])
  local allowed, left = push(shard, current, items_max, changes.push, tonumber(args[8]))
  remove(shard, current, items_max, changes.remove, allowed)
  for _, reader in ipairs(changes.cool) do
    cool(shard, reader)
  end
  for nth = 1, #changes.leave, 2 do
    call('SREM', shard .. 'audience:' .. changes.leave[nth + 1], changes.leave[nth])
  end
  for _, person in ipairs(changes.erase) do
    cool(shard, person)
    forget(shard, person)
    call('LREM', shard .. 'queue', 0, person)
    call('SREM', shard .. 'pulled', person)
    call('UNLINK', shard .. 'audience:' .. person)
  end
  call('HSET', keys[1], field, string.format('%.0f', math.max(offset, following)) .. ':' .. epoch)
  return { 'applied', call('LLEN', shard .. 'queue') + left }
end

-- feed_begin(position, reader, nonce) -> {state, nonce, {topic:partition, "offset:epoch", ...}}
--
-- 'absent': the shard has no incarnation. 'warm': somebody has filled the feed meanwhile. 'filling': go on with the nonce
-- answered, which is the given one unless a filling is under way; then the positions are those of now.
local function begin(keys, args)
  local shard, reader = shard_of(keys), args[1]
  local warm = shard .. 'warm:' .. reader
  local incarnation = call('GET', shard .. 'incarnation')
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
    call('HSET', warm, 'nonce', nonce, 'incarnation', incarnation)
  end
  call('EXPIRE', warm, FILLING_SECONDS)
  return { 'filling', nonce, call('HGETALL', keys[1]) }
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
  local warm = shard .. 'warm:' .. reader
  local noted = call('HGET', warm, 'pulled') or ''
  for nth = 3, #args do
    call('SADD', shard .. 'audience:' .. args[nth], reader)
    if call('SISMEMBER', shard .. 'pulled', args[nth]) == 1 then
      noted = note(noted, args[nth], true)
    end
  end
  call('HSET', warm, 'joined', '1', 'pulled', noted)
  call('EXPIRE', warm, FILLING_SECONDS)
  return { 'filling', call('HGETALL', keys[1]) }
end

-- feed_fill(position, reader, nonce, items_max, floor, items...) -> 'warm' | 'cold'
--
-- `items` are all that lie above `floor`, an item's id ('' when there are no others), read after join as said above.
local function fill(keys, args)
  local shard, reader = shard_of(keys), args[1]
  local items_max, floor = tonumber(args[3]), args[4]
  local warm, feed = shard .. 'warm:' .. reader, shard .. 'feed:' .. reader
  local state, nonce = state_of(shard, reader)
  if state == 'cold' or nonce ~= args[2] or not call('HGET', warm, 'joined') then
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
    call('ZADD', feed, score(floor), mark)
    call('ZREMRANGEBYRANK', feed, 0, call('ZRANK', feed, mark))
  end
  call('HSET', warm, 'floor', floor)
  local size = call('ZCARD', feed)
  if size > items_max then
    trim(feed, size, items_max, warm)
  end
  call('EXPIRE', warm, WARM_SECONDS)
  call('EXPIRE', feed, FEED_SECONDS)
  return 'warm'
end

-- The items of a set that are older than `before` ('' for the newest) and newer than `floor` ('' for all), newest first, at
-- most `wanted`.
local function newest(set, before, floor, wanted)
  local found, highest = {}, '+inf'
  if before ~= '' then
    -- Items of the same microsecond first, those below `before` in the order of ids.
    highest = score(before)
    for _, item in ipairs(call('ZREVRANGEBYSCORE', set, highest, highest)) do
      if item < before and #found < wanted then found[#found + 1] = item end
    end
    highest = '(' .. highest
  end
  local lowest = floor == '' and '-inf' or score(floor)
  for _, item in ipairs(call('ZREVRANGEBYSCORE', set, highest, lowest, 'LIMIT', 0, wanted - #found)) do
    found[#found + 1] = item
  end
  while found[1] and id_of(found[#found]) <= floor do found[#found] = nil end
  return found
end

-- Authors whose timelines this reader is shown: pulled ones, as noted, and those of the queue whose audience they are in.
local function merged_for(shard, reader, noted)
  local authors, is_noted = {}, {}
  for author in string.gmatch(noted, '%x+') do
    authors[#authors + 1] = author
    is_noted[author] = true
  end
  for _, author in ipairs(call('LRANGE', shard .. 'queue', 0, -1)) do
    if not is_noted[author] and call('SISMEMBER', shard .. 'audience:' .. author, reader) == 1 then
      authors[#authors + 1] = author
    end
  end
  return authors
end

local function descending(one, other)
  return one > other
end

-- The newest `limit` of two lists, each item once.
local function union(one, other, limit)
  local seen, every = {}, {}
  for _, list in ipairs({ one, other }) do
    for _, item in ipairs(list) do
      if not seen[item] then
        seen[item] = true
        every[#every + 1] = item
      end
    end
  end
  table.sort(every, descending)
  for nth = #every, limit + 1, -1 do every[nth] = nil end
  return every
end

-- feed_page(position, reader, before, limit, items_max) -> {'warm', nonce, floor, items...} or {'cold'}
--
-- Items older than the one with the id `before` ('' for the newest), newest first, at most `limit`. Fewer than that means that the floor is
-- reached: what is not newer than it must be asked of PostgreSQL, unless it is ''. Reading keeps the feed warm.
local function page(keys, args)
  local shard, reader = shard_of(keys), args[1]
  local before, limit = args[2], tonumber(args[3])
  local state, nonce, floor, noted, incarnation = state_of(shard, reader)
  if state ~= 'warm' then
    return { 'cold' }
  end
  local feed = shard .. 'feed:' .. reader
  floor = take_in(shard, incarnation, reader, tonumber(args[4])) or floor
  call('EXPIRE', shard .. 'warm:' .. reader, WARM_SECONDS)
  call('EXPIRE', feed, FEED_SECONDS)
  local authors = merged_for(shard, reader, noted)
  for _, author in ipairs(authors) do
    local other = call('HGET', shard .. 'author:' .. author, 'floor')
    if other and other > floor then floor = other end
  end
  local items = newest(feed, before, floor, limit)
  for _, author in ipairs(authors) do
    -- What is older than a full page's last item is of no use. Of one's own there may be shares among it, which do not count.
    local least = limit > 0 and #items == limit and id_of(items[limit]) or floor
    local theirs = newest(shard .. 'timeline:' .. author, before, least, author == reader and UNLIMITED or limit)
    if author == reader then
      local posts = {}
      for _, item in ipairs(theirs) do
        if #item == ID_DIGITS then posts[#posts + 1] = item end
      end
      theirs = posts
    end
    if theirs[1] then items = union(items, theirs, limit) end
  end
  local answer = { 'warm', nonce, floor }
  for nth, item in ipairs(items) do answer[nth + 3] = item end
  return answer
end

-- feed_renew(position) -> the incarnation's new name, or '' where the shard has none
--
-- Every feed of the shard is cold from here on, and every filling under way begins anew.
local function renew(keys, args)
  local shard = shard_of(keys)
  local incarnation = call('GET', shard .. 'incarnation')
  if not incarnation then
    return ''
  end
  local times = tonumber(string.match(incarnation, '%.(%d+)$')) or 0
  incarnation = string.format('%s.%.0f', born(incarnation), times + 1)
  call('SET', shard .. 'incarnation', incarnation)
  forget_all(shard)
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
    if state_of(shard, reader) == 'cold' and call('EXISTS', shard .. 'warm:' .. reader) == 1 then
      cool(shard, reader)
      cleared = cleared + 1
    end
  end
  return cleared
end

redis.register_function('feed_fence', fence)
redis.register_function('feed_apply', apply)
redis.register_function('feed_step', step)
redis.register_function('feed_weigh', weigh)
redis.register_function('feed_begin', begin)
redis.register_function('feed_join', join)
redis.register_function('feed_fill', fill)
redis.register_function('feed_page', page)
redis.register_function('feed_renew', renew)
redis.register_function('feed_cool', cool_one)
redis.register_function('feed_clear', clear)
