//! The stages of the hot path in one thread, made of the processor's own rooms: read and split, parse, line protocol.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::Context;
use log_processor::reading::{Place, TimeLimits, line_ranges, read_line};
use log_processor::tail::blocks::Blocks;
use log_processor::tail::open::COMPARED_BYTES;
use log_processor::tail::splitter::{Piece, Splitter};
use logline::{LineParser, Zone};
use store::influx::{InfluxConfig, InfluxRequests};
use store::{KeyStart, RequestStore};

use crate::prototype;

/// As tail reads, for the prototypes.
const BLOCK_BYTES: usize = 256 << 10;

/// Reads a file as tail does, each block with the kilobyte before it, and hands on its pieces; whole lines only.
///
/// # Errors
/// The file cannot be read.
pub fn split(path: &Path, mut each: impl FnMut(Piece)) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut blocks = Blocks::default();
    let mut splitter = Splitter::new(0);
    let mut pieces = Vec::new();
    loop {
        let mut block = blocks.take();
        let place = splitter.read_offset();
        let before = place.min(COMPARED_BYTES as u64);
        let read = file.read_at(&mut block, place - before).context("the log")?;
        let before = usize::try_from(before).expect("a kilobyte");
        if read <= before {
            return Ok(());
        }
        let block = blocks.lend(block);
        splitter.push_block(&block, before..read, &mut blocks, &mut pieces);
        drop(block);
        pieces.drain(..).for_each(&mut each);
    }
}

/// How many lines a file has, as tail counts them.
///
/// # Errors
/// The file cannot be read.
pub fn count_split(path: &Path) -> anyhow::Result<u64> {
    let mut lines = 0;
    split(path, |piece| lines += log_processor::lines::count_lines(black_box(&piece.bytes)) as u64)?;
    Ok(lines)
}

/// Parses every line.
///
/// # Errors
/// The file cannot be read.
pub fn count_parsed(path: &Path) -> anyhow::Result<u64> {
    let mut lines = 0;
    let mut parser = LineParser::new(Zone::Utc);
    let limits = TimeLimits::at(i64::MAX / 2, None);
    split(path, |piece| {
        for (start, end) in line_ranges(&piece.bytes) {
            let place =
                Place { source: "main", start: Some(KeyStart(0)), offset: piece.start + start as u64 };
            lines +=
                u64::from(black_box(read_line(&piece.bytes, start..end, place, &mut parser, limits)).is_ok());
        }
    })?;
    Ok(lines)
}

/// Makes the line protocol of every line, and hands on one body for each piece.
///
/// # Errors
/// The file cannot be read.
pub fn encode(path: &Path, mut body_done: impl FnMut(&[u8])) -> anyhow::Result<u64> {
    let mut lines = 0;
    let mut parser = LineParser::new(Zone::Utc);
    let limits = TimeLimits::at(i64::MAX / 2, None);
    // Asks nothing: only its form of a request is wanted.
    let store = InfluxRequests::new(InfluxConfig::new("http://127.0.0.1:1", "o", "b", "t")?)?;
    let (mut body, mut requests) = (Vec::new(), Vec::new());
    split(path, |piece| {
        body.clear();
        requests.clear();
        for (start, end) in line_ranges(&piece.bytes) {
            let place =
                Place { source: "main", start: Some(KeyStart(0)), offset: piece.start + start as u64 };
            if let Ok(line) = read_line(&piece.bytes, start..end, place, &mut parser, limits) {
                store.encode(&line.request, &mut body);
                requests.push(line.stored(&piece.bytes));
                lines += 1;
            }
        }
        body_done(black_box(&body));
        black_box(&requests);
    })?;
    Ok(lines)
}

/// The same by the fast prototype.
///
/// # Errors
/// The file cannot be read.
pub fn prototype_fast(path: &Path, start: u64, mut body_done: impl FnMut(&[u8])) -> anyhow::Result<u64> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut block = vec![0; BLOCK_BYTES];
    let (mut dates, mut body) = (prototype::Dates::default(), Vec::new());
    let (mut place, mut lines) = (0, 0);
    loop {
        let read = file.read_at(&mut block, place).context("the log")?;
        let whole = memchr::memrchr(b'\n', &block[..read]).map_or(0, |newline| newline + 1);
        if whole == 0 {
            return Ok(lines);
        }
        body.clear();
        lines += prototype::fast(&block[..whole], start.wrapping_add(place), &mut dates, &mut body) as u64;
        body_done(black_box(&body));
        place += whole as u64;
    }
}

/// The same by the plain prototype.
///
/// # Errors
/// The file cannot be read.
pub fn prototype_plain(path: &Path, mut body_done: impl FnMut(&[u8])) -> anyhow::Result<u64> {
    use std::io::BufRead;
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut reader = std::io::BufReader::with_capacity(BLOCK_BYTES, file);
    let (mut line, mut body) = (Vec::new(), Vec::new());
    let (mut place, mut lines) = (0, 0);
    while reader.read_until(b'\n', &mut line)? > 0 {
        prototype::plain(line.strip_suffix(b"\n").unwrap_or(&line), place, &mut body);
        place += line.len() as u64;
        lines += 1;
        line.clear();
        if body.len() >= BLOCK_BYTES {
            body_done(black_box(&body));
            body.clear();
        }
    }
    body_done(black_box(&body));
    Ok(lines)
}
