//! What the user writes, made into checked values. Pure.
//!
//! `load` reads files and merges them; `syntax` makes a tree with places of each, `decode` checks the tree against the one
//! table of keys (`tables`, whose mechanism is `keys`, and whose values' types are `typed` and `values`), `meaning` checks
//! the whole. Each mistake is one `report`.

pub mod decode;
pub mod keys;
pub mod kind;
pub mod load;
pub mod meaning;
pub mod name;
pub mod policy;
pub mod report;
pub mod source;
pub mod syntax;
pub mod tables;
pub mod typed;
pub mod unit;
pub mod values;
