//! What the user writes, made into checked values. Pure.
//!
//! `load` reads files and merges them; `whole` and `syntax` make a tree with places of each, `decode` checks the tree
//! against the one table of keys (`tables`, whose mechanism is `keys`, and whose values' types are `typed` and `values`),
//! `meaning` checks the whole. Each mistake is one `report`.
//!
//! From the same table come `explain`, `init`, the `schema`, and the `reference` page; `plan` compares two configurations.
//! `import` translates other programs' files.

pub mod decode;
pub mod explain;
pub mod import;
pub mod init;
pub mod keys;
pub mod kind;
pub mod load;
pub mod meaning;
pub mod name;
pub mod plan;
pub mod policy;
pub mod print;
pub mod reference;
pub mod report;
pub mod schema;
pub mod source;
pub mod syntax;
pub mod tables;
pub mod typed;
pub mod unit;
pub mod values;
pub mod whole;
