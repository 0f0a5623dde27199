-- What wrk sends, and how it looks at every answer. The environment says what:
--   BENCH_METHOD, BENCH_PATH, BENCH_HEADERS  one "Name: value" a line
--   BENCH_BODY, BENCH_SUBJECTS   a body with %s in it, and a file with one subject a line to put there, at random
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
function init()
  math.randomseed(os.time() + seed)
  if os.getenv("BENCH_SUBJECTS") then
    for subject in io.lines(os.getenv("BENCH_SUBJECTS")) do
      requests[#requests + 1] = wrk.format(method, path, headers, (os.getenv("BENCH_BODY"):gsub("%%s", subject)))
    end
  else
    requests[1] = wrk.format(method, path, headers, os.getenv("BENCH_BODY"))
  end
end

function request()
  return requests[math.random(#requests)]
end

function response(status, _, body)
  if status ~= 200 then
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
