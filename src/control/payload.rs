//! What is to be done, as messages carry it: a JSON string where it is UTF-8, `{"base64":"…"}` where it is not.

use serde::de::{Deserializer, Error};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A task's payload: bytes, which only whoever put it and the worker understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload(Box<[u8]>);

/// How it is written.
#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields, expecting = "a payload is a text, or {\"base64\":\"…\"}")]
enum Written<'a> {
    Text(Cow<'a, str>),
    Base64 { base64: Cow<'a, str> },
}

impl Payload {
    /// The beginning of these bytes, at most so many; a text is cut between two characters.
    #[must_use]
    pub fn head(bytes: &[u8], bytes_max: usize) -> Payload {
        let head = &bytes[..bytes.len().min(bytes_max)];
        match std::str::from_utf8(head) {
            // The last character was cut in two.
            Err(e) if e.error_len().is_none() && head.len() < bytes.len() => head[..e.valid_up_to()].into(),
            _ => head.into(),
        }
    }

    /// It itself.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Payload {
        Payload(bytes.into())
    }
}

impl From<Payload> for Box<[u8]> {
    fn from(payload: Payload) -> Box<[u8]> {
        payload.0
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => Written::Text(text.into()),
            Err(_) => Written::Base64 { base64: encode(&self.0).into() },
        }
        .serialize(to)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Payload, D::Error> {
        match Written::deserialize(from)? {
            Written::Text(text) => Ok(text.as_bytes().into()),
            Written::Base64 { base64 } => {
                let bytes = decode(&base64).map(|bytes| Payload(bytes.into()));
                bytes.ok_or_else(|| D::Error::custom("this is no base64; RFC 4648 has it, section 4"))
            }
        }
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 (RFC 4648, section 4): three bytes are four digits of six bits each; where bytes lack, `=` stands for digits.
fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        text.extend((0..4).map(|at| match at <= three.len() {
            true => char::from(DIGITS[(bits >> (18 - 6 * at)) as usize % 64]),
            false => '=',
        }));
    }
    text
}

/// The bytes; none where the text is not exactly what they are encoded to.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let digit = |at| four.get(at).map_or(Some(0), |digit| value(*digit));
        let bits = (digit(0)? << 18) | (digit(1)? << 12) | (digit(2)? << 6) | digit(3)?;
        bytes.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    (encode(&bytes) == text).then_some(bytes)
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::frame::json_bytes;
    use proptest::prelude::*;

    #[track_caller]
    fn check(bytes: &[u8], json: &str) {
        let payload = Payload::from(bytes);
        assert_eq!(serde_json::to_string(&payload).unwrap(), json);
        assert_eq!(serde_json::from_str::<Payload>(json).unwrap(), payload);
        assert_eq!(json_bytes(&payload), json.len());
    }

    #[test]
    fn text_and_bytes() {
        check(b"", r#""""#);
        check("a \"é\"\n\0".as_bytes(), r#""a \"é\"\n\u0000""#);
        check(b"\xff", r#"{"base64":"/w=="}"#);
        check(b"\xff\xfe", r#"{"base64":"//4="}"#);
        check(b"\xff\xfe\xfd>", r#"{"base64":"//79Pg=="}"#);
        // Others may write a text so, too.
        assert_eq!(serde_json::from_str::<Payload>(r#"{"base64":"aGk="}"#).unwrap(), b"hi"[..].into());
    }

    #[test]
    fn what_is_refused() {
        for text in ["_w==", "/w", "/w=", "/w===", "/x==", "/w==/w==", "A", "A===", "====", " /w==", "/w==\n"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
        for json in ["3", "null", "[1]", "{}", r#"{"base64":"!"}"#, r#"{"base64":"","text":""}"#] {
            assert!(serde_json::from_str::<Payload>(json).is_err(), "{json}");
        }
        let error = serde_json::from_str::<Payload>("3").unwrap_err().to_string();
        assert!(error.starts_with("a payload is a text, or {\"base64\":"), "{error}");
    }

    #[test]
    fn beginnings() {
        let head = |bytes: &[u8], most| Payload::head(bytes, most).as_bytes().to_vec();
        assert_eq!(head(b"abc", 3), b"abc");
        assert_eq!(head(b"abc", 2), b"ab");
        assert_eq!(head("aé".as_bytes(), 2), b"a");
        assert_eq!(head(b"\xff\xc3\xa9", 2), b"\xff\xc3", "what is no text is cut anywhere");
        assert_eq!(head(b"a\xc3", 2), b"a\xc3", "and so is what is not cut");
    }

    proptest! {
        #[test]
        fn base64_and_back(bytes in prop::collection::vec(any::<u8>(), 0..50)) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn each_payload_has_one_base64(text in "[A-D+/=]{0,9}") {
            if let Some(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
