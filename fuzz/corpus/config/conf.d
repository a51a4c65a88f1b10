# The host's own part; each team keeps a file in conf.d.
include = ["[12].toml"]

[quell]
metrics       = "127.0.0.1:9465"
start_timeout = "75s"
stop_timeout  = "60s"

[log]
rotate          = "32MiB or 1d"
retain.routine  = "7d, 512MiB"
retain.critical = "60d, 128MiB"

[worker.db]
command = ["/usr/lib/postgresql/15/bin/postgres", "-D", "/var/lib/postgresql/15/main"]
cwd     = "/var/lib/postgresql/15"
user    = "postgres"
nice    = -5
ready   = { line = "database system is ready to accept connections" }
restart = "always"
stop    = { signal = "INT", grace = "40s" }
[queue.reports]
max_wait = "10m"

[worker.reports]
command  = ["/srv/reports/bin/render"]
start_on = [{ queue = "reports" }]
timeout  = "20m"
retry    = { tries = 3, first = "1m", max = "10m" }

[worker.nightly]
command  = ["/srv/reports/bin/nightly"]
start_on = [{ schedule = "15 2 * * *" }, { fire = "nightly" }]
[worker.shop]
command = ["/srv/shop/bin/serve", "--port", "8080"]
cwd     = "/srv/shop"
needs   = ["db"]
# the lists lie beside conf.d
lists   = ["k8s-probes", "../lists/everything.list"]
restart = "on-failure"
env     = { PORT = "8080" }
umask   = "027"

[worker.shop.log]
rotate = "16MiB or 6h"
