//! The list of deliberate bugs: each stands at the very place in the code where somebody could make it, sleeps in everything that is shipped, and is caught by the prover
//! when a test wakes it. Holds the list and the switch, nothing else.

/// A deliberate bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// A batch is called settled before the store has answered.
    AdvanceBeforeAcknowledged,
    /// A batch that the store did not take is called settled.
    PastFailedBatch,
    /// A batch is called settled twice after its first answer was lost.
    SettleTwice,
    /// The settled mark passes a hole.
    PassHole,
    /// All lines of a body are rejected when one is refused.
    RejectWithoutBisection,
    /// A line that got a 400 of nobody knows whose once is rejected.
    RejectOnOneSighting,
    /// The key counts from the beginning of the batch's piece, not of the file.
    KeyFromBatch,
    /// Each generation's start is drawn from its head.
    HashedStart,
    /// Lines leave before their generation's start is in the ledger.
    StartNotInLedger,
    /// A generation's start is not told to the store.
    StartNotInJournal,
    /// The tail marker is not compared.
    ForgetTailMarker,
    /// The head is not compared.
    IgnoreHead,
    /// The NULs of a hole are taken for the beginning of a file's content.
    NulsAreContent,
    /// The bytes before the place of reading are not compared.
    NoCompareBefore,
    /// The bytes at the beginning of the file are not compared after a read.
    NoCompareAfter,
    /// A file that is not larger than what was read is never cut.
    NoTruncation,
    /// The copy is not looked for after a truncation.
    NoCopyAfterTruncation,
    /// A copy that is being made is a file of its own.
    CopyIsNew,
    /// A renamed file is let go when it has been silent for a second, read or not.
    DropRotatedOnTimer,
    /// A renamed file is let go at once.
    DropRenamed,
    /// Of several rotated files only the last one is looked at.
    OnlyLastRotated,
    /// Nobody looks whether something was written to a file that was let go.
    NoLateWrites,
    /// A compressed file is read from its beginning whatever was read of it.
    GzipFromStart,
    /// The last line is taken at the end of the file, with or without its newline.
    UnfinishedLineAtEnd,
    /// A segment's requests are not counted in the cells.
    PositionWithoutCells,
    /// A segment's requests are counted in the cells twice.
    CellsTwice,
    /// Lost bytes include those that were read.
    LostBytesTooMany,
    /// Lost bytes are not counted.
    LostBytesNotCounted,
    /// A look is called complete when it begins.
    LookTooEarly,
    /// A generation that is known is followed from its beginning.
    RestartFromStart,
}

#[cfg(test)]
impl Mutation {
    /// All of them.
    pub(crate) const ALL: [Mutation; 30] = [
        Mutation::AdvanceBeforeAcknowledged,
        Mutation::PastFailedBatch,
        Mutation::SettleTwice,
        Mutation::PassHole,
        Mutation::RejectWithoutBisection,
        Mutation::RejectOnOneSighting,
        Mutation::KeyFromBatch,
        Mutation::HashedStart,
        Mutation::StartNotInLedger,
        Mutation::StartNotInJournal,
        Mutation::ForgetTailMarker,
        Mutation::IgnoreHead,
        Mutation::NulsAreContent,
        Mutation::NoCompareBefore,
        Mutation::NoCompareAfter,
        Mutation::NoTruncation,
        Mutation::NoCopyAfterTruncation,
        Mutation::CopyIsNew,
        Mutation::DropRotatedOnTimer,
        Mutation::DropRenamed,
        Mutation::OnlyLastRotated,
        Mutation::NoLateWrites,
        Mutation::GzipFromStart,
        Mutation::UnfinishedLineAtEnd,
        Mutation::PositionWithoutCells,
        Mutation::CellsTwice,
        Mutation::LostBytesTooMany,
        Mutation::LostBytesNotCounted,
        Mutation::LookTooEarly,
        Mutation::RestartFromStart,
    ];
}

/// Whether a bug is awake: never, in what is shipped.
#[cfg(not(test))]
pub(crate) const fn mutated(_: Mutation) -> bool {
    false
}

#[cfg(test)]
thread_local! {
    /// The bug that is awake on this thread.
    static AWAKE: std::cell::Cell<Option<Mutation>> = const { std::cell::Cell::new(None) };
}

/// Whether a bug is awake on this thread.
#[cfg(test)]
pub(crate) fn mutated(mutation: Mutation) -> bool {
    AWAKE.get() == Some(mutation)
}

/// Wakes a bug on this thread, or puts it to sleep.
#[cfg(test)]
pub(crate) fn wake(mutation: Option<Mutation>) {
    AWAKE.set(mutation);
}
