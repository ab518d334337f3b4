-- A raw PUT of SIZE bytes to a fresh path each time.
local size = tonumber(os.getenv("BENCH_SIZE"))
local body = string.rep("0123456789abcdef", size / 16)
local prefix, count = os.getenv("BENCH_PREFIX"), 0
request = function()
  count = count + 1
  return wrk.format("PUT", prefix .. count, nil, body)
end
