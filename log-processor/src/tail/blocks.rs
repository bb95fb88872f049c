//! The memory that files are read into: lent to the lines that are cut out of it, and used again when they are all gone. No files here.

use bytes::{Bytes, BytesMut};

/// One read. Large enough that the system call is cheap beside its work, small enough that turns are short.
const BLOCK_BYTES: usize = 256 << 10;
/// So many blocks are remembered while they are lent: more than the memory budget lets be on their way.
const LENT_MAX: usize = 64;

/// Blocks of one size.
#[derive(Debug)]
pub struct Blocks {
    block_bytes: usize,
    /// Blocks that were lent; one is free when nobody else holds a part of it.
    lent: Vec<Bytes>,
}

impl Default for Blocks {
    fn default() -> Self {
        Self::of(BLOCK_BYTES)
    }
}

impl Blocks {
    /// Blocks of that size.
    pub fn of(block_bytes: usize) -> Self {
        Self { block_bytes, lent: Vec::new() }
    }

    /// A block to be read into; what stands in it means nothing.
    pub fn take(&mut self) -> BytesMut {
        let free = self.lent.iter().position(Bytes::is_unique).map(|free| self.lent.swap_remove(free));
        let again = free.and_then(|free| free.try_into_mut().ok());
        again.unwrap_or_else(|| BytesMut::zeroed(self.block_bytes))
    }

    /// Lends a block that was read into.
    pub fn lend(&mut self, block: BytesMut) -> Bytes {
        let block = block.freeze();
        if self.lent.len() < LENT_MAX {
            self.lent.push(block.clone());
        }
        block
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
}
