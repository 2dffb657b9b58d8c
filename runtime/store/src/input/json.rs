//! JSON: the objects of an array, of a line each, or one alone, found in the bytes as they come.

use std::io::{BufRead, Read};

use arrow::array::RecordBatch;
use domicile_types::limits;

use super::columns::{self, Wanted};
use super::json_row::RowDecoder;
use super::texts::Texts;
use super::{Bytes, Format, broken_off};
use crate::StoreError;
use crate::refusals::Refusals;

/// Rows as JSON objects.
pub(crate) struct JsonInput {
    objects: Objects,
    decoder: RowDecoder,
    texts: Texts,
    wanted: Wanted,
}

impl JsonInput {
    pub(super) fn new(bytes: Bytes, format: Format, wanted: Wanted) -> Self {
        let place = if format == Format::Ndjson { Place::Lines } else { Place::Start };
        let objects = Objects { bytes, format, place, text: Vec::new(), rows: 0 };
        Self { objects, decoder: RowDecoder::new(wanted.clone()), texts: Texts::new(&wanted.schema), wanted }
    }

    pub(super) fn next(&mut self, offset: usize, refusals: &mut Refusals) -> Result<Option<RecordBatch>, StoreError> {
        while !self.texts.is_full() && self.objects.read()? {
            let row = offset + self.texts.rows();
            let decoded = self.decoder.decode(&self.objects.text, row, &mut self.texts, refusals);
            decoded.map_err(|problem| self.objects.malformed(problem))?;
            self.objects.rows += 1;
        }
        let Some(texts) = self.texts.take()? else { return Ok(None) };
        columns::parse(&texts, &self.wanted.schema, offset, refusals).map(Some)
    }
}

/// Where the next object is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On a line.
    Lines,
    /// At the start of the text, alone or in an array.
    Start,
    /// Behind an array's opening bracket.
    First,
    /// Behind an array's object.
    Next,
    /// Nowhere: only white space may follow.
    Done,
}

/// The objects in a text, one at a time, each found by its braces and not looked into any further.
struct Objects {
    bytes: Bytes,
    format: Format,
    place: Place,
    /// The present object.
    text: Vec<u8>,
    /// Objects that were read and decoded.
    rows: u64,
}

impl Objects {
    /// Reads an object; false where there is none left.
    fn read(&mut self) -> Result<bool, StoreError> {
        self.text.clear();
        if self.place == Place::Lines {
            return self.line();
        }
        loop {
            let found = self.visible()?;
            match (self.place, found) {
                (Place::Done, None) => return Ok(false),
                (Place::Start, Some(b'[')) => self.place = Place::First,
                (Place::First | Place::Next, Some(b']')) => self.place = Place::Done,
                (Place::Start, Some(b'{')) => {
                    self.place = Place::Done;
                    return self.object();
                }
                (Place::First, Some(b'{')) => {
                    self.place = Place::Next;
                    return self.object();
                }
                (Place::Next, Some(b',')) if self.visible()? == Some(b'{') => return self.object(),
                (Place::Done, Some(_)) => return Err(self.malformed("there is text behind its end".to_owned())),
                (_, None) => return Err(self.malformed("it ends too early".to_owned())),
                (Place::Next, Some(_)) => {
                    return Err(self.malformed("`,` and an object, or `]`, must follow".to_owned()));
                }
                _ => return Err(self.malformed("an object in braces must follow".to_owned())),
            }
        }
    }

    fn line(&mut self) -> Result<bool, StoreError> {
        let most = limits::ROW_BYTES_MAX as u64 + 1;
        while self.bytes.by_ref().take(most).read_until(b'\n', &mut self.text).map_err(broken_off)? > 0 {
            self.check_length()?;
            if !self.text.trim_ascii().is_empty() {
                return Ok(true);
            }
            self.text.clear();
        }
        Ok(false)
    }

    /// Takes the next byte that is not white space.
    fn visible(&mut self) -> Result<Option<u8>, StoreError> {
        loop {
            let bytes = self.bytes.fill_buf().map_err(broken_off)?;
            let length = bytes.len();
            if length == 0 {
                return Ok(None);
            }
            let place = bytes.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
            let found = place.map(|place| bytes[place]);
            self.bytes.consume(place.map_or(length, |place| place + 1));
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// Takes the bytes up to the brace that closes the one just taken.
    fn object(&mut self) -> Result<bool, StoreError> {
        self.text.push(b'{');
        let mut braces = Braces { depth: 1, quoted: false, escaped: false };
        loop {
            let bytes = self.bytes.fill_buf().map_err(broken_off)?;
            if bytes.is_empty() {
                return Err(self.malformed("it ends inside an object".to_owned()));
            }
            let end = braces.close(bytes);
            let taken = end.unwrap_or(bytes.len());
            self.text.extend_from_slice(&bytes[..taken]);
            self.bytes.consume(taken);
            self.check_length()?;
            if end.is_some() {
                return Ok(true);
            }
        }
    }

    fn check_length(&self) -> Result<(), StoreError> {
        let max = limits::ROW_BYTES_MAX;
        if self.text.len() <= max {
            return Ok(());
        }
        let advice = "look for a quote or brace that is never closed";
        Err(StoreError::Oversized { what: "row", row: self.rows, max: max as u64, unit: "bytes", advice })
    }

    fn malformed(&self, problem: String) -> StoreError {
        StoreError::Malformed { format: self.format, row: self.rows, problem }
    }
}

/// How deep in braces and brackets a text is.
struct Braces {
    depth: usize,
    quoted: bool,
    escaped: bool,
}

impl Braces {
    /// Where the outermost brace closes, if it does in these bytes: the position behind it.
    fn close(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'"' => self.quoted = !self.quoted,
                b'\\' if self.quoted => self.escaped = true,
                _ if self.quoted => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}
