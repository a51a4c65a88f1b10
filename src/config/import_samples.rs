use super::*;

const DJANGO: &str = r#"; the shop, as it runs on web1
[unix_http_server]
file=/var/run/supervisor.sock   ; (the path to the socket file)
chmod=0700

[supervisord]
logfile=/var/log/supervisor/supervisord.log
pidfile=/var/run/supervisord.pid
childlogdir=/var/log/supervisor
nodaemon=true
user=root
environment=DJANGO_SETTINGS_MODULE="shop.settings",LANG=C.UTF-8

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix:///var/run/supervisor.sock

[program:gunicorn]
command=/srv/shop/venv/bin/gunicorn shop.wsgi:application
    --bind 127.0.0.1:8000 --workers %(ENV_WEB_WORKERS)s
    --access-logformat "%%(h)s %%(r)s $cost"
directory=/srv/shop
user=www-data
autostart=true
autorestart=true
stopsignal=QUIT
stopwaitsecs=30
stopasgroup=true
redirect_stderr=true
stdout_logfile=/var/log/shop/gunicorn.log
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=4
environment=PYTHONUNBUFFERED=1, SECRET="a,b=c$d",
    HOME='/srv/shop'
priority=20

[program:celery]
command=/srv/shop/venv/bin/celery -A shop worker -n worker%(process_num)02d@%%h
process_name=%(program_name)s_%(process_num)02d
numprocs=4
directory=/srv/shop
user=www-data
startsecs=10
startretries=5
exitcodes=0,2
stopwaitsecs=600
stdout_logfile=/var/log/shop/celery.log
stderr_logfile=/var/log/shop/celery.err
umask=0007

[program:nginx]
command=/usr/sbin/nginx -g 'daemon off;'
autorestart=unexpected
stdout_logfile=/dev/stdout
stdout_logfile_maxbytes=0

[program:migrate]
command=bin/migrate --noinput
autostart=false
autorestart=false
startsecs=0
colour=red

[group:shop]
programs=gunicorn,celery
priority=999

