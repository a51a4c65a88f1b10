//! A configuration as TOML: what is set, in one file, such that loading it gives the same configuration.

use super::keys::{Key, Shown, Table};
use super::load::Config;
use super::tables::{Log, Quell, Queue, Test, Worker};
use super::typed::quote;
use std::fmt::Write;

/// Prints what is set.
#[must_use]
pub fn print(config: &Config) -> String {
    let mut text = String::new();
    let mut table = |title: &str, keys: &'static [Key], fields: Vec<&dyn Shown>| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{title}");
        set("", keys, &fields, &mut text);
        text.push('\n');
    };
    table("[quell]", Quell::KEYS, config.quell.fields());
    table("[log]", Log::KEYS, config.log.fields());
    for (worker, log) in config.workers.iter().zip(&config.logs) {
        let name = key(&worker.name);
        table(&format!("[worker.{name}]"), Worker::KEYS, worker.keys.fields());
        table(&format!("[worker.{name}.log]"), Log::KEYS, log.own.fields());
    }
    for queue in &config.queues {
        table(&format!("[queue.{}]", key(&queue.name)), Queue::KEYS, queue.keys.fields());
    }
    for test in &config.tests {
        table("[[test]]", Test::KEYS, test.0.fields());
    }
    text
}

fn set(prefix: &str, keys: &'static [Key], fields: &[&dyn Shown], text: &mut String) {
    for (key, field) in keys.iter().zip(fields) {
        let name = format!("{prefix}{}", key.name);
        match field.inside() {
            Some((keys, fields)) => set(&format!("{name}."), keys, &fields, text),
            None if field.place().is_some() => {
                let _ = writeln!(text, "{name} = {}", field.print());
            }
            None => {}
        }
    }
}

/// A name as a key: in quotes where it holds a dot.
fn key(name: &str) -> String {
    if name.contains('.') { quote(name) } else { name.to_owned() }
}
