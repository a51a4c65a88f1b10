//! The JSON schema of the configuration, for editors (taplo's `#:schema`), made from the table of keys.

use super::keys::{Builtin, Key, Table};
use super::kind::Kind;
use super::tables::{Log, Quell, Queue, Test, Top, Worker};
use serde_json::{Map, Value, json};

/// The schema (JSON Schema draft 7, which editors know).
#[must_use]
pub fn schema() -> Value {
    let named =
        |table: Value| json!({ "type": "object", "additionalProperties": table, "propertyNames": { "pattern": NAME } });
    let mut worker = table(Worker::KEYS);
    worker["properties"]["log"] = table(Log::KEYS);
    // What to run is said in one of two ways.
    worker["required"] = json!([]);
    worker["oneOf"] = json!([{ "required": ["command"] }, { "required": ["shell"] }]);
    let mut top = table(Top::KEYS);
    let properties = [
        ("quell", table(Quell::KEYS)),
        ("log", table(Log::KEYS)),
        ("worker", named(worker)),
        ("queue", named(table(Queue::KEYS))),
        ("test", json!({ "type": "array", "items": table(Test::KEYS) })),
    ];
    for (name, schema) in properties {
        top["properties"][name] = schema;
    }
    top["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    top["title"] = json!("quell's configuration");
    top
}

/// What a worker or a queue can be called.
const NAME: &str = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$";

fn table(keys: &'static [Key]) -> Value {
    let property = |key: &Key| {
        let mut schema = kind(&key.kind);
        if !key.about.is_empty() {
            schema["description"] = json!(key.about);
        }
        if let Some(value) = default(key.builtin) {
            schema["default"] = value;
        }
        (key.name.to_owned(), schema)
    };
    let properties: Map<_, _> = keys.iter().map(property).collect();
    let required: Vec<_> = keys.iter().filter(|key| key.builtin == Builtin::Required).map(|key| key.name).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn kind(of: &Kind) -> Value {
    match of {
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Integer(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Text(form) => json!({ "type": "string", "pattern": form.pattern }),
        // A variable can stand for any of the words.
        Kind::Choice(words) => json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": "[$]" }] }),
        Kind::List(item) => json!({ "type": "array", "items": kind(item) }),
        Kind::Map(value) => {
            let names = json!({ "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" });
            json!({ "type": "object", "additionalProperties": kind(value), "propertyNames": names })
        }
        Kind::Table(keys) => table(keys),
        Kind::OneOf(kinds) => json!({ "anyOf": kinds.iter().map(kind).collect::<Vec<_>>() }),
    }
}

/// A built-in value as JSON.
fn default(builtin: Builtin) -> Option<Value> {
    let Builtin::Value(text) = builtin else { return None };
    let table: toml::Table = format!("x = {text}").parse().ok()?;
    serde_json::to_value(table.get("x")?).ok()
}
