//! Customers: from an id to its number, and how many requests each has. Looked up once, then kept in memory until there are too many.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use rusqlite::{Connection, OptionalExtension};

use super::cells::CustomerNumber;
use super::checksum::Checksum;
use super::fault::Fault;

/// So many customers are remembered from one commit to the next.
const REMEMBERED_MAX: usize = 50_000;

/// A customer's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Customer {
    pub(super) number: CustomerNumber,
    pub(super) id: String,
    /// All requests that are kept.
    pub(super) requests: u64,
    /// The whole second of the newest request.
    pub(super) last_seen_second: i64,
}

impl Customer {
    fn checksum(&self) -> i64 {
        Checksum::of("customer")
            .integer(i64::from(self.number))
            .bytes(self.id.as_bytes())
            .integer(self.requests.cast_signed())
            .integer(self.last_seen_second)
            .finish()
    }

    /// Reads `number, id, requests, last_seen_second, checksum`.
    pub(super) fn from_row(row: &rusqlite::Row<'_>) -> Result<Self, Fault> {
        let requests: i64 = row.get(2)?;
        let customer = Self {
            number: row.get(0)?,
            id: row.get(1)?,
            requests: requests.cast_unsigned(),
            last_seen_second: row.get(3)?,
        };
        if row.get::<_, i64>(4)? != customer.checksum() {
            return Err(Fault::Damaged(format!(
                "the row of customer {:?} (number {})",
                customer.id, customer.number
            )));
        }
        Ok(customer)
    }

    /// The customer of that id.
    pub(super) fn read(connection: &Connection, id: &str) -> Result<Option<Self>, Fault> {
        let mut statement = connection.prepare_cached(
            "SELECT number, id, requests, last_seen_second, checksum FROM customer WHERE id = ?1",
        )?;
        statement.query_row([id], |row| Ok(Self::from_row(row))).optional()?.transpose()
    }

    /// The customer of that number.
    pub(super) fn read_number(
        connection: &Connection,
        number: CustomerNumber,
    ) -> Result<Option<Self>, Fault> {
        let mut statement = connection.prepare_cached(
            "SELECT number, id, requests, last_seen_second, checksum FROM customer WHERE number = ?1",
        )?;
        statement.query_row([number], |row| Ok(Self::from_row(row))).optional()?.transpose()
    }

    /// The requests of all customers together, with every row's checksum looked at.
    pub(super) fn sum_of_requests(connection: &Connection) -> Result<u64, Fault> {
        let mut statement =
            connection.prepare("SELECT number, id, requests, last_seen_second, checksum FROM customer")?;
        let mut rows = statement.query([])?;
        let mut requests = 0;
        while let Some(row) = rows.next()? {
            requests += Self::from_row(row)?.requests;
        }
        Ok(requests)
    }

    /// Writes the row.
    pub(super) fn write(&self, connection: &Connection) -> Result<(), Fault> {
        let mut statement = connection.prepare_cached(
            "INSERT INTO customer (number, id, requests, last_seen_second, checksum) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (number) DO UPDATE SET requests = excluded.requests,
                 last_seen_second = excluded.last_seen_second, checksum = excluded.checksum",
        )?;
        statement.execute((
            self.number,
            &self.id,
            self.requests.cast_signed(),
            self.last_seen_second,
            self.checksum(),
        ))?;
        Ok(())
    }
}

/// Index of a customer in [`Customers`], valid until the next commit.
pub(super) type CustomerIndex = u32;

/// The customers that were met lately.
#[derive(Debug)]
pub(super) struct Customers {
    known: Vec<Customer>,
    changed: Vec<bool>,
    by_id: HashTable<CustomerIndex>,
    hasher: RandomState,
    next_number: CustomerNumber,
}

impl Customers {
    pub(super) fn new(next_number: CustomerNumber) -> Self {
        Self {
            known: Vec::new(),
            changed: Vec::new(),
            by_id: HashTable::new(),
            hasher: RandomState::default(),
            next_number,
        }
    }

    /// The number that the next new customer gets.
    pub(super) fn next_number(&self) -> CustomerNumber {
        self.next_number
    }

    /// The customer of that id, a new one if it was never seen.
    #[inline]
    pub(super) fn resolve(&mut self, connection: &Connection, id: &[u8]) -> Result<CustomerIndex, Fault> {
        let hash = self.hasher.hash_one(id);
        let same = |index: &CustomerIndex| self.known[*index as usize].id.as_bytes() == id;
        match self.by_id.find(hash, same) {
            Some(index) => Ok(*index),
            None => self.meet(connection, hash, id),
        }
    }

    #[cold]
    fn meet(&mut self, connection: &Connection, hash: u64, id: &[u8]) -> Result<CustomerIndex, Fault> {
        let id = std::str::from_utf8(id).expect("L3: a customer id is UTF-8");
        let customer = match Customer::read(connection, id)? {
            Some(customer) => customer,
            None => {
                let number = self.next_number;
                self.next_number = number.checked_add(1).expect("fewer than 2^32 customers");
                Customer { number, id: id.to_owned(), requests: 0, last_seen_second: i64::MIN }
            }
        };
        let index = CustomerIndex::try_from(self.known.len()).expect("fewer than 2^32 customers");
        self.known.push(customer);
        self.changed.push(false);
        let Self { known, hasher, .. } = self;
        self.by_id.insert_unique(hash, index, |other| hasher.hash_one(known[*other as usize].id.as_bytes()));
        Ok(index)
    }

    /// The customer of that number.
    pub(super) fn resolve_number(
        &mut self,
        connection: &Connection,
        number: CustomerNumber,
    ) -> Result<Option<CustomerIndex>, Fault> {
        let Some(customer) = Customer::read_number(connection, number)? else { return Ok(None) };
        self.resolve(connection, customer.id.as_bytes()).map(Some)
    }

    /// Counts other requests in the place of some; `last_second` is the newest of them.
    pub(super) fn recount(&mut self, index: CustomerIndex, before: u64, after: u64, last_second: i64) {
        let customer = &mut self.known[index as usize];
        customer.requests = (customer.requests + after).saturating_sub(before);
        customer.last_seen_second = customer.last_seen_second.max(last_second);
        self.changed[index as usize] = true;
    }

    /// A customer that was met.
    pub(super) fn get(&self, index: CustomerIndex) -> &Customer {
        &self.known[index as usize]
    }

    /// Counts one request and returns the customer's number.
    #[inline]
    pub(super) fn count(&mut self, index: CustomerIndex, second: i64) -> CustomerNumber {
        let customer = &mut self.known[index as usize];
        customer.requests += 1;
        customer.last_seen_second = customer.last_seen_second.max(second);
        self.changed[index as usize] = true;
        customer.number
    }

    /// Writes the rows that changed.
    pub(super) fn write(&self, connection: &Connection) -> Result<(), Fault> {
        let changed = self.known.iter().zip(&self.changed).filter(|(_, changed)| **changed);
        changed.map(|(customer, _)| customer).try_for_each(|customer| customer.write(connection))
    }

    /// What was written is durable. `forget`: rows were changed or dropped behind our back, so all must be read anew.
    pub(super) fn committed(&mut self, forget: bool) {
        self.changed.fill(false);
        if forget || self.known.len() > REMEMBERED_MAX {
            self.known.clear();
            self.changed.clear();
            self.by_id.clear();
        }
    }
}
