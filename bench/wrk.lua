-- Sends the method and the body given after the URL, and prints the result as one line of JSON.
-- There is no response() hook, because it would slow down the load.
init = function(args)
  wrk.method, wrk.body = args[1], args[2]
end

done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "bytes": %d, "p99": %d, "errors": %d}\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(99),
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
