//! The memory that files are read into: lent to the lines that are cut out of it, and used again when they are all gone. No files here.

use bytes::{Bytes, BytesMut};

/// One read. Large enough that the system call is cheap beside its work, small enough that turns are short.
pub const BLOCK_BYTES: usize = 256 << 10;
/// So many blocks are remembered while they are lent: more than the memory budget lets be on their way.
const LENT_MAX: usize = 64;
/// With so many blocks under way, a few lines get memory of their own: one line that has to wait must not hold ever more blocks.
const FILLED_MAX: usize = 24;

/// Blocks of one size.
#[derive(Debug)]
pub struct Blocks {
    block_bytes: usize,
    /// Blocks that were lent; one is free when nobody else holds a part of it.
    lent: Vec<Bytes>,
    /// The room that is left in the block into which few lines at a time are copied.
    filling: Option<BytesMut>,
    /// Such blocks that are full, by the room that was left in them; one is free when nobody else holds a part of it.
    filled: Vec<BytesMut>,
}

impl Default for Blocks {
    fn default() -> Self {
        Self::of(BLOCK_BYTES)
    }
}

impl Blocks {
    /// Blocks of that size.
    pub fn of(block_bytes: usize) -> Self {
        Self { block_bytes, lent: Vec::new(), filling: None, filled: Vec::new() }
    }

    /// Has so many blocks in memory from the start.
    pub fn with_in_memory(mut self, count: usize) -> Self {
        for _ in 0..count {
            // Written, since the system gives memory only where something is written.
            self.lent.push(Bytes::from(std::hint::black_box(vec![b'\n'; self.block_bytes])));
        }
        self
    }

    /// A block to be read into; what stands in it means nothing.
    pub fn take(&mut self) -> BytesMut {
        if let Some(block) = self.free_lent() {
            return block;
        }
        match self.free_filled() {
            Some(mut block) => {
                block.resize(self.block_bytes, 0);
                block
            }
            None => BytesMut::zeroed(self.block_bytes),
        }
    }

    /// Lends a block that was read into.
    pub fn lend(&mut self, block: BytesMut) -> Bytes {
        let block = block.freeze();
        if self.lent.len() < LENT_MAX {
            self.lent.push(block.clone());
        }
        block
    }

    /// Lends a copy of two parts, one after the other, which shares its block with other copies: they do not hold much more memory than they have.
    pub fn lend_copy(&mut self, parts: [&[u8]; 2]) -> Bytes {
        let length = parts[0].len() + parts[1].len();
        if self.filling.as_ref().is_none_or(|room| room.capacity() < length) {
            match self.empty().filter(|block| block.capacity() >= length) {
                Some(block) => self.filled.extend(self.filling.replace(block)),
                None => return Bytes::from(parts.concat()),
            }
        }
        let room = self.filling.as_mut().expect("it was just seen or made");
        parts.into_iter().for_each(|part| room.extend_from_slice(part));
        room.split().freeze()
    }

    /// A block to be filled from its beginning, unless too many are under way.
    fn empty(&mut self) -> Option<BytesMut> {
        let block = self.free_filled().or_else(|| self.free_lent());
        let more = self.lent.len() + self.filled.len() < FILLED_MAX;
        let mut block = block.or_else(|| more.then(|| BytesMut::with_capacity(self.block_bytes)))?;
        block.clear();
        Some(block)
    }

    fn free_lent(&mut self) -> Option<BytesMut> {
        let free = self.lent.iter().position(Bytes::is_unique)?;
        self.lent.swap_remove(free).try_into_mut().ok()
    }

    fn free_filled(&mut self) -> Option<BytesMut> {
        let block_bytes = self.block_bytes;
        let free = self.filled.iter_mut().position(|block| block.try_reclaim(block_bytes))?;
        Some(self.filled.swap_remove(free))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_used_again_when_its_last_part_is_gone_and_not_before() {
        let mut blocks = Blocks::of(8);
        let mut block = blocks.take();
        block.copy_from_slice(b"abcdefgh");
        let first = block.as_ptr();
        let part = blocks.lend(block).slice(2..4);
        let other = blocks.take();
        assert_ne!(other.as_ptr(), first, "a part of it is still held");
        drop(blocks.lend(other));
        assert_eq!(&part[..], b"cd");
        drop(part);
        let taken = [blocks.take(), blocks.take()];
        assert!(taken.iter().any(|block| block.as_ptr() == first), "the same memory again");
        assert!(taken.iter().all(|block| block.len() == 8), "and all of it");
        assert_eq!(blocks.lent.len(), 0);
    }

    #[test]
    fn copies_share_a_block_that_is_used_again_when_the_last_of_them_is_gone() {
        let mut blocks = Blocks::of(8).with_in_memory(2);
        let copies = [blocks.lend_copy([b"ab", b"c"]), blocks.lend_copy([b"", b"defgh"])];
        assert_eq!(copies, [&b"abc"[..], b"defgh"]);
        let first = copies[0].as_ptr();
        assert_eq!(copies[1].as_ptr().addr(), first.addr() + 3, "side by side");
        let next = blocks.lend_copy([b"i", b""]);
        assert_eq!((blocks.lent.len(), blocks.filled.len()), (0, 1), "both blocks are under way");
        let [one, other] = copies;
        drop(one);
        assert_ne!(blocks.take().as_ptr(), first, "a copy in it is still held");
        assert_eq!(other, &b"defgh"[..]);
        drop(other);
        let block = blocks.take();
        assert_eq!((block.as_ptr(), block.len()), (first, 8), "the same memory again, and all of it");
        assert_eq!(next, &b"i"[..]);
    }

    #[test]
    fn more_than_a_block_holds_and_more_than_may_be_under_way_get_memory_of_their_own() {
        let mut blocks = Blocks::of(8);
        assert_eq!(blocks.lend_copy([b"abcd", b"efghi"]), &b"abcdefghi"[..]);
        assert_eq!(Blocks::of(0).lend_copy([b"a", b"b"]), &b"ab"[..]);
        let held: Vec<Bytes> =
            (0..2 * FILLED_MAX as u8).map(|byte| blocks.lend_copy([&[byte; 8], b""])).collect();
        assert!(held.iter().enumerate().all(|(at, copy)| **copy == [at as u8; 8]), "each is what it was");
        assert!(blocks.filled.len() <= FILLED_MAX);
    }
}
