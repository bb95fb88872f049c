//! The annotated CSV that answers a Flux query, read as it arrives: bytes in, rows out. Knows result names, defaults, nulls and the error table that can follow
//! good rows inside a 200. Pure; nothing here knows HTTP or what a row means.

use std::str;

/// The longest row that is read, in bytes. Ours are below 10 kB; more means that something else is answering.
const ROW_MAX_BYTES: usize = 1024 * 1024;

/// Reads annotated CSV piece by piece.
#[derive(Debug, Default)]
pub(super) struct AnnotatedCsv {
    record: Record,
    state: State,
    /// Whether the next record that is no annotation names the columns.
    header_expected: bool,
    columns: Vec<String>,
    defaults: Vec<String>,
    started: bool,
}

/// One row of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    columns: &'a [String],
    defaults: &'a [String],
    record: &'a Record,
}

/// Why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AnswerError {
    /// The server failed after it had begun to answer.
    #[error("the query failed: {0}")]
    Failed(String),
    /// Not the CSV of a Flux query.
    #[error("unreadable answer: {0}")]
    Malformed(String),
}

/// The cells of one line of CSV, quotes resolved.
#[derive(Debug, Default)]
struct Record {
    bytes: Vec<u8>,
    /// Where each cell ends in `bytes`; the last one is being read.
    ends: Vec<usize>,
    /// A cell of this record was quoted: an empty line and one empty quoted cell differ.
    quoted: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing of this cell yet.
    #[default]
    CellStart,
    /// In a cell without quotes.
    Bare,
    /// Between quotes.
    Quoted,
    /// After a quote that ends the cell, or is the first of two.
    QuoteSeen,
}

impl AnnotatedCsv {
    pub(super) fn new() -> AnnotatedCsv {
        AnnotatedCsv { header_expected: true, ..AnnotatedCsv::default() }
    }

    /// Reads the next bytes; `on_row` is called for each row that they complete.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        on_row: &mut impl FnMut(&Row<'_>) -> Result<(), AnswerError>,
    ) -> Result<(), AnswerError> {
        for &byte in bytes {
            match (self.state, byte) {
                (State::CellStart, b'"') => {
                    self.record.quoted = true;
                    self.state = State::Quoted;
                }
                (State::Quoted, b'"') => self.state = State::QuoteSeen,
                (State::QuoteSeen, b'"') => {
                    self.record.bytes.push(b'"');
                    self.state = State::Quoted;
                }
                (State::Quoted, _) => self.record.bytes.push(byte),
                (_, b',') => self.record.end_cell(&mut self.state),
                (_, b'\n') => {
                    if self.state == State::Bare && self.record.bytes.last() == Some(&b'\r') {
                        self.record.bytes.pop();
                    }
                    self.end_record(on_row)?;
                }
                (State::QuoteSeen, b'\r') => {}
                (State::QuoteSeen, _) => {
                    return Err(AnswerError::Malformed("text after a closing quote".to_owned()));
                }
                (State::CellStart | State::Bare, _) => {
                    self.record.bytes.push(byte);
                    self.state = State::Bare;
                }
            }
        }
        if self.record.bytes.len() > ROW_MAX_BYTES {
            return Err(AnswerError::Malformed(format!("a row of more than {ROW_MAX_BYTES} bytes")));
        }
        Ok(())
    }

    /// The answer has ended.
    pub(super) fn finish(
        mut self,
        on_row: &mut impl FnMut(&Row<'_>) -> Result<(), AnswerError>,
    ) -> Result<(), AnswerError> {
        if self.state == State::Quoted {
            return Err(AnswerError::Malformed("the answer ends inside quotes".to_owned()));
        }
        if self.record.bytes.is_empty() && self.record.ends.is_empty() && !self.record.quoted {
            return Ok(());
        }
        self.end_record(on_row)
    }

    fn end_record(
        &mut self,
        on_row: &mut impl FnMut(&Row<'_>) -> Result<(), AnswerError>,
    ) -> Result<(), AnswerError> {
        self.record.end_cell(&mut self.state);
        let result = self.take_record(on_row);
        self.record.bytes.clear();
        self.record.ends.clear();
        self.record.quoted = false;
        result
    }

    fn take_record(
        &mut self,
        on_row: &mut impl FnMut(&Row<'_>) -> Result<(), AnswerError>,
    ) -> Result<(), AnswerError> {
        // Each cell, not only all of them together: a comma must not lie inside a character.
        let text = str::from_utf8(&self.record.bytes);
        if !text.is_ok_and(|text| self.record.ends.iter().all(|end| text.is_char_boundary(*end))) {
            return Err(AnswerError::Malformed("not UTF-8".to_owned()));
        }
        if !self.started {
            self.started = true;
            // A byte order mark is the one thing that may stand before the first cell.
            if self.record.cell(0).is_some_and(|first| first.starts_with('\u{feff}')) {
                self.record.bytes.drain(..3);
                self.record.ends.iter_mut().for_each(|end| *end -= 3);
            }
        }
        let record = &self.record;
        if record.bytes.is_empty() && record.ends.len() == 1 && !record.quoted {
            self.header_expected = true;
            return Ok(());
        }
        let first = record.cell(0).unwrap_or_default();
        if first.starts_with('#') && !record.quoted {
            if !self.header_expected {
                self.defaults.clear();
            }
            self.header_expected = true;
            if first == "#default" {
                self.defaults = record.cells().map(str::to_owned).collect();
            }
            return Ok(());
        }
        if self.header_expected {
            self.columns = record.cells().map(str::to_owned).collect();
            self.header_expected = false;
            return Ok(());
        }
        let row = Row { columns: &self.columns, defaults: &self.defaults, record };
        if row.has_column("error") && row.has_column("reference") {
            let words = row.get("error").unwrap_or("without a word");
            return Err(AnswerError::Failed(words.to_owned()));
        }
        on_row(&row)
    }
}

impl Record {
    fn end_cell(&mut self, state: &mut State) {
        self.ends.push(self.bytes.len());
        *state = State::CellStart;
    }

    fn cell(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        // Looked at in `take_record`.
        str::from_utf8(&self.bytes[start..end]).ok()
    }

    fn cells(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).filter_map(|index| self.cell(index))
    }
}

impl<'a> Row<'a> {
    /// The name of the result (the script's `yield`) that this row belongs to.
    pub(super) fn result(&self) -> &'a str {
        self.get("result").unwrap_or_default()
    }

    /// A cell by its column's name; None where there is none, and for null.
    pub(super) fn get(&self, column: &str) -> Option<&'a str> {
        let index = self.columns.iter().position(|name| name == column)?;
        let value = self.record.cell(index)?;
        if !value.is_empty() {
            return Some(value);
        }
        self.defaults.get(index).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A cell that must be there.
    pub(super) fn require(&self, column: &str) -> Result<&'a str, AnswerError> {
        self.get(column)
            .ok_or_else(|| AnswerError::Malformed(format!("a row of `{}` without `{column}`", self.result())))
    }

    /// A cell that must be there and be of a type.
    pub(super) fn parse<T: str::FromStr>(&self, column: &str) -> Result<T, AnswerError> {
        let text = self.require(column)?;
        text.parse().map_err(|_| {
            let shown: String = text.chars().take(40).collect();
            AnswerError::Malformed(format!("`{column}` of a row of `{}` is {shown:?}", self.result()))
        })
    }

    /// An instant, as whole seconds since 1970 and nanoseconds.
    pub(super) fn time(&self, column: &str) -> Result<(i64, u32), AnswerError> {
        let time: chrono::DateTime<chrono::FixedOffset> = self.parse(column)?;
        Ok((time.timestamp(), time.timestamp_subsec_nanos()))
    }

    fn has_column(&self, column: &str) -> bool {
        self.columns.iter().any(|name| name == column)
    }
}

