-- What wrk sends, and how it looks at every answer. The environment says what:
--   BENCH_METHOD, BENCH_PATH, BENCH_HEADERS  one "Name: value" a line
--   BENCH_BODY, BENCH_SUBJECTS   a body with %s in it, and a file with one subject a line to put there, at random
--   BENCH_ACCOUNTS               so many accounts of the ledger: in each request %i becomes a new id of its own, %d and %c two different accounts (without
--                                %d, an account other than the first)
--   BENCH_STATUS                 the status of a good answer (200); BENCH_DELAY_MS  how long to wait between requests, on average
--   BENCH_EXPECT                 texts that a good answer holds, one a line; BENCH_BYTES_MIN  and how long it is at least;
--   BENCH_REJECT                 texts that it does not hold, one a line
local function lines(text)
  local found = {}
  for line in (text or ""):gmatch("[^\n]+") do found[#found + 1] = line end
  return found
end

local method = os.getenv("BENCH_METHOD") or "GET"
local path = os.getenv("BENCH_PATH")
local expected = lines(os.getenv("BENCH_EXPECT"))
local rejected = lines(os.getenv("BENCH_REJECT"))
local bytes_min = tonumber(os.getenv("BENCH_BYTES_MIN") or "0")
local status_expected = tonumber(os.getenv("BENCH_STATUS") or "200")
local accounts = tonumber(os.getenv("BENCH_ACCOUNTS") or "0")
local delay_ms = tonumber(os.getenv("BENCH_DELAY_MS") or "0")
local headers = {}
for _, line in ipairs(lines(os.getenv("BENCH_HEADERS"))) do
  local name, value = line:match("^([^:]+): (.*)$")
  headers[name] = value
end

local threads = {}
function setup(thread)
  thread:set("seed", #threads)
  threads[#threads + 1] = thread
end

wrong_status, wrong_body, first_wrong = 0, 0, ""
local requests = {}
-- A body cut at its marks: the pieces between them, and which mark follows each.
local pieces, marks = {}, {}
local made = 0
local started_ms = os.time() * 1000

local function cut(body)
  local from = 1
  for at, mark, after in body:gmatch("()%%([idc])()") do
    pieces[#pieces + 1], marks[#marks + 1] = body:sub(from, at - 1), mark
    from = after
  end
  pieces[#pieces + 1] = body:sub(from)
end

-- UUIDv7 (RFC 9562): ids of one thread rise, those of two never meet.
local function new_id()
  made = made + 1
  local ms = started_ms + math.floor(made / 4096)
  return string.format("%08x-%04x-7%03x-%04x-%04x%08x", math.floor(ms / 65536), ms % 65536, made % 4096, 0x8000 + math.random(0, 0x3fff),
    seed, math.random(0, 0x7fffffff))
end

local function account_id(number)
  return string.format("00000000-0000-7000-8000-%012x", number)
end

local function ledger_body()
  local parts = {}
  local first, second = 1, 1
  for i = 1, #marks do
    parts[#parts + 1] = pieces[i]
    if marks[i] == "i" then
      parts[#parts + 1] = new_id()
    elseif marks[i] == "d" then
      first = math.random(accounts)
      parts[#parts + 1] = account_id(first)
    else
      repeat second = math.random(accounts) until second ~= first
      parts[#parts + 1] = account_id(second)
    end
  end
  parts[#parts + 1] = pieces[#pieces]
  return table.concat(parts)
end

-- wrk asks for this before each request only where it is there.
if delay_ms > 0 then
  function delay()
    return math.floor(math.random() * 2 * delay_ms + 0.5)
  end
end

function init()
  math.randomseed(os.time() + seed)
  if accounts > 0 then
    cut(os.getenv("BENCH_BODY"))
    return
  end
  if os.getenv("BENCH_SUBJECTS") then
    for subject in io.lines(os.getenv("BENCH_SUBJECTS")) do
      requests[#requests + 1] = wrk.format(method, path, headers, (os.getenv("BENCH_BODY"):gsub("%%s", subject)))
    end
  else
    requests[1] = wrk.format(method, path, headers, os.getenv("BENCH_BODY"))
  end
end

function request()
  if accounts > 0 then return wrk.format(method, path, headers, ledger_body()) end
  return requests[math.random(#requests)]
end

function response(status, _, body)
  if status ~= status_expected then
    wrong_status = wrong_status + 1
    if first_wrong == "" then first_wrong = status .. " " .. body:sub(1, 300) end
    return
  end
  local good = #body >= bytes_min
  for i = 1, #expected do good = good and body:find(expected[i], 1, true) ~= nil end
  for i = 1, #rejected do good = good and body:find(rejected[i], 1, true) == nil end
  if not good then
    wrong_body = wrong_body + 1
    if first_wrong == "" then first_wrong = body:sub(1, 300) end
  end
end

-- One line of JSON as the last line, for measure.py.
function done(summary, latency)
  local statuses, bodies, first = 0, 0, ""
  for _, thread in ipairs(threads) do
    statuses = statuses + thread:get("wrong_status")
    bodies = bodies + thread:get("wrong_body")
    if first == "" then first = thread:get("first_wrong") end
  end
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "wrong_status": %d, "wrong_body": %d, "socket_errors": %d, "first_wrong": "%s"}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000, statuses, bodies,
    errors.connect + errors.read + errors.write + errors.timeout, (first:gsub('[^%w %.:/_-]', ' '))))
end
