//! What a worker finds around it: signals, environment; and whose word quell takes.

use super::{Up, configure};
use crate::harness::{Folder, finish, names, quell};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use serial_test::serial;
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Starts it as a command that is changed a little.
fn start(workers: &str, change: impl FnOnce(&mut Command)) -> Up {
    let folder = Folder::new();
    let mut command = quell();
    command.args(["up", "-c"]).arg(configure(&folder, workers));
    change(&mut command);
    Up::by(command, folder)
}

/// D2, F14: whatever quell was started with, a worker has no signal blocked and none ignored, and 0, 1, 2 alone.
#[test]
#[serial]
fn a_worker_starts_with_a_clean_slate() {
    let show = "[worker.signals]\ncommand = [\"cat\", \"/proc/self/status\"]\nkind = \"oneshot\"\n\
                [worker.files]\ncommand = [\"ls\", \"/proc/self/fd\"]\nkind = \"oneshot\"\n";
    let extra: Vec<_> = (0..20).map(|_| nix::unistd::dup(std::io::stdin()).unwrap()).collect();
    let mut up = start(show, |command| {
        // SAFETY: only async-signal-safe calls are made between fork and exec.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(|| {
                let mut mask = SigSet::empty();
                [Signal::SIGUSR2, Signal::SIGTERM, Signal::SIGCHLD].into_iter().for_each(|one| mask.add(one));
                mask.thread_set_mask()?;
                for one in [Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGTTOU, Signal::SIGCHLD] {
                    signal(one, SigHandler::SigIgn)?;
                }
                Ok(())
            });
        }
    });
    drop(extra);
    up.until("all workers are up, done");
    up.down();
    let status = up.printed("signals");
    for set in ["SigBlk:\t", "SigIgn:\t", "SigCgt:\t"] {
        let signals = status.iter().find_map(|line| line.strip_prefix(set)).unwrap();
        // Two are the C library's own, and nobody can have them changed.
        assert_eq!(u64::from_str_radix(signals, 16).unwrap() & !(0b11 << 31), 0, "{status:#?}");
    }
    // `ls` has the directory itself open, as 3.
    assert_eq!(up.printed("files"), ["0", "1", "2", "3"]);
}

/// F9: a worker's environment is what `env_from`, `env_file` and `env` say, and whose it is; never what was for quell alone.
#[test]
#[serial]
fn a_worker_has_the_environment_that_it_is_given() {
    let folder = Folder::new();
    let file = folder.write("variables", "FROM_FILE=1\nBOTH=file\n");
    let print = "command = [\"/usr/bin/env\"]\nkind = \"oneshot\"\n";
    let workers = format!(
        "[worker.all]\n{print}[worker.none]\n{print}env_from = \"none\"\n\
         [worker.some]\n{print}env_from = [\"LANG*\"]\nenv_file = \"{}\"\nenv = {{ BOTH = \"env\" }}\n",
        file.display()
    );
    let mut command = quell();
    command.args(["up", "-c"]).arg(configure(&folder, &workers)).env_clear();
    let ours =
        [("LANGUAGE", "en"), ("SECRET", "x"), ("NOTIFY_SOCKET", "/x"), ("LISTEN_FDS", "1"), ("QUELL_CONFIG", "/x")];
    let mut up = Up::by(
        {
            command.envs(ours);
            command
        },
        folder,
    );
    up.until("all workers are up, done");
    up.down();
    let environment = |worker: &str| {
        let mut all = up.printed(worker);
        all.sort();
        let (own, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| one.starts_with("QUELL_"));
        let own: Vec<_> = own.iter().map(|one| one.split('=').next().unwrap().to_owned()).collect();
        assert_eq!(own, ["QUELL_SUPERVISOR", "QUELL_WORKER"], "{worker}");
        rest
    };
    assert_eq!(environment("all"), ["LANGUAGE=en", "SECRET=x"]);
    assert_eq!(environment("none"), [""; 0]);
    assert_eq!(environment("some"), ["BOTH=env", "FROM_FILE=1", "LANGUAGE=en"]);
}

/// F2: root goes by no configuration that others may write: neither at the start nor later.
#[test]
#[serial]
fn a_configuration_that_others_may_write() {
    let folder = Folder::new();
    let path = configure(&folder, "[worker.web]\ncommand = [\"sleep\", \"1000\"]\n");
    let may_write = |mode| set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    let is_root = nix::unistd::geteuid().is_root();
    may_write(0o666);
    if is_root {
        let refused = finish(quell().args(["up", "-c"]).arg(&path));
        assert_eq!(refused.code(), 1);
        assert!(refused.stderr.contains("everybody may write"), "{refused:?}");
        may_write(0o644);
    }
    let mut up = Up::of(folder, path.clone());
    up.ready("web");
    may_write(0o666);
    let reloaded = up.ask(&["reload"]);
    assert_eq!(reloaded.code(), i32::from(is_root), "{reloaded:?}");
    assert_eq!(reloaded.stderr.contains("everybody may write"), is_root, "{reloaded:?}");
    up.down();
}

/// F5: where the start fails, no socket is left behind.
#[test]
#[serial]
fn a_start_that_fails_leaves_no_socket() {
    let folder = Folder::new();
    let path = configure(&folder, "[worker.web]\ncommand = [\"sleep\", \"1000\"]\n");
    folder.write("log", "no folder");
    let mut up = Up::of(folder, path);
    up.until("cannot log to");
    assert!(!up.end().success());
    assert!(!names(&up.folder.join("state")).iter().any(|name| name.ends_with(".sock")));
}