[include]
files = conf.d/*.conf
"#;

const DJANGO_TOML: &str = r#"# Translated from a supervisord.conf; where supervisord's built-in value means something else than quell's, it is written.
# supervisord takes every end within startsecs for a failed start; quell goes by success_codes alone.
# The variables SUPERVISOR_ENABLED, SUPERVISOR_PROCESS_NAME and the like are not set.

[log]
dir = "/var/log/supervisor"

[worker.gunicorn]
command = ["/srv/shop/venv/bin/gunicorn", "shop.wsgi:application", "--bind", "127.0.0.1:8000", "--workers", "${WEB_WORKERS}", "--access-logformat", "%(h)s %(r)s $$cost"]
cwd = "/srv/shop"
env.DJANGO_SETTINGS_MODULE = "shop.settings"
env.LANG = "C.UTF-8"
env.PYTHONUNBUFFERED = "1"
env.SECRET = "a,b=c$$d"
env.HOME = "/srv/shop"
user = "www-data"
no_new_privs = false
restart = "always"
backoff = { first = "1s", reset = "1s", give_up = 4 }
stop = { signal = "QUIT", grace = "30s" }
log.dir = "/var/log/shop"
log.rotate = "20MiB"
log.retain.routine = "100MiB"

[worker.celery]
command = ["/srv/shop/venv/bin/celery", "-A", "shop", "worker", "-n", "worker0{n}@%h"]
cwd = "/srv/shop"
env.DJANGO_SETTINGS_MODULE = "shop.settings"
env.LANG = "C.UTF-8"
user = "www-data"
no_new_privs = false
umask = "007"
instances = 4
success_codes = [0, 2]
backoff = { first = "1s", reset = "10s", give_up = 6 }
stop = { grace = "600s" }
log.dir = "/var/log/shop"

[worker.nginx]
command = ["/usr/sbin/nginx", "-g", "daemon off;"]
env.DJANGO_SETTINGS_MODULE = "shop.settings"
env.LANG = "C.UTF-8"
backoff = { first = "1s", reset = "1s", give_up = 4 }

[worker.migrate]
command = ["bin/migrate", "--noinput"]
env.DJANGO_SETTINGS_MODULE = "shop.settings"
env.LANG = "C.UTF-8"
enabled = false
restart = "never"
"#;

const DJANGO_LEFT: &str = r#"2:1: [unix_http_server] (file, chmod): clients reach quell at `socket` of [quell], which belongs to whom quell runs as
7:1: `logfile`: what quell itself says is on its standard error; send it where it should go when quell is started
8:1: `pidfile`: quell holds a lock in its state directory, and needs no such file; remove it
14:1: [rpcinterface:supervisor] (supervisor.rpcinterface_factory): quell loads no plugins; remove it
17:1: [supervisorctl] (serverurl): clients find quell by its configuration, --socket or QUELL_SOCKET
21:1: `command`: the value of WEB_WORKERS is one word in quell, blanks or not; write the words if there are more
32:1: `stdout_logfile`: the log is /var/log/shop/gunicorn/current; let what reads the file read that
37:1: `priority`: workers are not numbered into an order; write needs = ["…"] where one has to be ready before another
40:1: `command`: {n} counts from 1, not from 0; see to the ports and names that are made of it
41:1: `process_name`: the instances are called celery.1 to celery.4; use that name
49:1: `stdout_logfile`: the log is /var/log/shop/celery.N/current; let what reads the file read that
50:1: `stderr_logfile`: both streams go into one log, /var/log/shop/celery.N/current; let what reads the file read that
56:1: `stdout_logfile`: quell logs every worker, to nginx/current in `dir` of [log]; to follow it use tail -F; to drop it redirect it within `shell`
60:1: `command`: relative to the folder in which supervisord is started; write that as cwd
64:1: `colour`: supervisord knows no such key here either; remove it
66:1: [group:shop]: quell has no groups; name the workers: gunicorn celery
68:1: `priority`: workers are not numbered into an order; write needs = ["…"] where one has to be ready before another
71:1: `files`: import each file by itself, and name the results in `include`: conf.d/*.conf; what [supervisord] and [group:…] say here holds for them, too
"#;

/// Queue workers in a container, in the manner of Laravel.
const QUEUES: &str = r#"[supervisord]
nodaemon=false
user=app
umask=002
directory=/srv/app
minfds=4096

[program:queue-high]
command=php artisan queue:work --queue=%(ENV_QUEUE)s --name=%(group_name)s-%(process_num)d # as the site says
process_name=%(program_name)s_%(process_num)d
numprocs=12
numprocs_start=1
environment=QUEUE="high",METRICS="90%(process_num)02d",PATH="%(here)s/bin:%(ENV_PATH)s"
autorestart=TRUE
startsecs=0
stopsignal=SIGINT
stopwaitsecs=3600
stdout_logfile=NONE
stderr_logfile=/var/log/%(program_name)s/err-%(process_num)d.log
stderr_logfile_maxbytes=512KB
stderr_logfile_backups=1

[program:cron job]
command=/usr/sbin/cron -f -L "15 %% \"x\"" %(ENV_CRON_ARGS)s
directory=/
umask=022
user=root

[eventlistener:crashmail]
command=crashmail -a -m ops@example.org
events=PROCESS_STATE_EXITED
"#;

const QUEUES_TOML: &str = r#"# Translated from a supervisord.conf; where supervisord's built-in value means something else than quell's, it is written.
# supervisord takes every end within startsecs for a failed start; quell goes by success_codes alone.
# The variables SUPERVISOR_ENABLED, SUPERVISOR_PROCESS_NAME and the like are not set.

[worker.queue-high]
command = ["php", "artisan", "queue:work", "--queue=high", "--name=queue-high-{n}"]
cwd = "/srv/app"
env.QUEUE = "high"
env.METRICS = "90{n}"
env.PATH = "/srv/site/bin:${PATH}"
user = "app"
no_new_privs = false
umask = "002"
instances = 12
restart = "always"
stop = { signal = "INT", grace = "3600s" }
log.dir = "/var/log/queue-high"
log.rotate = "512KiB"
log.retain.routine = "1MiB"

[worker.cron_job]
command = ["/usr/sbin/cron", "-f", "-L", "15 % \"x\"", "${CRON_ARGS}"]
user = "root"
no_new_privs = false
backoff = { first = "1s", reset = "1s", give_up = 4 }
"#;

const QUEUES_LEFT: &str = r#"2:1: `nodaemon`: quell stays in the foreground; let init start it
3:1: `user`: the workers are run as this user; quell itself is whoever starts it
6:1: `minfds`: a worker has limits of its own; write limits = { nofile = … } where more are needed
10:1: `process_name`: the instances are called queue-high.1 to queue-high.12; use that name
13:1: `environment`: {n} counts without filling up to 2 characters; see to the ports and names that are made of it
15:1: `startsecs`: with 0 supervisord restarts at once, as often as it takes; quell waits longer each time, backoff = { max = … } at the most
18:1: `stdout_logfile`: quell logs every worker, to /var/log/queue-high/queue-high.N/current; to follow it use tail -F; to drop it redirect it within `shell`
19:1: `stderr_logfile`: both streams go into one log, /var/log/queue-high/queue-high.N/current; let what reads the file read that
23:1: `cron job` is called `cron_job`: a name is made of letters, digits, '.', '_' and '-', and is one worker's only
24:1: `command`: the value of CRON_ARGS is one word in quell, blanks or not; write the words if there are more
29:1: [eventlistener:crashmail] (command, events): quell does not speak this protocol; write a worker with start_on for what it waits for
"#;

const RAILS: &str = r#"# production
web: bundle exec puma -p $PORT -C config/puma.rb
worker: RAILS_ENV="production" bundle exec sidekiq -q default -q "low prio"
css: cd client && yarn build --watch 2>&1 | tee -a log/css.log

release: bin/rails db:migrate
clock : bundle exec clockwork 'lib/clock.rb'
"#;

const RAILS_TOML: &str = r#"# Translated from a Procfile. A line with shell syntax is run by /bin/sh, any other without a shell.
# PORT is what foreman and honcho give each worker: 5000 and 100 more for each further one.
# They end all workers when one ends; quell starts a worker that fails again. For their way write
# restart = "never" and essential = true.

[worker.web]
shell = "exec bundle exec puma -p $$PORT -C config/puma.rb"
cwd = "/srv/site"
env_file = { path = "/srv/site/.env", optional = true }
env.PORT = "${PORT:-5000}"

[worker.worker]
shell = "RAILS_ENV=\"production\" exec bundle exec sidekiq -q default -q \"low prio\""
cwd = "/srv/site"
env_file = { path = "/srv/site/.env", optional = true }
env.PORT = "5100"

[worker.css]
shell = "cd client && yarn build --watch 2>&1 | tee -a log/css.log"
cwd = "/srv/site"
env_file = { path = "/srv/site/.env", optional = true }
env.PORT = "5200"

[worker.release]
command = ["bin/rails", "db:migrate"]
cwd = "/srv/site"
env_file = { path = "/srv/site/.env", optional = true }
env.PORT = "5300"

[worker.clock]
command = ["bundle", "exec", "clockwork", "lib/clock.rb"]
cwd = "/srv/site"
env_file = { path = "/srv/site/.env", optional = true }
env.PORT = "5400"
"#;

const RAILS_LEFT: &str = r#"6:1: on Heroku `release` runs once, before the others; for that write kind = "oneshot" here, and needs = ["release"] in the others
"#;

const FLASK: &str = "web: gunicorn shop:app --log-file=- --config gunicorn.py\r
my/worker: celery -A shop worker --loglevel=info
\tweb:python -c 'print(\"a\\tb\")'
serve everything: nginx
beat: celery -A 'shop beat
";

const FLASK_TOML: &str = r#"# Translated from a Procfile. A line with shell syntax is run by /bin/sh, any other without a shell.
# PORT is what foreman and honcho give each worker: 5000 and 100 more for each further one.
# They end all workers when one ends; quell starts a worker that fails again. For their way write
# restart = "never" and essential = true.

[worker.web]
command = ["gunicorn", "shop:app", "--log-file=-", "--config", "gunicorn.py"]
cwd = "/srv/site"
env_file = { path = "/srv/site/.env", optional = true }
env.PORT = "${PORT:-5000}"

[worker.my_worker]
command = ["celery", "-A", "shop", "worker", "--loglevel=info"]
cwd = "/srv/site"
env_file = { path = "/srv/site/.env", optional = true }
env.PORT = "5100"

[worker.web-2]
command = ["python", "-c", "print(\"a\\tb\")"]
cwd = "/srv/site"
env_file = { path = "/srv/site/.env", optional = true }
env.PORT = "5200"
"#;

const FLASK_LEFT: &str = r#"2:1: `my/worker` is called `my_worker`: a name is made of letters, digits, '.', '_' and '-', and is one worker's only
3:2: `web` is called `web-2`: a name is made of letters, digits, '.', '_' and '-', and is one worker's only
4:1: neither `name: command` nor a comment; write it as one of them, or remove it
5:7: a quotation in the command of `beat` is not closed; close it
"#;

fn check(translation: &Translation, text: &str, left: &str) {
    assert_eq!(translation.text, text, "{}", translation.text);
    assert_eq!(said(&translation.left), left, "{}", said(&translation.left));
}

#[test]
fn a_web_shop_under_supervisord() {
    check(&supervisord(DJANGO, "/srv/site"), DJANGO_TOML, DJANGO_LEFT);
}

#[test]
fn queue_workers_under_supervisord() {
    check(&supervisord(QUEUES, "/srv/site"), QUEUES_TOML, QUEUES_LEFT);
}

#[test]
fn rails_under_foreman() {
    check(&procfile(RAILS, "/srv/site"), RAILS_TOML, RAILS_LEFT);
}

#[test]
fn flask_under_honcho() {
    check(&procfile(FLASK, "/srv/site"), FLASK_TOML, FLASK_LEFT);
}
