//! Arrow IPC streams: types checked against the declaration, values cast without loss.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::{read_dictionary, read_record_batch};
use arrow::ipc::{MessageHeader, MetadataVersion};
use domicile_types::limits;

use super::arrow_message::{self, Message};
use super::columns::{self, Wanted};
use super::typed::Typed;
use super::{Bytes, Format, guarded};
use crate::StoreError;
use crate::refusals::Refusals;

/// Rows as an Arrow stream.
pub(crate) struct ArrowInput {
    bytes: Bytes,
    wanted: Wanted,
    stream: Option<Stream>,
    typed: Typed,
    ended: bool,
}

/// What the stream has said about its batches.
struct Stream {
    schema: SchemaRef,
    positions: Vec<usize>,
    dictionaries: HashMap<i64, ArrayRef>,
    /// Bytes that each dictionary keeps.
    sizes: HashMap<i64, u64>,
}

impl ArrowInput {
    pub(super) fn new(bytes: Bytes, wanted: Wanted) -> Self {
        Self { bytes, wanted, stream: None, typed: Typed::default(), ended: false }
    }

    pub(super) fn next(&mut self, offset: usize, refusals: &mut Refusals) -> Result<Option<RecordBatch>, StoreError> {
        while self.typed.is_empty() && !self.ended {
            match arrow_message::read(&mut self.bytes, self.typed.rows())? {
                Some(message) => self.take(&message)?,
                None => self.end()?,
            }
        }
        let Some(batch) = self.typed.take(Format::ArrowStream)? else { return Ok(None) };
        columns::cast(&batch, &self.wanted.schema, offset, refusals).map(Some)
    }

    fn end(&mut self) -> Result<(), StoreError> {
        self.ended = true;
        match self.stream {
            Some(_) => Ok(()),
            None => Err(self.malformed("it ends before its schema".to_owned())),
        }
    }

    fn take(&mut self, message: &Message) -> Result<(), StoreError> {
        let header = message.header().map_err(|problem| self.malformed(problem))?;
        let (kind, version) = (header.header_type(), header.version());
        match (kind, &mut self.stream) {
            (MessageHeader::Schema, None) => {
                let schema = guarded(|| {
                    let schema = header.header_as_schema().ok_or("its schema is missing")?;
                    Ok::<_, &str>(SchemaRef::new(fb_to_schema(schema)))
                });
                let schema = schema.map_err(|problem| self.malformed(problem))?;
                let positions = self.wanted.typed_positions(&schema)?;
                let (schema, dictionaries, sizes) = (views_as_bytes(&schema), HashMap::new(), HashMap::new());
                self.stream = Some(Stream { schema, positions, dictionaries, sizes });
            }
            (MessageHeader::DictionaryBatch, Some(stream)) => {
                let read = stream.dictionary(message, version);
                read.map_err(|problem| self.malformed(problem))?;
            }
            (MessageHeader::RecordBatch, Some(stream)) => {
                let read = stream.batch(message, version);
                let batch = read.map_err(|problem| self.malformed(problem))?;
                self.typed.put(batch);
            }
            (MessageHeader::Schema, Some(_)) => return Err(self.malformed("it has two schemas".to_owned())),
            (_, None) => return Err(self.malformed("it does not begin with a schema".to_owned())),
            (other, Some(_)) => return Err(self.malformed(format!("it has a message of the kind {other:?}"))),
        }
        Ok(())
    }

    fn malformed(&self, problem: String) -> StoreError {
        StoreError::Malformed { format: Format::ArrowStream, row: self.typed.rows(), problem }
    }
}

impl Stream {
    fn dictionary(&mut self, message: &Message, version: MetadataVersion) -> Result<(), String> {
        let header = message.header()?;
        let dictionary = header.header_as_dictionary_batch().ok_or("a dictionary is missing")?;
        if dictionary.isDelta() {
            return Err("it adds to a dictionary; send each dictionary whole".to_owned());
        }
        let bytes = message.check_body(dictionary.data().ok_or("a dictionary is empty")?)?;
        // What is not compressed keeps the whole body.
        self.sizes.insert(dictionary.id(), bytes.max(message.body.len() as u64));
        if self.sizes.values().sum::<u64>() > limits::ARROW_MESSAGE_BYTES_MAX {
            return Err(format!("its dictionaries exceed {} bytes", limits::ARROW_MESSAGE_BYTES_MAX));
        }
        let (schema, dictionaries) = (&self.schema, &mut self.dictionaries);
        guarded(|| read_dictionary(&message.body, dictionary, schema, dictionaries, &version))
    }

    /// The wanted columns of a batch, in their order.
    fn batch(&self, message: &Message, version: MetadataVersion) -> Result<RecordBatch, String> {
        let header = message.header()?;
        let batch = header.header_as_record_batch().ok_or("a batch is missing")?;
        message.check_body(batch)?;
        guarded(|| {
            let schema = SchemaRef::clone(&self.schema);
            let batch = read_record_batch(&message.body, batch, schema, &self.dictionaries, None, &version)?;
            batch.project(&self.positions)
        })
    }
}

/// The schema with views of texts as views of bytes, which lie in memory alike: any number of views may show the same
/// text, and each would be looked through before it is known how many are too many.
fn views_as_bytes(schema: &Schema) -> SchemaRef {
    let kind = |kind: &DataType| match kind {
        DataType::Utf8View => DataType::BinaryView,
        kind => kind.clone(),
    };
    let field = |field: &Arc<Field>| {
        let kind = match field.data_type() {
            DataType::Dictionary(keys, values) => DataType::Dictionary(keys.clone(), Box::new(kind(values))),
            other => kind(other),
        };
        field.as_ref().clone().with_data_type(kind)
    };
    SchemaRef::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}
