-- One multipart form with a file of SIZE bytes, sent again and again.
local size = tonumber(os.getenv("BENCH_SIZE"))
local boundary = "----benchboundary7d1f"
wrk.method = "POST"
wrk.headers["Content-Type"] = "multipart/form-data; boundary=" .. boundary
if os.getenv("BENCH_AUTH") then wrk.headers["Authorization"] = os.getenv("BENCH_AUTH") end
wrk.body = "--" .. boundary .. "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n"
  .. "Content-Type: application/octet-stream\r\n\r\n" .. string.rep("0123456789abcdef", size / 16)
  .. "\r\n--" .. boundary .. "--\r\n"
