//! How messages follow each other on a stream: the length of each, four bytes, little-endian, then its JSON.

use serde::Serialize;

/// The largest request, in bytes of JSON.
pub const REQUEST_BYTES_MAX: usize = 64 << 10;
/// The largest reply.
pub const REPLY_BYTES_MAX: usize = 16 << 20;
/// What stands before each message.
pub const HEAD_BYTES: usize = 4;

/// A message was announced, or made, that is larger than it may be. The stream cannot be read on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {bytes} bytes; the limit is {bytes_max}")]
pub struct TooLarge {
    /// Its size.
    pub bytes: usize,
    /// The largest allowed.
    pub bytes_max: usize,
}

/// Cuts a stream into messages, however it arrives. It holds what has arrived and no more, whatever was announced.
#[derive(Debug)]
pub struct Decoder {
    held: Vec<u8>,
    /// How much of it was given out.
    taken: usize,
    bytes_max: usize,
}

impl Decoder {
    /// One for messages of at most `bytes_max` bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Decoder {
        Decoder { held: Vec::new(), taken: 0, bytes_max }
    }

    /// Takes in what has arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.held.drain(..self.taken);
        self.taken = 0;
        self.held.extend_from_slice(bytes);
    }

    /// The next whole message, if there is one.
    ///
    /// # Errors
    /// One is announced that is too large; again at each call.
    pub fn message(&mut self) -> Result<Option<&[u8]>, TooLarge> {
        let Some((head, rest)) = self.held[self.taken..].split_first_chunk::<HEAD_BYTES>() else {
            self.rest();
            return Ok(None);
        };
        let bytes = u32::from_le_bytes(*head) as usize;
        if bytes > self.bytes_max {
            return Err(TooLarge { bytes, bytes_max: self.bytes_max });
        }
        if rest.len() < bytes {
            return Ok(None);
        }
        let start = self.taken + HEAD_BYTES;
        self.taken = start + bytes;
        Ok(Some(&self.held[start..self.taken]))
    }

    /// How many bytes stand here that were not given out.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len() - self.taken
    }

    /// Whether there is no room for more until messages are taken: the longest one is here, or more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.held() >= self.bytes_max + HEAD_BYTES
    }

    /// Holds no memory while there is nothing to hold.
    fn rest(&mut self) {
        if self.held() == 0 {
            self.held = Vec::new();
            self.taken = 0;
        }
    }
}

/// How many bytes a message, or a part of one, has as JSON.
///
/// # Panics
/// As `encode`.
#[must_use]
pub fn json_bytes(message: &impl Serialize) -> usize {
    serde_json::to_vec(message).expect("messages are plain data").len()
}

/// Adds a message to a stream.
///
/// # Errors
/// It is too large; then the stream is as it was.
///
/// # Panics
/// If it has no JSON, as a map with keys that are no text.
pub fn encode(message: &impl Serialize, bytes_max: usize, stream: &mut Vec<u8>) -> Result<(), TooLarge> {
    let start = stream.len();
    stream.extend_from_slice(&[0; HEAD_BYTES]);
    serde_json::to_writer(&mut *stream, message).expect("messages are plain data");
    let bytes = stream.len() - start - HEAD_BYTES;
    if bytes > bytes_max {
        stream.truncate(start);
        return Err(TooLarge { bytes, bytes_max });
    }
    stream[start..start + HEAD_BYTES].copy_from_slice(&(bytes as u32).to_le_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn empty_half_and_huge_ones() {
        let mut decoder = Decoder::new(8);
        let next = |decoder: &mut Decoder| (decoder.message().map(|found| found.map(<[u8]>::to_vec)), decoder.held());
        assert_eq!(next(&mut decoder), (Ok(None), 0));
        decoder.push(&[0, 0, 0, 0, 2, 0]);
        assert_eq!(next(&mut decoder), (Ok(Some(vec![])), 2), "F6: an empty one is one");
        assert_eq!(next(&mut decoder), (Ok(None), 2));
        decoder.push(&[0, 0, b'h']);
        assert_eq!(next(&mut decoder), (Ok(None), 5));
        decoder.push(b"i");
        assert_eq!(next(&mut decoder), (Ok(Some(b"hi".to_vec())), 0));
        decoder.push(&[9, 0, 0, 0]);
        let huge = Err(TooLarge { bytes: 9, bytes_max: 8 });
        assert_eq!(next(&mut decoder), (huge.clone(), 4), "F3: before a byte of it is taken");
        assert_eq!(next(&mut decoder), (huge, 4));
    }

    #[test]
    fn what_is_too_large_is_not_sent() {
        let mut stream = vec![7];
        assert_eq!(encode(&"12345", 6, &mut stream), Err(TooLarge { bytes: 7, bytes_max: 6 }));
        assert_eq!(stream, [7]);
        encode(&"1234", 6, &mut stream).unwrap();
        assert_eq!(stream, b"\x07\x06\0\0\0\"1234\"");
    }

    proptest! {
        /// F6: any cutting of the stream gives the same messages.
        #[test]
        fn messages_do_not_depend_on_reads(
            messages in prop::collection::vec("[a-z]{0,40}", 0..8),
            reads in prop::collection::vec(1usize..20, 1..8),
        ) {
            let mut stream = Vec::new();
            for message in &messages {
                encode(message, 100, &mut stream).unwrap();
            }
            let (mut decoder, mut found, mut unread) = (Decoder::new(100), Vec::new(), &stream[..]);
            for bytes in reads.iter().cycle() {
                while let Some(message) = decoder.message().unwrap() {
                    found.push(serde_json::from_slice::<String>(message).unwrap());
                }
                if unread.is_empty() {
                    break;
                }
                let (now, later) = unread.split_at(unread.len().min(*bytes));
                decoder.push(now);
                unread = later;
            }
            prop_assert_eq!((found, decoder.held()), (messages, 0));
        }
    }
}
