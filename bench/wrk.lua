-- The requests of wrk, chosen by the arguments after `--`:
--   get SEED         the URL on the command line
--   post SEED        POST / with a 1 KiB body that no other request or SEED sends
--   pick SEED FILE   GET /<id>/raw with a random ID from FILE (one per line, all of the same length)
-- and one line that bench.py reads: BENCH requests microseconds p50 p99 errors

local threads = 0

function setup(thread)
   threads = threads + 1
   thread:set("number", threads)
end

local function unique_post(seed)
   local head = "POST / HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\nContent-Length: 1024\r\n\r\n"
   local filler, sent = {}, 0
   for _ = 1, 984 do filler[#filler + 1] = string.char(math.random(97, 122)) end
   local tail = table.concat(filler)
   return function()
      sent = sent + 1
      return head .. string.format("%-24s%4d%12d", seed, number, sent) .. tail
   end
end

local function random_get(path)
   local file = assert(io.open(path, "rb"))
   local ids = file:read("*a")
   file:close()
   local width = ids:find("\n", 1, true)
   local last = #ids / width - 1
   local tail = "/raw HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\n\r\n"
   math.randomseed(os.time() + number)
   return function()
      local at = math.random(0, last) * width
      return "GET /" .. ids:sub(at + 1, at + width - 1) .. tail
   end
end

function init(args)
   if args[1] == "post" then request = unique_post(args[2]) end
   if args[1] == "pick" then request = random_get(args[3]) end
end

function done(summary, latency)
   local e = summary.errors
   io.write(string.format("BENCH %d %d %d %d %d\n", summary.requests, summary.duration,
      latency:percentile(50), latency:percentile(99),
      e.connect + e.read + e.write + e.status + e.timeout))
end
