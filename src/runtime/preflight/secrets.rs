//! Who may read and write the configuration files, and what stands in them that not everybody should read.

use super::Scene;
use crate::config::report::{Report, Severity};
use crate::config::source::Place;
use crate::config::tables::Argv;
use crate::config::values::Store;
use crate::runtime::trust::{self, Writable, mode_and_owner};
use crate::sys::identity;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// What the names of secrets contain.
const SECRET: [&str; 6] = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "PRIVATE_KEY"];
/// How the names end of what says where a secret is, or how it is made.
const HARMLESS: [&str; 8] = ["_FILE", "_PATH", "_DIR", "_TTL", "_LENGTH", "_EXPIRY", "_TIMEOUT", "_NAME"];
const OTHERS_READ: u32 = 0o004;

/// Says which configuration files, and which of their folders, others may write.
pub(super) fn writable(scene: &mut Scene<'_>) {
    let mut said: Vec<PathBuf> = Vec::new();
    for file in 0..scene.files {
        let Some(Writable { path, who }) = trust::writable_by_others(&scene.path_of(file)) else { continue };
        if said.contains(&path) {
            continue;
        }
        let (shown, bits) = (path.display(), mode_and_owner(&path));
        let start = Place { file, start: 0, end: 0 };
        let (severity, harm) = match identity::ours() {
            0 => (Severity::Error, "anyone of them may run code as root"),
            _ => (Severity::Warning, "anyone of them may run code as this user"),
        };
        let report = Report { severity, ..Report::error(start, format!("{who} may write {shown} ({bits}): {harm}")) };
        scene.add(report.help(format!("chmod go-w {shown}")));
        said.push(path);
    }
}

/// Says which files that others may read hold secrets.
pub(super) fn readable(scene: &mut Scene<'_>) {
    let mut found: BTreeMap<u32, Vec<(Place, String)>> = BTreeMap::new();
    let mut secret = |place: Place, what: String| found.entry(place.file).or_default().push((place, what));
    let values = scene.values;
    for worker in scene.config.workers.iter().filter(|worker| worker.keys.enabled.value) {
        let keys = &worker.keys;
        for (name, value) in keys.env.value.0.iter() {
            let Some(key) = keys.env.place else { break };
            let place = values.entry(key, name);
            match credentials(&value.0) {
                _ if values.is_variable(place) => {}
                _ if is_secret(name, &value.0) => secret(place, format!("`{name}`")),
                true => secret(place, format!("the credentials in the URL of `{name}`")),
                false => {}
            }
        }
        let argv = keys.command.value.iter().flat_map(|Argv(argv)| argv.iter().enumerate());
        let words = argv.filter_map(|(at, word)| Some((values.item(keys.command.place?, at), word.0.as_str())));
        let shell = keys.shell.value.iter().filter_map(|shell| Some((values.of(keys.shell.place?), shell.0.as_str())));
        for (place, _) in words.chain(shell).filter(|(place, text)| credentials(text) && !values.is_variable(*place)) {
            secret(place, "the credentials in a URL of the command".into());
        }
    }
    for queue in &scene.config.queues {
        let (Store::Redis(url), Some(key)) = (&queue.keys.store.value, queue.keys.store.place) else { continue };
        if credentials(url) && !values.is_variable(values.of(key)) {
            secret(values.of(key), "the credentials in the URL of `store`".into());
        }
    }
    for (file, mut secrets) in found {
        secrets.sort();
        let path = scene.path_of(file);
        let open = std::fs::metadata(&path).is_ok_and(|found| found.mode() & OTHERS_READ != 0);
        let Some(((first, what), others)) = secrets.split_first().filter(|_| open) else { continue };
        let text = format!("everybody may read {what} here ({})", mode_and_owner(&path));
        let help = format!("chmod 600 {}, or move it to an `env_file` that others cannot read", scene.short(&path));
        let report = Report::warning(*first, text).help(help);
        scene.add(others.iter().fold(report, |report, (place, what)| report.also(*place, format!("and {what}"))));
    }
}

/// Whether a variable is a secret, by its name; switches and numbers are none, nor is where a secret is.
fn is_secret(name: &str, value: &str) -> bool {
    let upper = name.to_uppercase();
    let named = SECRET.iter().any(|word| upper.contains(word)) && !HARMLESS.iter().any(|end| upper.ends_with(end));
    let switch = ["true", "false", "yes", "no", "on", "off"].contains(&value.to_lowercase().as_str());
    let number = value.len() < 6 && value.bytes().all(|byte| byte.is_ascii_digit());
    named && !value.is_empty() && !switch && !number && !value.starts_with('/')
}

/// Whether a text holds a URL with a password: `scheme://user:password@`.
fn credentials(text: &str) -> bool {
    let authorities = text.split("://").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| c == '/' || c == '?' || c == '#' || c == '"' || c == '\'' || c.is_whitespace());
        rest[..end.unwrap_or(rest.len())].rsplit_once('@')
    });
    let password = |(user, _): (&str, &str)| user.split_once(':').map(|(_, password)| password.to_owned());
    authorities.filter_map(password).any(|password| !password.is_empty() && !password.starts_with('$'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets() {
        for name in ["DB_PASSWORD", "stripe_api_key", "SECRET", "GITHUB_TOKEN", "MYSQL_PASSWD", "SSH_PRIVATE_KEY"] {
            assert!(is_secret(name, "hunter2"), "{name}");
        }
        let harmless =
            [("DB_PASSWORD_FILE", "x"), ("MAX_TOKENS", "4096"), ("PASSWORD_LOGIN", "false"), ("DB_USER", "shop")];
        for (name, value) in harmless {
            assert!(!is_secret(name, value), "{name}");
        }
        assert!(!is_secret("TLS_SECRET", "/run/secrets/tls") && !is_secret("TOKEN", ""));
    }

    #[test]
    fn credentials_in_urls() {
        for text in ["postgres://shop:pw@db/x", "--url=redis://:pw@h:6379/0", "curl 'http://a:b@c/d' >x"] {
            assert!(credentials(text), "{text}");
        }
        for text in ["http://host:80/a@b:c", "http://user@host/", "git@host:repo", "http://u:$PASS@h", "a://b c:d@e"] {
            assert!(!credentials(text), "{text}");
        }
    }
}
