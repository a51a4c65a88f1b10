//! The checksum of a stored task: CRC-32 (ISO 3309, as in zlib) over all of it that never changes.

use crate::task::{Class, TaskId};

/// The polynomial, its bits reversed.
const POLYNOMIAL: u32 = 0xEDB8_8320;
const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut rest = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            rest = if rest & 1 == 1 { (rest >> 1) ^ POLYNOMIAL } else { rest >> 1 };
            bit += 1;
        }
        table[byte] = rest;
        byte += 1;
    }
    table
}

/// What is summed: a task as it was put. The texts are bytes here, since damage may leave no text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Summed<'a> {
    pub(super) id: TaskId,
    pub(super) class: Class,
    pub(super) put_us: i64,
    pub(super) trace: Option<&'a [u8]>,
    pub(super) payload: &'a [u8],
}

impl Summed<'_> {
    /// Its checksum.
    pub(super) fn sum(&self) -> u32 {
        // How long the trace is, so that no byte of it can be taken for one of the payload; nought is for none.
        let trace_mark = self.trace.map_or(0, |trace| trace.len() as u64 + 1);
        let parts: [&[u8]; 6] = [
            &self.id.0.to_le_bytes(),
            &self.put_us.to_le_bytes(),
            self.class.word().as_bytes(),
            &trace_mark.to_le_bytes(),
            self.trace.unwrap_or_default(),
            self.payload,
        ];
        !parts.iter().fold(u32::MAX, |crc, part| extend(crc, part))
    }
}

fn extend(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, byte| (crc >> 8) ^ TABLE[((crc ^ u32::from(*byte)) & 0xFF) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_known_function() {
        assert_eq!(!extend(u32::MAX, b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn every_part_counts() {
        let whole = Summed { id: TaskId(7), class: Class::Low, put_us: 5, trace: Some(b"t"), payload: b"body" };
        let others = [
            Summed { id: TaskId(8), ..whole },
            Summed { class: Class::High, ..whole },
            Summed { put_us: 6, ..whole },
            Summed { trace: None, ..whole },
            Summed { trace: Some(b""), ..whole },
            Summed { trace: Some(b"tb"), payload: b"ody", ..whole },
            Summed { payload: b"bodY", ..whole },
        ];
        assert!(others.iter().all(|other| other.sum() != whole.sum()));
    }
}