/// A row for tests from outside: each column's name, with the row's value.
#[cfg(feature = "fake")]
pub type OwnedRow = Vec<(String, Option<String>)>;

/// The rows of an answer that arrives in these pieces, or what is wrong with it.
///
/// # Errors
/// It is no answer of ours, or tells that the query failed.
#[cfg(feature = "fake")]
pub fn answer_rows<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<OwnedRow>, String> {
    let mut rows = Vec::new();
    let mut on_row = |row: &Row<'_>| {
        let value = |name: &String| (name.clone(), row.get(name).map(str::to_owned));
        rows.push(row.columns.iter().map(value).collect());
        // What a row is asked for may be wrong, and must be so in words.
        for column in row.columns {
            let _either = (row.parse::<f64>(column), row.parse::<i64>(column), row.time(column));
        }
        Ok(())
    };
    let mut reader = AnnotatedCsv::new();
    let read = pieces.into_iter().try_for_each(|piece| reader.feed(piece, &mut on_row));
    read.and_then(|()| reader.finish(&mut on_row)).map_err(|error| error.to_string())?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads `text` in pieces of `size` bytes, and shows each row as result: column=value pairs.
    fn read(text: &str, size: usize) -> Result<Vec<String>, AnswerError> {
        let mut rows = Vec::new();
        let mut on_row = |row: &Row<'_>| {
            let cells: Vec<String> = row
                .columns
                .iter()
                .filter(|name| !name.is_empty())
                .map(|name| format!("{name}={:?}", row.get(name)))
                .collect();
            rows.push(format!("{}: {}", row.result(), cells.join(" ")));
            Ok(())
        };
        let mut reader = AnnotatedCsv::new();
        for piece in text.as_bytes().chunks(size) {
            reader.feed(piece, &mut on_row)?;
        }
        reader.finish(&mut on_row)?;
        Ok(rows)
    }

    const TWO_RESULTS: &str = "#datatype,string,long,string,long\r\n#group,false,false,true,false\r\n#default,n,,,\r\n,result,table,customer_id,_value\r\n\
        ,,0,a,7\r\n,,1,\"b, \"\"x\"\"\",8\r\n\r\n#datatype,string,long,double\r\n#group,false,false,false\r\n#default,p50,,\r\n,result,table,_value\r\n,,0,0.5\r\n,,0,\r\n\r\n";

    #[test]
    fn rows_carry_the_name_of_their_result_and_nulls_are_none() {
        let whole = read(TWO_RESULTS, 4096).expect("good");
        insta::assert_snapshot!(whole.join("\n"), @r#"
        n: result=Some("n") table=Some("0") customer_id=Some("a") _value=Some("7")
        n: result=Some("n") table=Some("1") customer_id=Some("b, \"x\"") _value=Some("8")
        p50: result=Some("p50") table=Some("0") _value=Some("0.5")
        p50: result=Some("p50") table=Some("0") _value=None
        "#);
        for size in 1..9 {
            assert_eq!(read(TWO_RESULTS, size).as_ref(), Ok(&whole), "cut into {size} bytes");
        }
    }

    #[test]
    fn a_result_column_without_annotations_names_the_result() {
        let rows = read(",result,table,_value\n,n,0,1\n\n,result,table,_time\n,p,0,x", 5).expect("good");
        assert_eq!(
            rows,
            [
                r#"n: result=Some("n") table=Some("0") _value=Some("1")"#,
                r#"p: result=Some("p") table=Some("0") _time=Some("x")"#
            ]
        );
    }

    #[test]
    fn an_empty_answer_has_no_rows() {
        for text in ["", "\r\n", "\r\n\r\n", "\n"] {
            assert_eq!(read(text, 1), Ok(Vec::new()), "{text:?}");
        }
    }

    #[test]
    fn an_error_after_good_rows_is_an_error() {
        for error in [
            "#datatype,string,string\r\n#group,true,true\r\n#default,,\r\n,error,reference\r\n,memory limit exceeded,897\r\n",
            "error,reference\r\nmemory limit exceeded,\r\n",
        ] {
            let text = format!("{TWO_RESULTS}{error}");
            assert_eq!(read(&text, 11), Err(AnswerError::Failed("memory limit exceeded".to_owned())));
        }
    }

    #[test]
    fn what_is_no_answer_is_malformed() {
        for text in [",a\r\n,\"unfinished", ",a\r\n,\"x\"y\r\n"] {
            assert!(matches!(read(text, 3), Err(AnswerError::Malformed(_))), "{text:?}");
        }
        let endless = format!(",a\r\n,{}", "x".repeat(ROW_MAX_BYTES + 10));
        assert!(matches!(read(&endless, 65536), Err(AnswerError::Malformed(_))));
    }

    /// A letter whose bytes lay in two cells was taken for text, and both cells were missing.
    #[test]
    fn a_letter_across_two_cells_is_malformed() {
        let mut reader = AnnotatedCsv::new();
        let read = reader.feed(b",a\n\xc3,\xb6\n", &mut |_| Ok(()));
        assert_eq!(read, Err(AnswerError::Malformed("not UTF-8".to_owned())));
    }

    /// A mark in the second cell, behind an empty first one, was taken off the first: a panic.
    #[test]
    fn a_byte_order_mark_belongs_to_the_first_cell_only() {
        assert_eq!(read(",\u{feff}a\n,1\n", 64), Ok(vec![": \u{feff}a=Some(\"1\")".to_owned()]));
        assert_eq!(read("\u{feff},a\n,1\n", 64), Ok(vec![": a=Some(\"1\")".to_owned()]));
    }

    proptest! {
        /// What the csv crate writes, however it is cut, reads back as it was.
        #[test]
        fn cells_read_back_as_they_were(cells in prop::collection::vec("[a-z,\"\r\n #=\\\\ö]{1,8}", 1..6), size in 1_usize..9) {
            let names: Vec<String> = (0..cells.len()).map(|index| format!("c{index}")).collect();
            let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
            writer.write_record(std::iter::once("").chain(names.iter().map(String::as_str))).expect("written to memory");
            writer.write_record(std::iter::once("").chain(cells.iter().map(String::as_str))).expect("written to memory");
            let text = writer.into_inner().expect("written to memory");

            let mut found = Vec::new();
            let mut on_row = |row: &Row<'_>| {
                found = names.iter().map(|name| row.get(name).unwrap_or_default().to_owned()).collect();
                Ok(())
            };
            let mut reader = AnnotatedCsv::new();
            for piece in text.chunks(size) {
                reader.feed(piece, &mut on_row).expect("good");
            }
            reader.finish(&mut on_row).expect("good");
            prop_assert_eq!(found, cells);
        }

        /// No bytes make it panic.
        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = AnnotatedCsv::new();
            let mut on_row = |row: &Row<'_>| { let _read = (row.result(), row.get("_value")); Ok(()) };
            if reader.feed(&bytes, &mut on_row).is_ok() {
                let _any = reader.finish(&mut on_row);
            }
        }
    }
}
