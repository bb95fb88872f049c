//! Rows as CSV (RFC 4180) out of their JSON: what is nested becomes columns with dots (`status.2xx`), in the order in which it stands there. Pure.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

/// The rows with a line of column names, which `blank` says when there are no rows. Lines end in CRLF.
pub(crate) fn write(blank: Option<&str>, rows: &[String]) -> String {
    let mut text = String::new();
    if let Some(first) = rows.first().map(String::as_str).or(blank) {
        line(&mut text, flatten(first).iter().map(|(column, _)| column.as_str()));
    }
    for row in rows {
        line(&mut text, flatten(row).iter().map(|(_, value)| value.as_str()));
    }
    text
}

fn line<'a>(text: &mut String, values: impl Iterator<Item = &'a str>) {
    for (number, value) in values.enumerate() {
        if number > 0 {
            text.push(',');
        }
        if value.contains(['"', ',', '\r', '\n']) || value.starts_with(' ') || value.ends_with(' ') {
            text.push('"');
            text.push_str(&value.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(value);
        }
    }
    text.push_str("\r\n");
}

/// Columns and values of an object's JSON; null is an empty value.
fn flatten(json: &str) -> Vec<(String, String)> {
    let mut cells = Vec::new();
    let seed = Cells { name: String::new(), cells: &mut cells };
    let mut deserializer = serde_json::Deserializer::from_str(json);
    seed.deserialize(&mut deserializer).expect("JSON that was just made");
    cells
}

struct Cells<'a> {
    name: String,
    cells: &'a mut Vec<(String, String)>,
}

impl Cells<'_> {
    fn put(self, value: impl ToString) {
        self.cells.push((self.name, value.to_string()));
    }
}

impl<'de> DeserializeSeed<'de> for Cells<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cells<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value of an answer")
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.put("");
        Ok(())
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.put(value);
        Ok(())
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.put(value);
        Ok(())
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.put(value);
        Ok(())
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        // As JSON writes it, so that all forms show the same digits.
        self.put(serde_json::to_string(&value).map_err(E::custom)?);
        Ok(())
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.put(value);
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let name = if self.name.is_empty() { key } else { format!("{}.{key}", self.name) };
            map.next_value_seed(Cells { name, cells: &mut *self.cells })?;
        }
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut number = 0;
        while list
            .next_element_seed(Cells { name: format!("{}.{number}", self.name), cells: &mut *self.cells })?
            .is_some()
        {
            number += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_lines_with_a_header() {
        let rows = [
            r#"{"id":"a","n":1,"status":{"2xx":3,"5xx":0},"p50":0.1,"none":null}"#.to_owned(),
            r#"{"id":"b,\"c\"\r\nd","n":18446744073709551615,"status":{"2xx":0,"5xx":-1},"p50":1e-5,"none":true}"#.to_owned(),
        ];
        assert_eq!(
            write(None, &rows),
            "id,n,status.2xx,status.5xx,p50,none\r\na,1,3,0,0.1,\r\n\"b,\"\"c\"\"\r\nd\",18446744073709551615,0,-1,0.00001,true\r\n"
                .replace("0.00001", &serde_json::to_string(&1e-5).expect("a number"))
        );
        assert_eq!(write(Some(r#"{"a":null,"b":{"c":[1,2]}}"#), &[]), "a,b.c.0,b.c.1\r\n");
        assert_eq!(write(None, &[]), "");
    }
}
