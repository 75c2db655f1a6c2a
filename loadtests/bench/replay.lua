-- Replays a file of requests with wrk, which gives: METHOD FILE FIRST NUMBERS
-- A line holds a path and a body, parted by a tab. {n} in a body becomes a number that counts up from FIRST.

local method, first, numbers
local calls, sent = {}, 0

function init(args)
    method, first, numbers = args[1], tonumber(args[3]), tonumber(args[4])
    for line in io.lines(args[2]) do
        local path, body = line:match("^(.-)\t(.*)$")
        local before, after = body:match("^(.*){n}(.*)$")
        if before then
            calls[#calls + 1] = { path = path, before = before, after = after }
        else
            calls[#calls + 1] = wrk.format(method, path)
        end
    end
end

function request()
    sent = sent + 1
    local call = calls[(first + sent) % #calls + 1]
    if type(call) == "string" then
        return call
    end
    local number = string.format("%d", (first + sent) % numbers)
    return wrk.format(method, call.path, nil, call.before .. number .. call.after)
end

function done(summary, latency)
    local errors = summary.errors
    print(string.format(
        'RESULT {"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "refused": %d, "broken": %d}',
        summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        errors.status, errors.connect + errors.read + errors.write + errors.timeout
    ))
end
