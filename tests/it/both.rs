//! What runs on both stores: one body, two tests. No test lives here.

use system_tests::groups::Group;
use system_tests::influx::Influx;
use system_tests::proxy::Proxy;
use system_tests::stack::Stack;

/// Two tests, `embedded` and `influxdb`, in a module of their own, which tell the body its store.
macro_rules! on_both_stores {
    ($name:ident) => {
        mod $name {
            use crate::both::Store;
            use system_tests::groups::left_out;

            #[test]
            #[ignore = "a whole-system test: ./start.sh test runs it"]
            fn embedded() {
                if !left_out(Store::Embedded.group()) {
                    super::$name(Store::Embedded);
                }
            }

            #[test]
            #[ignore = "a whole-system test: ./start.sh test runs it"]
            fn influxdb() {
                if !left_out(Store::InfluxDb.group()) {
                    super::$name(Store::InfluxDb);
                }
            }
        }
    };
}
pub(crate) use on_both_stores;

/// Where requests are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// In the ledger.
    Embedded,
    /// In a real InfluxDB 2.
    InfluxDb,
}

impl Store {
    /// What its tests need.
    pub(crate) fn group(self) -> Group {
        match self {
            Store::Embedded => Group::Native,
            Store::InfluxDb => Group::InfluxDb,
        }
    }

    /// Its name, for figures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Store::Embedded => "embedded",
            Store::InfluxDb => "influxdb",
        }
    }
}

/// A stack on one of the stores.
pub(crate) struct Bench {
    // In the order in which they must end: what talks before what it talks to.
    pub(crate) stack: Stack,
    /// In front of InfluxDB, if there is one and the test wants it.
    pub(crate) proxy: Option<Proxy>,
    /// InfluxDB, if that is the store.
    pub(crate) influx: Option<Influx>,
}

impl Bench {
    /// A fresh one.
    pub(crate) fn on(store: Store) -> Bench {
        match store {
            Store::Embedded => Bench { stack: Stack::embedded(), proxy: None, influx: None },
            Store::InfluxDb => {
                let influx = Influx::start();
                Bench { stack: Stack::influxdb(&influx.url()), proxy: None, influx: Some(influx) }
            }
        }
    }

    /// A fresh one, with a proxy before InfluxDB for the processor and the api alike.
    pub(crate) fn behind_a_proxy(store: Store) -> Bench {
        let mut bench = Bench::on(store);
        if let Some(influx) = &bench.influx {
            let proxy = Proxy::in_front_of(influx.address());
            bench.stack.set("INFLUXDB_URL", &proxy.url());
            bench.proxy = Some(proxy);
        }
        bench
    }

    /// Asserts that the store holds just that many requests: told by InfluxDB itself, or by the api over the ledger.
    pub(crate) fn assert_requests(&self, expected: u64) {
        if let Some(influx) = &self.influx {
            assert_eq!(influx.requests(), expected, "requests in InfluxDB");
        } else {
            let customers = self.stack.api().customers(1000);
            let requests = customers.iter().map(|(_, count)| count).sum::<u64>();
            assert_eq!(requests, expected, "requests in the ledger");
        }
    }
}
