//! The stored requests of one batch, shared by its segments; and their memory, which is used again for a later batch. Nothing is judged here.

use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::StoredRequest;

/// Memory for the requests of batches: as many at a time as are under way.
#[derive(Debug)]
pub struct RequestMemory {
    batches_max: usize,
    requests_each: usize,
    free: Mutex<Vec<Vec<StoredRequest>>>,
}

impl RequestMemory {
    /// Keeps the memory of so many batches of so many requests each, once it was used.
    pub fn of(batches_max: usize, requests_each: usize) -> Self {
        Self { batches_max, requests_each, free: Mutex::default() }
    }

    /// Has all of it in memory from the start.
    pub fn in_memory(self) -> Self {
        let any =
            StoredRequest { customer: (1, 1), path: (1, 1), status: 1, latency_micros: 1, time_nanos: 1 };
        for _ in 0..self.batches_max {
            // Written, since the system gives memory only where something is written.
            self.take_back(std::hint::black_box(vec![any; self.requests_each]));
        }
        self
    }

    /// Room for so many requests, empty.
    pub fn take(&self, requests: usize) -> Vec<StoredRequest> {
        let mut room = self.free().pop().unwrap_or_default();
        room.reserve(requests);
        room
    }

    /// The requests of a batch, the first so many for the first segment and so on. Their memory comes back when no segment has its part any more; when that of too many batches is
    /// away, at once: one segment that has to wait must not hold whole batches for ever more of those that follow it.
    pub fn share(
        self: &Arc<Self>,
        requests: Vec<StoredRequest>,
        counts: impl Iterator<Item = usize>,
    ) -> Vec<BatchRequests> {
        let mut end = 0;
        let mut next = |count: usize| {
            end += count;
            end - count..end
        };
        if Arc::weak_count(self) >= self.batches_max {
            let copied = counts.map(|count| requests[next(count)].to_vec().into()).collect();
            self.take_back(requests);
            return copied;
        }
        let batch = Arc::new(Batch { requests, memory: Arc::downgrade(self) });
        counts.map(|count| BatchRequests { batch: Arc::clone(&batch), range: next(count) }).collect()
    }

    fn take_back(&self, mut room: Vec<StoredRequest>) {
        room.clear();
        let mut free = self.free();
        // Smaller ones would have to grow, so they are let go.
        if free.len() < self.batches_max && room.capacity() >= self.requests_each {
            free.push(room);
        }
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Vec<StoredRequest>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Consecutive requests of one batch, in file order.
#[derive(Clone, Debug, Default)]
pub struct BatchRequests {
    batch: Arc<Batch>,
    range: Range<usize>,
}

#[derive(Debug, Default)]
struct Batch {
    requests: Vec<StoredRequest>,
    memory: Weak<RequestMemory>,
}

impl Drop for Batch {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.upgrade() {
            memory.take_back(std::mem::take(&mut self.requests));
        }
    }
}

impl Deref for BatchRequests {
    type Target = [StoredRequest];

    fn deref(&self) -> &[StoredRequest] {
        &self.batch.requests[self.range.clone()]
    }
}

impl From<Vec<StoredRequest>> for BatchRequests {
    fn from(requests: Vec<StoredRequest>) -> Self {
        let range = 0..requests.len();
        Self { batch: Arc::new(Batch { requests, memory: Weak::new() }), range }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(count: u16) -> impl Iterator<Item = StoredRequest> {
        (0..count).map(|status| StoredRequest {
            customer: (0, 1),
            path: (1, 1),
            status,
            latency_micros: 0,
            time_nanos: 0,
        })
    }

    fn statuses(requests: &[StoredRequest]) -> Vec<u16> {
        requests.iter().map(|request| request.status).collect()
    }

    #[test]
    fn the_segments_of_a_batch_have_its_requests_and_the_last_one_gives_the_memory_back() {
        let memory = Arc::new(RequestMemory::of(1, 4).in_memory());
        let mut room = memory.take(4);
        assert!(room.is_empty() && room.capacity() >= 4);
        let place = room.as_ptr();
        room.extend(requests(4));
        let mut parts = memory.share(room, [1, 0, 2, 1].into_iter());
        let found: Vec<_> = parts.iter().map(|part| statuses(part)).collect();
        assert_eq!(found, [vec![0], vec![], vec![1, 2], vec![3]]);
        parts.drain(1..);
        assert_eq!(memory.free().len(), 0, "one request is still held");
        drop(parts);
        let again = memory.take(1);
        assert_eq!(again.as_ptr(), place, "the same memory again");
    }

    #[test]
    fn when_too_many_are_held_the_next_have_memory_of_their_own() {
        let memory = Arc::new(RequestMemory::of(2, 4));
        let share = || memory.share(requests(4).collect(), [1, 3].into_iter());
        let held = [share(), share(), share()];
        for parts in &held {
            assert_eq!([statuses(&parts[0]), statuses(&parts[1])], [vec![0], vec![1, 2, 3]]);
        }
        assert_eq!(memory.free().len(), 1, "the third batch's came back at once");
        drop(held);
        assert_eq!(memory.free().len(), 2, "no more is kept than was said");
        memory.free().clear();
        drop(memory.share(requests(2).collect(), [2].into_iter()));
        assert_eq!(memory.free().len(), 0, "too small to be of use");
        let last = share();
        drop(memory);
        assert_eq!(statuses(&last[0]), [0], "who holds requests does not need the memory's owner");
    }
}
