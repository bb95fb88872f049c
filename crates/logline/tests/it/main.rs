//! Properties of logline over any record and any bytes, through its public face only.

mod plain;
mod properties;
mod zones;
