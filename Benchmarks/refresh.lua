-- Refresh tokens, each in the place of the one before: an answer's token is what the next request sends. The environment says what:
--   BENCH_TOKENS  a file with one refresh token a line, at least one for each connection; BENCH_CLIENT  whose they are
-- The summary is load.lua's.
local threads = {}
function setup(thread)
  thread:set("number", #threads)
  threads[#threads + 1] = thread
end

wrong_status, wrong_body, first_wrong = 0, 0, ""
local waiting = {}

function init()
  local at, count = 0, tonumber(os.getenv("BENCH_THREADS"))
  for line in io.lines(os.getenv("BENCH_TOKENS")) do
    if at % count == number then waiting[#waiting + 1] = line end
    at = at + 1
  end
end

function request()
  local token = table.remove(waiting)
  -- Never, while there are more tokens than connections; the server says so if it does.
  local body = "grant_type=refresh_token&client_id=" .. os.getenv("BENCH_CLIENT") .. "&refresh_token=" .. (token or "none")
  return wrk.format("POST", "/oauth/token", { ["Content-Type"] = "application/x-www-form-urlencoded" }, body)
end

function response(status, headers, body)
  local token = body:match('"refresh_token":"([^"]+)"')
  if status ~= 200 then
    wrong_status = wrong_status + 1
    if first_wrong == "" then first_wrong = status .. " " .. body:sub(1, 200) end
  elseif not token then
    wrong_body = wrong_body + 1
  end
  if token then waiting[#waiting + 1] = token end
end

-- One line of JSON as the last line, for loads.py.
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
