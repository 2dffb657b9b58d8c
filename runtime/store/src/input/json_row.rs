//! One JSON object as a row of texts. Numbers are taken digit by digit, and no value becomes one of another kind.

use std::borrow::Cow;
use std::collections::HashMap;

use arrow::datatypes::DataType;
use domicile_types::limits;
use serde::de::IgnoredAny;

use super::columns::Wanted;
use super::texts::Texts;
use crate::catalog::type_name;
use crate::refusals::{RefusalReason, Refusals};

/// Longest unknown name that a similar one is looked for, in bytes.
const SIMILAR_BYTES_MAX: usize = 128;

/// Decodes objects, most quickly where their members are in the order of the declaration.
pub(super) struct RowDecoder {
    wanted: Wanted,
    by_name: HashMap<String, usize>,
    /// Objects decoded so far.
    objects: u64,
    /// The last object that had each column.
    seen: Vec<u64>,
}

impl RowDecoder {
    pub(super) fn new(wanted: Wanted) -> Self {
        let names = wanted.schema.fields().iter().map(|field| field.name().clone());
        let by_name: HashMap<_, _> = names.zip(0..).collect();
        let seen = vec![0; by_name.len()];
        Self { wanted, by_name, objects: 0, seen }
    }

    /// Puts the object into `texts` as row `index` of the chunk that `refusals` is at.
    ///
    /// # Errors
    /// Where the text is not one JSON object.
    pub(super) fn decode(
        &mut self,
        object: &[u8],
        index: usize,
        texts: &mut Texts,
        refusals: &mut Refusals,
    ) -> Result<(), String> {
        let text = std::str::from_utf8(object).map_err(|_| "the next row is not UTF-8".to_owned())?;
        let mut json = Json { text, at: 0 };
        self.objects += 1;
        let mut likely = 0;
        json.expect(b'{', "an object in braces")?;
        if !json.accept(b'}') {
            loop {
                let name = json.string()?;
                json.expect(b':', "`:`")?;
                let value = json.value()?;
                likely = self.member(&name.decoded()?, &value, likely, index, texts, refusals)?;
                if json.accept(b'}') {
                    break;
                }
                json.expect(b',', "`,` or `}`")?;
            }
        }
        json.end()?;
        for (column, seen) in self.seen.iter().enumerate() {
            if *seen != self.objects {
                texts.push(column, None);
            }
        }
        texts.end_row();
        Ok(())
    }

    /// Takes a member. Gives the column that likely comes next.
    fn member(
        &mut self,
        name: &str,
        value: &Value<'_>,
        likely: usize,
        index: usize,
        texts: &mut Texts,
        refusals: &mut Refusals,
    ) -> Result<usize, String> {
        let fields = self.wanted.schema.fields();
        let expected = fields.get(likely).is_some_and(|field| field.name() == name);
        let Some(column) = expected.then_some(likely).or_else(|| self.by_name.get(name).copied()) else {
            let shown: String = name.chars().take(limits::REFUSED_VALUE_CHARS_MAX).collect();
            refusals.refuse(index, &shown, || Some(value.shown()), self.unknown(name));
            return Ok(likely);
        };
        if std::mem::replace(&mut self.seen[column], self.objects) == self.objects {
            refusals.refuse(index, name, || Some(value.shown()), RefusalReason::RepeatedColumn);
            return Ok(column + 1);
        }
        let kind = fields[column].data_type();
        if !value.fits(kind) {
            let reason = RefusalReason::Malformed { expected: type_name(kind) };
            refusals.refuse(index, name, || Some(value.shown()), reason);
            texts.push(column, None);
            return Ok(column + 1);
        }
        match value {
            Value::Null => texts.push(column, None),
            Value::Text(text) => texts.push(column, Some(&text.decoded()?)),
            Value::Number(text) | Value::Boolean(text) | Value::Nested(text) => texts.push(column, Some(text)),
        }
        Ok(column + 1)
    }

