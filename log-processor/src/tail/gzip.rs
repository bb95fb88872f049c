//! A rotated log that was compressed: read as if it were not, with places in the decompressed bytes. Knows nothing of lines.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::disk::{FileStat, LogFile};

/// What a compressed file is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gzip {
    /// Whole: it ends with a checksum that holds. So many bytes decompressed.
    Whole(u64),
    /// It ends in the middle: somebody is still writing it, or was stopped while writing.
    Unfinished,
    /// It is no gzip file, or damaged.
    Damaged(String),
}

/// Decompresses a file once, from its beginning to its end, and keeps nothing of it: no line is taken from a file whose checksum has not been seen.
pub fn inspect(file: &mut dyn LogFile) -> io::Result<Gzip> {
    let mut decoder = MultiGzDecoder::new(BufReader::with_capacity(READ_BYTES, Compressed { file, at: 0 }));
    let mut scratch = vec![0; READ_BYTES];
    let mut bytes = 0;
    loop {
        match decoder.read(&mut scratch) {
            Ok(0) => return Ok(Gzip::Whole(bytes)),
            Ok(read) => bytes += read as u64,
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::UnexpectedEof => return Ok(Gzip::Unfinished),
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                    return Ok(Gzip::Damaged(error.to_string()));
                }
                _ => return Err(error),
            },
        }
    }
}

/// The number of decompressed bytes that the last four bytes of a file tell, modulo 4 GiB: a hint that costs one read.
pub fn length_hint(file: &mut dyn LogFile) -> io::Result<Option<u32>> {
    let mut last = [0; 4];
    let size = file.stat()?.size;
    let Some(from) = size.checked_sub(4) else { return Ok(None) };
    let read = super::disk::read_full(file, &mut last, from)?;
    Ok((read == 4).then(|| u32::from_le_bytes(last)))
}

const READ_BYTES: usize = 64 << 10;

/// The compressed bytes, one after the other.
#[derive(Debug)]
struct Compressed<F> {
    file: F,
    at: u64,
}

impl Read for Compressed<&mut dyn LogFile> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Read for Compressed<Box<dyn LogFile>> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The bytes behind a compressed file.
type Decoder = MultiGzDecoder<BufReader<Compressed<Box<dyn LogFile>>>>;

/// A compressed file that was found whole, as a file of its decompressed bytes. Reading goes forward; a place that lies back costs a new beginning.
#[derive(Debug)]
pub struct Decompressed {
    decoder: Option<Decoder>,
    at: u64,
    length: u64,
    stat: FileStat,
}

impl Decompressed {
    /// The file behind `file`, of which [`inspect`] has said that it holds `length` bytes.
    pub fn new(file: Box<dyn LogFile>, length: u64) -> io::Result<Self> {
        let stat = FileStat { size: length, ..file.stat()? };
        Ok(Self { decoder: Some(begin(file)), at: 0, length, stat })
    }

    fn seek(&mut self, place: u64) -> io::Result<()> {
        if place < self.at {
            let decoder = self.decoder.take().expect("taken only here, and put back at once");
            self.decoder = Some(begin(decoder.into_inner().into_inner().file));
            self.at = 0;
        }
        let mut scratch = vec![0; if place > self.at { READ_BYTES } else { 0 }];
        while self.at < place {
            let wanted = usize::try_from(place - self.at).map_or(READ_BYTES, |rest| rest.min(READ_BYTES));
            if self.next(&mut scratch[..wanted])? == 0 {
                break;
            }
        }
        Ok(())
    }

    fn next(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.decoder.as_mut().expect("there but in seek").read(buffer) {
            // It was whole when it was inspected.
            Ok(0) if self.at < self.length => Err(io::ErrorKind::UnexpectedEof.into()),
            read => read,
        };
        match read {
            Ok(read) => self.at += read as u64,
            // A decoder that met an error is of no use any more: the next read begins anew.
            Err(_) => self.at = u64::MAX,
        }
        read
    }
}

fn begin(file: Box<dyn LogFile>) -> Decoder {
    MultiGzDecoder::new(BufReader::with_capacity(READ_BYTES, Compressed { file, at: 0 }))
}

impl LogFile for Decompressed {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.length {
            return Ok(0);
        }
        self.seek(offset)?;
        self.next(buffer)
    }

    fn stat(&self) -> io::Result<FileStat> {
        Ok(self.stat)
    }
}

#[cfg(test)]
mod tests {
    //! Whole, cut and damaged files, and reading from any place.

    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::super::disk::{Disk, RealDisk, read_full};
    use super::*;

    fn compressed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).expect("a Vec takes everything");
        encoder.finish().expect("a Vec takes everything")
    }

    fn opened(bytes: &[u8]) -> Box<dyn LogFile> {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), bytes).expect("written");
        RealDisk::default().open(file.path()).expect("it is there")
    }

    fn text() -> Vec<u8> {
        (0..40_000).flat_map(|number| format!("line {number}\n").into_bytes()).collect()
    }

    #[test]
    fn a_whole_file_is_known_by_its_checksum() {
        let text = text();
        let bytes = compressed(&text);
        assert_eq!(inspect(&mut *opened(&bytes)).expect("read"), Gzip::Whole(text.len() as u64));
        assert_eq!(length_hint(&mut *opened(&bytes)).expect("read"), u32::try_from(text.len()).ok());
        let two = [compressed(b"one\n"), compressed(b"two\n")].concat();
        assert_eq!(inspect(&mut *opened(&two)).expect("read"), Gzip::Whole(8), "two members");
        for length in [0, 1, 5, 10, 18, bytes.len() / 2, bytes.len() - 8, bytes.len() - 1] {
            let found = inspect(&mut *opened(&bytes[..length])).expect("read");
            assert_eq!(found, Gzip::Unfinished, "the first {length} bytes");
        }
        for at in [0, bytes.len() / 2, bytes.len() - 6] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x55;
            let found = inspect(&mut *opened(&damaged)).expect("read");
            assert!(matches!(found, Gzip::Damaged(_) | Gzip::Unfinished), "byte {at}: {found:?}");
        }
    }

    #[test]
    fn reading_from_any_place_gives_the_same_bytes() {
        let text = text();
        let length = text.len();
        let mut file =
            Decompressed::new(opened(&compressed(&text)), length as u64).expect("a file of these bytes");
        for place in [0, 100_000, 100_300, 5, length - 3, 200_000, length, length + 7] {
            let mut buffer = vec![0; 300];
            let read = read_full(&mut file, &mut buffer, place as u64).expect("read");
            let expected = &text[place.min(length)..(place + 300).min(length)];
            assert_eq!(&buffer[..read], expected, "from {place}");
        }
    }
}
