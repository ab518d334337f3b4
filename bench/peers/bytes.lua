-- A body of SIZE bytes, sent again and again.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/octet-stream"
wrk.body = string.rep("0123456789abcdef", tonumber(os.getenv("BENCH_SIZE")) / 16)
