//! The reader of Flux's annotated CSV: any bytes are safe, cuts change nothing, and the rows read the same when they are written again.

use store::influx::answer_rows;

/// Pieces of answers.
pub const TOKENS: &[&[u8]] = &[
    b",",
    b"\r\n",
    b"\n",
    b"\r",
    b"\"",
    b"\"\"",
    b"\"a,b\"",
    b"#default,n,,\r\n",
    b"#datatype,string,long,double\r\n",
    b"#group,false,false,false\r\n",
    b",result,table,_value\r\n",
    b"\r\n\r\n",
    b",error,reference\r\n,memory limit exceeded,897\r\n",
    b"\xef\xbb\xbf",
    b"\xff",
    b"2024-09-14T16:15:35.123456789Z",
    b"NaN",
    b"+Inf",
    b"-9223372036854775809",
];

/// The first byte says into how many parts the answer is cut.
pub fn csv(bytes: &[u8]) {
    let Some((&cut, answer)) = bytes.split_first() else { return };
    let whole = answer_rows([answer]);
    assert_eq!(whole, answer_rows(answer.chunks(usize::from(cut) + 1)), "cut otherwise, it reads otherwise");
    assert_eq!(whole, answer_rows(answer.chunks(1)), "cut into bytes, it reads otherwise");
    let Ok(rows) = whole else { return };
    for row in rows {
        // An empty cell is null; a column named twice gives its first cell.
        // The line before keeps a byte order mark in a name from being one.
        let mut text = b"\r\n".to_vec();
        for (names, cells) in [(true, &row), (false, &row)] {
            for (index, (name, value)) in cells.iter().enumerate() {
                let cell = if names { name.as_str() } else { value.as_deref().unwrap_or_default() };
                text.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
                text.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
                text.push(b'"');
            }
            text.extend_from_slice(b"\r\n");
        }
        assert_eq!(answer_rows([text.as_slice()]), Ok(vec![row]), "a row that is written reads otherwise");
    }
}
