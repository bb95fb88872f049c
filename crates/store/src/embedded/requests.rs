//! The write side of the embedded store: nothing to do, because its requests travel with the ledger's own transaction
//! ([`super::Ledger::apply`]), and the ledger itself knows the generations and the owner.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    AcknowledgedRequest, Owner, PlacedRequest, RequestStore, StatisticsCell, StoredGeneration, Trouble,
};

/// Takes requests for the embedded store.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmbeddedRequests;

impl RequestStore for EmbeddedRequests {
    async fn prepare(&self) -> Result<(), Trouble> {
        Ok(())
    }

    fn encode(&self, _request: &PlacedRequest<'_>, _body: &mut Vec<u8>) {}

    async fn write(&self, _body: Bytes) -> Result<(), Trouble> {
        Ok(())
    }

    /// As durable as the ledger, which settles it in the same transaction.
    async fn reads_back(&self, _request: &AcknowledgedRequest) -> Result<bool, Trouble> {
        Ok(true)
    }

    /// None: a processor that has lost its ledger has lost the statistics with it, so it counts everything anew under any keys.
    async fn generations(&self, _source: &str) -> Result<Vec<StoredGeneration>, Trouble> {
        Ok(Vec::new())
    }

    async fn register_generation(&self, _generation: &StoredGeneration) -> Result<(), Trouble> {
        Ok(())
    }

    /// None: the ledger's lock keeps a second processor away.
    async fn owner(&self, _source: &str) -> Result<Option<Owner>, Trouble> {
        Ok(None)
    }

    /// None: it is the ledger itself that would have to be wiped.
    async fn statements(&self, _source: &str, _from: i64, _to: i64) -> Result<Vec<Owner>, Trouble> {
        Ok(Vec::new())
    }

    fn remembers(&self) -> bool {
        false
    }

    async fn keeps_for(&self) -> Result<Option<Duration>, Trouble> {
        Ok(None)
    }

    async fn publish_owners(&self, _owners: &[Owner]) -> Result<(), Trouble> {
        Ok(())
    }

    /// Nobody asks: the ledger knows its own.
    async fn has_requests(&self, _source: &str) -> Result<bool, Trouble> {
        Ok(false)
    }

    async fn publish_statistics(&self, _cells: &[StatisticsCell]) -> Result<(), Trouble> {
        Ok(())
    }

    fn describe(&self) -> String {
        "embedded".to_owned()
    }
}
