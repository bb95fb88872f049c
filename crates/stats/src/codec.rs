//! Varints, and the cursor that reads them from bytes nobody vouches for. What the numbers mean is said where they are written.

use crate::CodecError;

/// Appends a number in groups of seven bits, the lowest first; a set high bit says that more follow.
#[inline]
pub(crate) fn put_varint(mut value: u64, blob: &mut Vec<u8>) {
    while value >= 0x80 {
        blob.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    blob.push(value as u8);
}

/// Reads a blob from its beginning. Every read says where it failed.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    blob: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(blob: &'a [u8]) -> Self {
        Self { blob, at: 0 }
    }

    /// How many bytes were read.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub(crate) fn remaining(&self) -> usize {
        self.blob.len() - self.at
    }

    /// The error of finding `what` at the present place.
    pub(crate) fn error(&self, what: &'static str) -> CodecError {
        CodecError { at: self.at, what }
    }

    pub(crate) fn byte(&mut self) -> Result<u8, CodecError> {
        let byte = *self.blob.get(self.at).ok_or_else(|| self.error("it ends too early"))?;
        self.at += 1;
        Ok(byte)
    }

    /// A varint in its only form: no zero group at its end, nothing beyond 64 bits. So equal numbers are equal bytes.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, CodecError> {
        match self.blob.get(self.at) {
            // nearly all numbers of a blob are below 128
            Some(&byte @ 0..0x80) => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, CodecError> {
        let mut value = 0;
        let mut shift = 0;
        loop {
            let byte = self.byte()?;
            let group = u64::from(byte & 0x7f);
            if shift == 63 && byte > 1 {
                return Err(self.error("a number above 64 bits"));
            }
            value |= group << shift;
            if byte < 0x80 {
                return if byte == 0 && shift > 0 {
                    Err(self.error("a number longer than needed"))
                } else {
                    Ok(value)
                };
            }
            shift += 7;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn varints_have_one_form() {
        for (value, bytes) in [
            (0, &[0][..]),
            (1, &[1]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            (300, &[0xac, 2]),
            (u64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ] {
            let mut blob = Vec::new();
            put_varint(value, &mut blob);
            assert_eq!(blob, bytes, "{value}");
            assert_eq!(Reader::new(bytes).varint(), Ok(value));
        }
        for bytes in [
            &[][..],
            &[0x80],
            &[0x80, 0],
            &[0xff, 0x80, 0],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0],
        ] {
            assert!(Reader::new(bytes).varint().is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn varints_come_back(value: u64, shift in 0..64_u32) {
            let value = value >> shift;
            let mut blob = Vec::new();
            put_varint(value, &mut blob);
            let mut reader = Reader::new(&blob);
            prop_assert_eq!(reader.varint(), Ok(value));
            prop_assert_eq!(reader.remaining(), 0);
        }

        #[test]
        fn any_bytes_are_a_number_in_this_form_or_an_error(bytes: [u8; 12]) {
            let mut reader = Reader::new(&bytes);
            if let Ok(value) = reader.varint() {
                let mut blob = Vec::new();
                put_varint(value, &mut blob);
                prop_assert_eq!(&blob, &bytes[..reader.position()]);
            }
        }
    }
}
