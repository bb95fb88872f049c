//! The reader of compressed logs: any bytes are safe, and a damaged file never passes for a whole one.

use std::io::{self, Read as _, Write as _};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use log_processor::tail::disk::{FileStat, LogFile, read_full};
use log_processor::tail::gzip::{Decompressed, Gzip, inspect};

/// Pieces of gzip files.
pub const TOKENS: &[&[u8]] = &[
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff",
    b"\x1f\x8b\x08\x08",
    b"\x1f\x8b",
    b"\x1f\x8b\x08\xff",
    b"\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    b"\x4b\x4c\xe4\x02\x00",
    b"\x01\x02\x00\xfd\xff",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
];

/// A file in memory. A read gives at most as many bytes as `read_bytes`, as a disk may.
#[derive(Clone, Debug)]
struct Memory {
    bytes: Vec<u8>,
    read_bytes: usize,
}

impl LogFile for Memory {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset).map_or(self.bytes.len(), |offset| offset.min(self.bytes.len()));
        let length = buffer.len().min(self.read_bytes).min(self.bytes.len() - from);
        buffer[..length].copy_from_slice(&self.bytes[from..from + length]);
        Ok(length)
    }

    fn stat(&self) -> io::Result<FileStat> {
        Ok(FileStat { id: (1, 1), size: self.bytes.len() as u64, modified_nanos: 0 })
    }
}

/// Any bytes as a `.gz`: what is called whole reads, from any place, as another reader reads it.
pub fn gzip(bytes: &[u8]) {
    let Some((&cut, file)) = bytes.split_first() else { return };
    check(file, usize::from(cut) + 1, |length| {
        vec![0, length / 2, length.saturating_sub(3), length / 3, length, length + 9]
    });
}

/// A good file of these lines, cut or with one bit flipped at a place that the first bytes choose: never whole, unless it reads as it did.
pub fn gzip_spoiled(bytes: &[u8]) {
    let Some((&[level, cut, how, at, by], text)) = bytes.split_first_chunk::<5>() else { return };
    let compression = Compression::new(u32::from(level % 10));
    let (first, second) = text.split_at(if level >= 128 { text.len() / 2 } else { text.len() });
    let mut file = compressed(first, compression);
    let border = file.len();
    if level >= 128 {
        file.extend(compressed(second, compression));
    }
    // The other target reads from every place; here it is the judgement that counts.
    let check = |file: &[u8]| check(file, usize::from(cut) + 1, |length| vec![length / 2]);
    assert_eq!(check(&file).as_deref(), Some(text), "a whole file reads otherwise");
    let place = (usize::from(at) << 8 | usize::from(by)) % file.len();
    if how % 4 == 0 {
        file.truncate(place);
        let read = check(&file);
        // Files put one behind the other are one: cut just there it is whole, and shorter.
        assert_eq!(read.as_deref(), (place == border).then_some(first), "cut at {place}: taken for whole");
    } else {
        file[place] ^= 1 << (how % 8);
        let read = check(&file);
        assert!(
            read.is_none_or(|read| read == text),
            "bit {} of byte {place} flipped: taken for whole, and reads otherwise",
            how % 8
        );
    }
}

fn compressed(text: &[u8], compression: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), compression);
    encoder.write_all(text).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

/// What a file that is called whole holds, read from these places too; None when it is not called whole.
fn check(file: &[u8], read_bytes: usize, places: impl Fn(u64) -> Vec<u64>) -> Option<Vec<u8>> {
    let memory = Memory { bytes: file.to_vec(), read_bytes };
    let found = inspect(&mut memory.clone()).expect("memory can always be read");
    let mut text = Vec::new();
    let plainly = MultiGzDecoder::new(file).read_to_end(&mut text);
    let Gzip::Whole(length) = found else {
        // Nothing at all is whole to the one, and unfinished to us.
        assert!(plainly.is_err() || file.is_empty(), "it is whole, and called {found:?}");
        return None;
    };
    plainly.expect("another reader takes what is called whole");
    assert_eq!(length, text.len() as u64, "another length");
    let mut decompressed = Decompressed::new(Box::new(memory), length).expect("a file in memory");
    for place in places(length) {
        let mut buffer = [0; 50];
        let read = read_full(&mut decompressed, &mut buffer, place).expect("it was called whole");
        let from = usize::try_from(place).expect("it is in memory").min(text.len());
        assert_eq!(buffer[..read], text[from..(from + 50).min(text.len())], "read from {place}");
    }
    Some(text)
}
