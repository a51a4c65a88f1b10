use super::home;
use std::path::Path;

fn json(path: &Path) -> Option<serde_json::Value> {
    let text = String::from_utf8(std::fs::read(path).unwrap()).ok()?;
    serde_json::to_value(text.parse::<toml::Table>().ok()?).ok()
}

#[test]
fn survey() {
    let validator = jsonschema::validator_for(&quell::config::schema::schema()).unwrap();
    let mut dirs: Vec<_> = std::fs::read_dir(home().join("tests/config/mistakes")).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    dirs.sort();
    for dir in dirs {
        let name = dir.file_name().unwrap().to_str().unwrap();
        match json(&dir.join("quell.toml")) {
            None => eprintln!("NOTTOML {name}"),
            Some(value) => match validator.iter_errors(&value).next() {
                Some(e) => eprintln!("SEEN {name}: {} at {}", e.to_string().chars().take(150).collect::<String>(), e.instance_path()),
                None => eprintln!("UNSEEN {name}"),
            },
        }
    }
    for name in ["minimal.toml", "web.toml", "queues.toml", "conf.d-main.toml", "conf.d/reports.toml", "conf.d/shop.toml", "everything.toml", "everything.d/tasks.toml", "example.toml"] {
        let value = json(&home().join("tests/config/valid").join(name)).unwrap();
        for e in validator.iter_errors(&value) { eprintln!("VALID {name}: {e} at {}", e.instance_path()); }
    }
}
