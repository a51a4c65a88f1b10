//! Where the values of keys are written: what was decoded has the places of its keys alone.

use crate::config::load::Loaded;
use crate::config::report::Severity;
use crate::config::source::{Place, Sources};
use crate::config::syntax::{self, Document, Node};
use crate::config::whole::{Whole, whole};
use std::collections::HashMap;
use toml::de::{DeTable, DeValue};

/// The texts of the configuration files, as far as they can be read.
pub(super) fn readable(texts: &Sources, files: u32) -> Vec<Whole<'_>> {
    (0..files).map(|file| whole(&texts.get(file).text)).collect()
}

/// Their trees.
pub(super) fn documents<'a>(texts: &'a [Whole<'_>]) -> Vec<Document<'a>> {
    (0..).zip(texts).map(|(file, whole)| syntax::parse(file, &whole.text)).collect()
}

/// The values in those trees, by the places of their keys.
pub(super) struct Values<'a> {
    texts: &'a Sources,
    nodes: HashMap<(u32, usize), &'a Node<'a>>,
    /// What was wrong already, or could not be known.
    unsound: Vec<Place>,
}

impl<'a> Values<'a> {
    pub(super) fn new(texts: &'a Sources, documents: &'a [Document<'a>], loaded: &Loaded) -> Values<'a> {
        let wrong = loaded.reports.iter().filter(|report| report.severity == Severity::Error);
        let unset = loaded.unset.iter().map(|(_, place)| *place);
        let unsound = wrong.map(|report| report.place).chain(unset).collect();
        let mut values = Values { texts, nodes: HashMap::new(), unsound };
        for (file, document) in (0..).zip(documents) {
            values.add(file, &document.root);
        }
        values
    }

    fn add(&mut self, file: u32, table: &'a DeTable<'a>) {
        for (key, value) in table {
            // A key that stands for a table is met once more where the table goes on; the first one is known.
            self.nodes.entry((file, key.span().start)).or_insert(value);
            self.add_inside(file, value);
        }
    }

    fn add_inside(&mut self, file: u32, node: &'a Node<'a>) {
        match node.get_ref() {
            DeValue::Table(inner) => self.add(file, inner),
            DeValue::Array(items) => items.iter().for_each(|item| self.add_inside(file, item)),
            _ => {}
        }
    }

    fn node(&self, key: Place) -> Option<&'a Node<'a>> {
        self.nodes.get(&(key.file, key.start as usize)).copied()
    }

    /// The place of a key's value; that of the key where there is none.
    pub(super) fn of(&self, key: Place) -> Place {
        self.node(key).map_or(key, |node| Place::new(key.file, node.span()))
    }

    /// The place of one of a list's items.
    pub(super) fn item(&self, key: Place, at: usize) -> Place {
        let item = self.node(key).and_then(|node| node.get_ref().as_array()?.get(at));
        item.map_or_else(|| self.of(key), |item| Place::new(key.file, item.span()))
    }

    /// The place of the value of one of a table's keys.
    pub(super) fn entry(&self, key: Place, name: &str) -> Place {
        let entry = self.node(key).and_then(|node| node.get_ref().as_table()?.get(name));
        entry.map_or_else(|| self.of(key), |value| Place::new(key.file, value.span()))
    }

    /// Whether a table has a key of this name.
    pub(super) fn has_entry(&self, key: Place, name: &str) -> bool {
        self.node(key).and_then(|node| node.get_ref().as_table()).is_some_and(|table| table.contains_key(name))
    }

    /// What is written at a place.
    pub(super) fn raw(&self, place: Place) -> &'a str {
        &self.texts.get(place.file).text[place.bytes()]
    }

    /// Whether a value comes from a variable, at least in part.
    pub(super) fn is_variable(&self, place: Place) -> bool {
        self.raw(place).contains("${")
    }

    /// Whether nothing was wrong with a key's value; what is not set is right.
    pub(super) fn is_sound(&self, key: Option<Place>) -> bool {
        let Some(key) = key else { return true };
        self.node(key).is_none_or(|node| !self.has_unsound(key.file, node))
    }

    /// Whether a place lies within a key's value.
    pub(super) fn holds(&self, key: Place, place: Place) -> bool {
        key.file == place.file && self.node(key).is_some_and(|node| holds(node, place))
    }

    fn has_unsound(&self, file: u32, node: &Node<'_>) -> bool {
        self.unsound.iter().any(|place| place.file == file && holds(node, *place))
    }
}

/// Whether a place meets a value, or one inside it: a table stands in more pieces than its header.
fn holds(node: &Node<'_>, place: Place) -> bool {
    let (start, end) = (place.start as usize, place.end as usize);
    let meets = |span: std::ops::Range<usize>| span.start < end && start < span.end;
    match node.get_ref() {
        DeValue::Table(inner) => inner.iter().any(|(key, value)| meets(key.span()) || holds(value, place)),
        DeValue::Array(items) => meets(node.span()) || items.iter().any(|item| holds(item, place)),
        _ => meets(node.span()),
    }
}
