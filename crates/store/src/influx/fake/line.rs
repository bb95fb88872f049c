//! A plain reader of line protocol, written from InfluxDB's description of it and apart from our encoder, so that each checks the other. No I/O.

use std::collections::BTreeMap;

/// A point as InfluxDB would keep it.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Measurement.
    pub measurement: String,
    /// Tags by name.
    pub tags: BTreeMap<String, String>,
    /// Fields by name.
    pub fields: BTreeMap<String, FieldValue>,
    /// Time in nanoseconds since 1970.
    pub time_nanos: i64,
}

/// A field's value.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    /// A number without a suffix.
    Float(f64),
    /// A number ending in `i`.
    Integer(i64),
    /// A text in quotes.
    Text(String),
    /// `true` or `false`.
    Boolean(bool),
}

/// Reads one line, without its newline. Errors say what InfluxDB would have refused.
pub fn parse_line(line: &str) -> Result<Point, String> {
    let mut rest = line;
    let (measurement, end) = name(&mut rest, ", ")?;
    let mut tags = BTreeMap::new();
    let mut end = end;
    while end == ',' {
        let (key, after) = name(&mut rest, "=, ")?;
        if after != '=' {
            return Err(format!("missing tag value after {key:?}"));
        }
        let (value, after) = name(&mut rest, ", ")?;
        if tags.insert(key.clone(), value).is_some() {
            return Err(format!("duplicate tag {key:?}"));
        }
        end = after;
    }
    if end != ' ' {
        return Err("missing fields".to_owned());
    }
    let mut fields = BTreeMap::new();
    let mut end = ',';
    while end == ',' {
        let (key, after) = name(&mut rest, "=, ")?;
        if after != '=' {
            return Err(format!("missing field value after {key:?}"));
        }
        let (value, after) = field_value(&mut rest)?;
        fields.insert(key, value);
        end = after;
    }
    if end != ' ' {
        return Err("missing timestamp".to_owned());
    }
    let time_nanos = rest.parse().map_err(|_| format!("bad timestamp {rest:?}"))?;
    Ok(Point { measurement, tags, fields, time_nanos })
}

/// A name or tag value up to one of `ends`; a backslash takes the special meaning from comma, equals sign and space, and is itself otherwise.
fn name(rest: &mut &str, ends: &str) -> Result<(String, char), String> {
    let mut found = String::new();
    let mut chars = rest.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if chars.peek().is_some_and(|(_, next)| ",= ".contains(*next)) => {
                found.extend(chars.next().map(|(_, next)| next));
            }
            _ if ends.contains(c) => {
                *rest = &rest[at + c.len_utf8()..];
                return if found.is_empty() {
                    Err("an empty name or tag value".to_owned())
                } else {
                    Ok((found, c))
                };
            }
            _ => found.push(c),
        }
    }
    Err(format!("the line ends after {found:?}"))
}

fn field_value(rest: &mut &str) -> Result<(FieldValue, char), String> {
    if let Some(text) = rest.strip_prefix('"') {
        let mut found = String::new();
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' if chars.peek().is_some_and(|(_, next)| "\"\\".contains(*next)) => {
                    found.extend(chars.next().map(|(_, next)| next));
                }
                '"' => {
                    let after = &text[at + 1..];
                    let end = after.chars().next().ok_or("the line ends after a text")?;
                    *rest = &after[end.len_utf8()..];
                    return Ok((FieldValue::Text(found), end));
                }
                _ => found.push(c),
            }
        }
        return Err("unbalanced quotes".to_owned());
    }
    let at = rest.find([',', ' ']).ok_or("the line ends in a field value")?;
    let (text, end) = (&rest[..at], rest.as_bytes()[at]);
    *rest = &rest[at + 1..];
    let bad = || format!("invalid field value {text:?}");
    let value = match text {
        "true" | "t" | "T" | "TRUE" => FieldValue::Boolean(true),
        "false" | "f" | "F" | "FALSE" => FieldValue::Boolean(false),
        _ => match text.strip_suffix('i') {
            Some(digits) => FieldValue::Integer(digits.parse().map_err(|_| bad())?),
            None => {
                FieldValue::Float(text.parse().ok().filter(|value: &f64| value.is_finite()).ok_or_else(bad)?)
            }
        },
    };
    Ok((value, char::from(end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_influxdb_reads_it() {
        let point =
            parse_line(r#"m,a\,b=x\ y\=\z,c=d f=1,g="say \"hi\" \\ \n",h=-7i,t=true 12"#).expect("good");
        let tags: Vec<(&str, &str)> =
            point.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!((point.measurement.as_str(), point.time_nanos), ("m", 12));
        assert_eq!(tags, [("a,b", r"x y=\z"), ("c", "d")]);
        assert_eq!(point.fields["f"], FieldValue::Float(1.0));
        assert_eq!(point.fields["g"], FieldValue::Text(r#"say "hi" \ \n"#.to_owned()));
        assert_eq!(point.fields["h"], FieldValue::Integer(-7));
        assert_eq!(point.fields["t"], FieldValue::Boolean(true));
    }

    #[test]
    fn what_influxdb_refuses_is_refused() {
        for line in [
            "",
            "m",
            "m f=1",
            "m,a f=1 1",
            "m,a= f=1 1",
            "m,a=b\\ f=1 1",
            "m,a=b 1",
            "m f= 1",
            "m f=NaN 1",
            "m f=1x 1",
            "m f=\"open 1",
            "m f=1 now",
            "m,a=1,a=2 f=1 1",
        ] {
            assert!(parse_line(line).is_err(), "{line:?}");
        }
    }
}
