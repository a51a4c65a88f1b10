//! Programs that leave for the background, where nobody can supervise them.

use crate::config::load::{Files, Named};
use crate::config::report::Report;
use crate::config::source::Sources;
use crate::config::tables::Worker;

/// Programs that go into the background by themselves: their name, the words of which one keeps them in front (none: a word
/// sends them there), the words that send them, and what to write.
const DAEMONS: [(&str, &[&str], &[&str], &str); 25] = [
    ("nginx", &["daemon off"], &[], "add \"-g\", \"daemon off;\""),
    ("apache2", &["FOREGROUND", "-X"], &[], "add \"-DFOREGROUND\""),
    ("httpd", &["FOREGROUND", "-X", "-f"], &[], "add \"-DFOREGROUND\""),
    ("apachectl", &["FOREGROUND"], &[], "add \"-DFOREGROUND\""),
    ("sshd", &["-D", "-i", "-t", "-T"], &[], "add \"-D\""),
    ("cron", &["-f"], &[], "add \"-f\""),
    ("crond", &["-f", "-n"], &[], "add \"-n\" or \"-f\""),
    ("rsyslogd", &["-n"], &[], "add \"-n\""),
    ("dnsmasq", &["-k", "-d", "--keep-in-foreground", "--no-daemon"], &[], "add \"--keep-in-foreground\""),
    ("keepalived", &["-n", "--dont-fork"], &[], "add \"--dont-fork\""),
    ("squid", &["-N", "--foreground"], &[], "add \"--foreground\""),
    ("named", &["-f", "-g"], &[], "add \"-f\""),
    ("smbd", &["-F", "--foreground"], &[], "add \"--foreground\""),
    ("nmbd", &["-F", "--foreground"], &[], "add \"--foreground\""),
    ("ntpd", &["-n", "-q"], &[], "add \"-n\""),
    ("supervisord", &["-n", "--nodaemon"], &[], "add \"--nodaemon\""),
    ("vsftpd", &["background=NO"], &[], "add \"-obackground=NO\""),
    ("php-fpm", &["-F", "--nodaemonize", "daemonize = no"], &[], "add \"--nodaemonize\""),
    ("redis-server", &[], &["--daemonize yes"], "write \"--daemonize\", \"no\""),
    ("mongod", &[], &["--fork"], "remove \"--fork\""),
    ("memcached", &[], &["-d", "--daemon"], "remove \"-d\""),
    ("haproxy", &[], &["-D"], "write \"-W\" for \"-D\""),
    ("gunicorn", &[], &["--daemon", "-D"], "remove \"--daemon\""),
    ("uwsgi", &[], &["--daemonize"], "write \"--logto\" for \"--daemonize\""),
    ("pg_ctl", &[], &["start"], "run `postgres -D …` itself"),
];

/// Where the programs that are known here stand; none is PATH.
const PROGRAM_FOLDERS: [&str; 8] =
    ["", "/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/usr/lib/postgresql/bin"];
/// What nginx reads when it is told nothing else.
const NGINX_CONF: &str = "/etc/nginx/nginx.conf";

pub(super) fn daemonises(worker: &Named<Worker>, sources: &Sources, files: &mut dyn Files, reports: &mut Vec<Report>) {
    let words = worker.keys.words();
    let place = worker.keys.command.place.or(worker.keys.shell.place).unwrap_or(worker.place);
    let words = words.strip_prefix(&["exec"]).unwrap_or(&words);
    let Some((program, arguments)) = words.split_first() else { return };
    let (folder, base) = program.rsplit_once('/').unwrap_or(("", program));
    if !PROGRAM_FOLDERS.contains(&folder) {
        // Whatever is called like that, it is the user's own.
        return;
    }
    // php-fpm8.2, php-fpm7.4.
    let name = if base.starts_with("php-fpm") { "php-fpm" } else { base };
    let Some((_, keeps, sends, remedy)) = DAEMONS.iter().find(|(known, ..)| *known == name) else { return };
    let line = arguments.join(" ");
    let has = |flag: &&str| arguments.contains(flag) || (flag.len() > 2 && line.contains(*flag));
    // What an option does, the program's own file may do, too.
    let mut file_has = || {
        let option = |word: &&str| ["-c", "-f", "-y", "--fpm-config", "--config"].contains(word);
        let file = arguments.iter().position(option).and_then(|at| arguments.get(at + 1).copied());
        let file = file.or((name == "nginx").then_some(NGINX_CONF));
        let bytes = file.and_then(|file| files.read(file.as_ref()).ok()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let said = |flag: &&str| flag.contains(' ') && text.lines().any(|line| line.trim_start().starts_with(*flag));
        keeps.iter().any(said)
    };
    let stays = if sends.is_empty() { keeps.iter().any(has) || file_has() } else { !sends.iter().any(has) };
    if !stays {
        let text = format!("`{base}` goes into the background: quell would take that for its end");
        reports.push(Report::error(sources.quoted(program, place), text).help(*remedy));
    }
}