    fn unknown(&self, name: &str) -> RefusalReason {
        if self.wanted.is_declared(name) {
            return RefusalReason::NotKey;
        }
        let nearest = if name.len() <= SIMILAR_BYTES_MAX { self.wanted.nearest(name) } else { None };
        RefusalReason::UnknownColumn { nearest }
    }
}

enum Value<'a> {
    Null,
    Boolean(&'a str),
    Number(&'a str),
    Text(Quoted<'a>),
    /// An array or an object, which no column holds.
    Nested(&'a str),
}

impl Value<'_> {
    fn fits(&self, kind: &DataType) -> bool {
        use DataType::{Boolean, Date32, Decimal128, Float64, Int32, Int64, Utf8};
        match self {
            Value::Null => true,
            Value::Boolean(_) => matches!(kind, Boolean),
            Value::Number(_) => matches!(kind, Int32 | Int64 | Float64 | Decimal128(..)),
            Value::Text(_) => matches!(kind, Utf8 | Date32 | Decimal128(..)),
            Value::Nested(_) => false,
        }
    }

    /// As it was written.
    fn shown(&self) -> String {
        let raw = match self {
            Value::Null => "null",
            Value::Boolean(raw) | Value::Number(raw) | Value::Nested(raw) => raw,
            Value::Text(quoted) => quoted.raw,
        };
        raw.chars().take(limits::REFUSED_VALUE_CHARS_MAX).collect()
    }
}

/// A text in quotes.
struct Quoted<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Quoted<'a> {
    fn decoded(&self) -> Result<Cow<'a, str>, String> {
        match self.escaped {
            false => Ok(Cow::Borrowed(&self.raw[1..self.raw.len() - 1])),
            true => serde_json::from_str(self.raw).map(Cow::Owned).map_err(|error| format!("a text in it: {error}")),
        }
    }
}

/// A text that is read from left to right. White space is passed over before each part.
struct Json<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Json<'a> {
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, name: &str) -> Result<(), String> {
        if self.accept(byte) { Ok(()) } else { Err(self.missing(name)) }
    }

    fn end(&mut self) -> Result<(), String> {
        if self.peek().is_none() { Ok(()) } else { Err(self.missing("the end of the row")) }
    }

    fn missing(&self, what: &str) -> String {
        format!("{what} is missing at byte {} of the next row", self.at + 1)
    }

    fn string(&mut self) -> Result<Quoted<'a>, String> {
        self.expect(b'"', "a text in quotes")?;
        let start = self.at - 1;
        let mut escaped = false;
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(0..=0x1f) => return Err(self.missing("an escape (`\\n` for a line break)")),
                Some(_) => self.at += 1,
                None => return Err(self.missing("a closing quote")),
            }
        }
        self.at += 1;
        Ok(Quoted { raw: &self.text[start..self.at], escaped })
    }

    fn value(&mut self) -> Result<Value<'a>, String> {
        match self.peek() {
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(b'n') => self.word("null").map(|_| Value::Null),
            Some(b't') => self.word("true").map(Value::Boolean),
            Some(b'f') => self.word("false").map(Value::Boolean),
            Some(b'[' | b'{') => self.nested().map(Value::Nested),
            _ => Err(self.missing("a value")),
        }
    }

    fn word(&mut self, word: &str) -> Result<&'a str, String> {
        let rest = &self.text[self.at..];
        if !rest.starts_with(word) {
            return Err(self.missing("a value"));
        }
        self.at += word.len();
        Ok(&rest[..word.len()])
    }

    fn number(&mut self) -> Result<&'a str, String> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        self.at += usize::from(bytes[self.at] == b'-');
        if bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = bytes.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(bytes.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), String> {
        let rest = &self.text.as_bytes()[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        if digits > 0 { Ok(()) } else { Err(self.missing("a digit")) }
    }

    fn nested(&mut self) -> Result<&'a str, String> {
        let rest = &self.text[self.at..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        match values.next() {
            Some(Ok(_)) => {
                let length = values.byte_offset();
                self.at += length;
                Ok(&rest[..length])
            }
            Some(Err(error)) => Err(format!("a value in it: {error}")),
            None => Err(self.missing("a value")),
        }
    }
}
