//! The points that the stand-in keeps: one for each identity (measurement, tags, time), as in InfluxDB. No I/O.

use std::collections::BTreeMap;

use super::super::schema;
use super::line::{FieldValue, Point, parse_line};

/// Points by series, then by time. Fields stay text until they are asked for, so that a million points fit into a test.
#[derive(Debug, Default)]
pub(super) struct Points {
    series: BTreeMap<SeriesKey, BTreeMap<i64, Box<str>>>,
    pub(super) stored: u64,
    pub(super) repeated: u64,
    pub(super) changed: u64,
}

type SeriesKey = (String, BTreeMap<String, String>);

impl Points {
    /// Takes a whole body or nothing of it. The error is the line that was refused, and why.
    pub(super) fn store(&mut self, body: &str) -> Result<(), (String, String)> {
        let lines: Vec<&str> = body.lines().filter(|line| !line.is_empty()).collect();
        let parsed: Result<Vec<Point>, _> =
            lines.iter().map(|line| parse_line(line).map_err(|why| ((*line).to_owned(), why))).collect();
        for point in parsed? {
            self.put(point);
        }
        Ok(())
    }

    fn put(&mut self, point: Point) {
        // The owner's heartbeat and the statistics are overwritten on purpose; a request never is.
        let changeable = [
            schema::processors::MEASUREMENT,
            schema::statistics::MEASUREMENT,
            schema::statistics::ALL_MEASUREMENT,
        ]
        .contains(&point.measurement.as_str());
        let series = self.series.entry((point.measurement, point.tags)).or_default();
        let fields = render(&point.fields);
        match series.get_mut(&point.time_nanos) {
            None => {
                self.stored += 1;
                series.insert(point.time_nanos, fields);
            }
            Some(before) if *before == fields => self.repeated += 1,
            Some(before) => {
                self.changed += u64::from(!changeable);
                let mut union = read(before);
                union.extend(point.fields);
                *before = render(&union);
            }
        }
    }

    /// Forgets the points for which `keep` says no, as somebody does who deletes by hand.
    pub(super) fn retain(&mut self, keep: impl Fn(&Point) -> bool) {
        for ((measurement, tags), points) in &mut self.series {
            points.retain(|time_nanos, fields| {
                keep(&Point {
                    measurement: measurement.clone(),
                    tags: tags.clone(),
                    fields: read(fields),
                    time_nanos: *time_nanos,
                })
            });
        }
        self.series.retain(|_, points| !points.is_empty());
    }

    /// All points of a measurement, by tags and time.
    pub(super) fn of<'a>(&'a self, measurement: &'a str) -> impl Iterator<Item = Point> + 'a {
        self.series_of(measurement).flat_map(|((measurement, tags), points)| {
            points.iter().map(move |(time_nanos, fields)| Point {
                measurement: measurement.clone(),
                tags: tags.clone(),
                fields: read(fields),
                time_nanos: *time_nanos,
            })
        })
    }

    pub(super) fn count(&self, measurement: &str) -> u64 {
        self.series_of(measurement).map(|(_, points)| u64::try_from(points.len()).expect("fits")).sum()
    }

    fn series_of<'a>(
        &'a self,
        measurement: &'a str,
    ) -> impl Iterator<Item = (&'a SeriesKey, &'a BTreeMap<i64, Box<str>>)> + 'a {
        self.series.iter().filter(move |((name, _), _)| name == measurement)
    }
}

/// Fields as text: the names and values of one line's middle. Names hold nothing that needs an escape.
fn render(fields: &BTreeMap<String, FieldValue>) -> Box<str> {
    let one = |(name, value): (&String, &FieldValue)| match value {
        FieldValue::Float(value) => format!("{name}={value}"),
        FieldValue::Integer(value) => format!("{name}={value}i"),
        FieldValue::Boolean(value) => format!("{name}={value}"),
        FieldValue::Text(value) => format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
    };
    fields.iter().map(one).collect::<Vec<_>>().join(",").into()
}

fn read(fields: &str) -> BTreeMap<String, FieldValue> {
    parse_line(&format!("m {fields} 0")).expect("text made by render").fields
}
