//! A request for tasks: what is to go into a queue, and how it is cut where one request cannot carry it.

use super::frame::{REQUEST_BYTES_MAX, TooLarge, json_bytes};
use super::payload::Payload;
use super::request::{Name, Patience, Request, checked_text};
use crate::task::Class;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 256;

/// Tasks for a queue: all of them are put, or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Put {
    /// The queue.
    pub queue: Name,
    /// How urgent they are.
    #[serde(default)]
    pub class: Class,
    /// What makes it the same task as another; then there is one payload.
    #[serde(default)]
    pub key: Option<Key>,
    /// They are not due before so many milliseconds have passed.
    #[serde(default)]
    pub delay_ms: Option<u64>,
    /// Which trace they belong to.
    #[serde(default)]
    pub trace: Option<Trace>,
    /// What is to be done; each is a task.
    pub payloads: Vec<Payload>,
    /// Until all of them are done or buried.
    #[serde(default)]
    pub patience: Patience,
}

/// What a task is about, where a queue is not to hold two for that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// A name for it.
    pub key: String,
    /// What becomes of a second one.
    #[serde(default)]
    pub on: OnKey,
}

/// What becomes of a task where the queue holds another with its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnKey {
    /// It is left out while the other waits, is delayed or runs.
    #[default]
    DropNew,
    /// The other goes, unless it runs.
    Replace,
}

/// The place in a trace that a task comes from (W3C Trace Context, `traceparent`): `00-<32>-<16>-<2>` in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Trace(String);

impl Put {
    /// Holds what the parts of a put have to do with each other.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        let key_bytes = self.key.as_ref().map(|key| key.key.len());
        match (key_bytes, self.payloads.len()) {
            (_, 0) => Err("tasks without payloads? name at least one".into()),
            (Some(0), _) => Err("a key has at least one character".into()),
            (Some(bytes), _) if bytes > KEY_BYTES_MAX => Err(format!("a key has at most {KEY_BYTES_MAX} bytes")),
            (Some(_), 2..) => Err("a key names one task: put one payload with it".into()),
            _ => Ok(()),
        }
    }

    /// As many puts as there must be for each to fit into a request, with the payloads in their order.
    ///
    /// # Errors
    /// One payload alone does not fit.
    pub fn split(mut self) -> Result<Vec<Put>, TooLarge> {
        let payloads = std::mem::take(&mut self.payloads);
        let head_bytes = json_bytes(&Request::Put(self.clone()));
        let (mut puts, mut bytes): (Vec<Put>, usize) = (Vec::new(), usize::MAX);
        for payload in payloads {
            let more = json_bytes(&payload);
            if head_bytes.saturating_add(more) > REQUEST_BYTES_MAX {
                return Err(TooLarge { bytes: head_bytes + more, bytes_max: REQUEST_BYTES_MAX });
            }
            // Before all but the first there is a comma.
            bytes = bytes.saturating_add(1).saturating_add(more);
            if bytes > REQUEST_BYTES_MAX {
                bytes = head_bytes + more;
                puts.push(self.clone());
            }
            puts.last_mut().expect("the first one begins a put").payloads.push(payload);
        }
        Ok(puts)
    }
}

impl FromStr for OnKey {
    type Err = String;

    fn from_str(text: &str) -> Result<OnKey, String> {
        match text {
            "drop-new" => Ok(OnKey::DropNew),
            "replace" => Ok(OnKey::Replace),
            _ => Err(format!("{text:?}? write drop-new or replace")),
        }
    }
}

impl TryFrom<String> for Trace {
    type Error = String;

    fn try_from(text: String) -> Result<Trace, String> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let parts: Vec<_> = text.split('-').collect();
        let is_hex = |(part, digits): (&&str, usize)| part.len() == digits && part.bytes().all(is_digit);
        match parts.len() == 4 && parts.iter().zip([2, 32, 16, 2]).all(is_hex) {
            true => Ok(Trace(text)),
            false => Err(format!("{text:?} is no traceparent; it is 00-<32>-<16>-<2> in lower hexadecimal digits")),
        }
    }
}

checked_text!(Trace);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::frame::encode;
    use proptest::prelude::*;

    fn put(payloads: &[&[u8]]) -> Put {
        Put {
            queue: "thumbs".parse().unwrap(),
            class: Class::Normal,
            key: None,
            delay_ms: None,
            trace: None,
            payloads: payloads.iter().map(|bytes| (*bytes).into()).collect(),
            patience: Patience::default(),
        }
    }

    fn keyed(key: &str, payloads: &[&[u8]]) -> Put {
        Put { key: Some(Key { key: key.into(), on: OnKey::Replace }), ..put(payloads) }
    }

    #[test]
    fn what_goes_together() {
        assert_eq!(put(&[b"a", b"b"]).check(), Ok(()));
        assert_eq!(keyed("k", &[b"a"]).check(), Ok(()));
        assert_eq!(keyed(&"k".repeat(KEY_BYTES_MAX), &[b"a"]).check(), Ok(()));
        assert!(put(&[]).check().is_err() && keyed("", &[b"a"]).check().is_err());
        assert!(keyed("k", &[b"a", b"b"]).check().is_err());
        assert!(keyed(&"k".repeat(KEY_BYTES_MAX + 1), &[b"a"]).check().is_err());
    }

    #[test]
    fn traces() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(trace.parse::<Trace>().unwrap().as_str(), trace);
        for wrong in ["", "-", "00", &trace[1..], &trace.to_uppercase(), &format!("{trace}-x"), &format!("{trace}\n")] {
            assert!(wrong.parse::<Trace>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_fits_by_a_byte() {
        let head_bytes = json_bytes(&Request::Put(put(&[])));
        // Two quotes.
        let fits = vec![b'x'; REQUEST_BYTES_MAX - head_bytes - 2];
        assert_eq!(put(&[&fits]).split().unwrap().len(), 1);
        assert_eq!(put(&[&fits, b""]).split().unwrap().len(), 2);
        let more = [&fits[..], b"x"].concat();
        let bytes = REQUEST_BYTES_MAX + 1;
        assert_eq!(put(&[b"a", &more]).split(), Err(TooLarge { bytes, bytes_max: REQUEST_BYTES_MAX }));
        // Two quotes and the comma.
        let (most, least) = fits.split_at(fits.len() - 3);
        assert_eq!(put(&[most, b""]).split().unwrap().len(), 1);
        assert_eq!(put(&[most, &least[..1]]).split().unwrap().len(), 2);
        assert_eq!(put(&[]).split().unwrap(), []);
    }

    proptest! {
        /// F3: whatever is put, each request fits, none is empty, and together they are what was put.
        #[test]
        fn each_request_fits(sizes in prop::collection::vec((0usize..30_000, any::<u8>()), 0..12)) {
            let payloads: Vec<_> = sizes.iter().map(|(size, byte)| vec![*byte; *size / 6]).collect();
            let whole = put(&payloads.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let puts = whole.clone().split().unwrap();
            for put in &puts {
                prop_assert!(!put.payloads.is_empty());
                prop_assert!(encode(&Request::Put(put.clone()), REQUEST_BYTES_MAX, &mut Vec::new()).is_ok());
            }
            let together: Vec<_> = puts.into_iter().flat_map(|put| put.payloads).collect();
            prop_assert_eq!(together, whole.payloads);
        }
    }
}
