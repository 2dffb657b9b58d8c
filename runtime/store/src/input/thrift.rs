//! Thrift's compact protocol, read so that Parquet's own reader finds the same in the same bytes, or nothing is found.
//!
//! That reader believes the kind of a field from its number, and reserves memory for what lists claim to hold. Here,
//! each known field has to be of its kind, and no list may claim more than the bytes behind it could hold.

use domicile_types::limits;

/// What a value has to be. The shapes that exist do not contain themselves, so walking along one needs no limit.
pub(super) enum Shape {
    Bool,
    Byte,
    I16,
    I32,
    I64,
    Double,
    Binary,
    List(&'static Self),
    /// Known fields by number. Others are passed over.
    Struct(&'static [(i16, Self)]),
}

/// Kinds as they are written.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// Deepest that unknown fields are passed over; Parquet's reader stops at 64.
const UNKNOWN_DEPTH_MAX: usize = 32;

/// Where the bytes end before what they hold.
pub(super) const CUT_OFF: &str = "its description is cut off";
const ILL_FORMED: &str = "its description is not what a writer of this format makes";

/// A kind as it is written.
pub(super) type Kind = u8;

/// Reads values one after the other.
pub(super) struct Thrift<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Elements of lists so far.
    items: usize,
}

impl<'a> Thrift<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, items: 0 }
    }

    /// Bytes that were read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Gives each field of a struct to `field`, which has to read or pass over its value.
    pub(super) fn fields(
        &mut self,
        mut field: impl FnMut(&mut Self, i16, Kind) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut id = 0_i16;
        loop {
            let head = self.byte()?;
            let kind = head & 0x0f;
            if kind == 0 {
                return Ok(());
            }
            id = match head >> 4 {
                0 => i16::try_from(self.number()?).map_err(|_| ILL_FORMED)?,
                delta => id.checked_add(delta.into()).ok_or(ILL_FORMED)?,
            };
            field(self, id, kind)?;
        }
    }

    /// As [`Thrift::fields`], of a struct that is itself a field.
    pub(super) fn inner(
        &mut self,
        kind: Kind,
        field: impl FnMut(&mut Self, i16, Kind) -> Result<(), String>,
    ) -> Result<(), String> {
        expect(kind, STRUCT)?;
        self.fields(field)
    }

    /// The kind and number of the elements of a list, which follow.
    pub(super) fn list(&mut self, kind: Kind) -> Result<(Kind, usize), String> {
        expect(kind, LIST)?;
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => usize::try_from(self.varint()?).map_err(|_| ILL_FORMED)?,
            count => count.into(),
        };
        if count > self.bytes.len() - self.at {
            return Err(CUT_OFF.to_owned());
        }
        self.items += count;
        if self.items > limits::PARQUET_FOOTER_ITEMS_MAX {
            return Err(format!("its description has more than {} parts", limits::PARQUET_FOOTER_ITEMS_MAX));
        }
        Ok((head & 0x0f, count))
    }

    pub(super) fn i32(&mut self, kind: Kind) -> Result<i32, String> {
        expect(kind, I32)?;
        Ok(i32::try_from(self.number()?).map_err(|_| ILL_FORMED)?)
    }

    /// Reads a value that has to be of the shape.
    pub(super) fn check(&mut self, shape: &Shape, kind: Kind) -> Result<(), String> {
        match shape {
            Shape::Bool if matches!(kind, TRUE | FALSE) => Ok(()),
            Shape::Bool => Err(ILL_FORMED.to_owned()),
            Shape::Byte => expect(kind, BYTE).and_then(|()| self.pass(1)),
            Shape::I16 => {
                expect(kind, I16)?;
                Ok(i16::try_from(self.number()?).map(drop).map_err(|_| ILL_FORMED)?)
            }
            Shape::I32 => self.i32(kind).map(drop),
            Shape::I64 => expect(kind, I64).and_then(|()| self.number().map(drop)),
            Shape::Double => expect(kind, DOUBLE).and_then(|()| self.pass(8)),
            Shape::Binary => expect(kind, BINARY).and_then(|()| self.binary()),
            Shape::List(element) => {
                let (kind, count) = self.list(kind)?;
                (0..count).try_for_each(|_| self.check(element, kind))
            }
            Shape::Struct(known) => {
                self.inner(kind, |this, id, kind| match known.iter().find(|(field, _)| *field == id) {
                    Some((_, shape)) => this.check(shape, kind),
                    None => this.skip(kind),
                })
            }
        }
    }

    /// Passes over a value that is not known.
    pub(super) fn skip(&mut self, kind: Kind) -> Result<(), String> {
        self.skip_within(kind, UNKNOWN_DEPTH_MAX)
    }

    fn skip_within(&mut self, kind: Kind, depth: usize) -> Result<(), String> {
        let depth = depth.checked_sub(1).ok_or(ILL_FORMED)?;
        match kind {
            TRUE | FALSE => Ok(()),
            BYTE => self.pass(1),
            I16 | I32 | I64 => self.varint().map(drop),
            DOUBLE => self.pass(8),
            BINARY => self.binary(),
            STRUCT => self.fields(|this, _, kind| this.skip_within(kind, depth)),
            LIST => match self.list(kind)? {
                // Readers do not agree on how many bytes these take.
                (TRUE | FALSE, count) if count > 0 => Err(ILL_FORMED.to_owned()),
                (kind, count) => (0..count).try_for_each(|_| self.skip_within(kind, depth)),
            },
            _ => Err(ILL_FORMED.to_owned()),
        }
    }

    fn binary(&mut self) -> Result<(), String> {
        let length = usize::try_from(self.varint()?).map_err(|_| ILL_FORMED)?;
        self.pass(length)
    }

    fn pass(&mut self, bytes: usize) -> Result<(), String> {
        self.at = self.at.checked_add(bytes).filter(|at| *at <= self.bytes.len()).ok_or(CUT_OFF)?;
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, String> {
        let byte = *self.bytes.get(self.at).ok_or(CUT_OFF)?;
        self.at += 1;
        Ok(byte)
    }

    fn number(&mut self) -> Result<i64, String> {
        let number = self.varint()?;
        Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(ILL_FORMED.to_owned())
    }
}

fn expect(kind: Kind, wanted: Kind) -> Result<(), String> {
    if kind == wanted { Ok(()) } else { Err(ILL_FORMED.to_owned()) }
}
