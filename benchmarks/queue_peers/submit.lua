-- What wrk POSTs.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"task":"noop","args":{"number":0}}'
