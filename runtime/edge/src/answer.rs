//! Answers in the format that the client accepts. Each format ends explicitly.

use arrow::csv::WriterBuilder as CsvWriterBuilder;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::WriterBuilder as JsonWriterBuilder;
use arrow::json::writer::{JsonArray, LineDelimited};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use domicile_query::Answer;
use domicile_wire::Problem;
use domicile_wire::api::{AnswerFacts, header};

use crate::problems::Refusal;

/// A format of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    NdJson,
    Csv,
    Arrow,
}

const FORMATS: [(Format, &str); 4] = [
    (Format::Json, "application/json"),
    (Format::NdJson, "application/x-ndjson"),
    (Format::Csv, "text/csv"),
    (Format::Arrow, "application/vnd.apache.arrow.stream"),
];

impl Format {
    /// The first format of the `Accept` header that is offered here; JSON where nothing or anything is accepted.
    ///
    /// # Errors
    /// Where only other formats are accepted.
    pub(crate) fn accepted(headers: &HeaderMap) -> Result<Self, Refusal> {
        // A list that may come in several headers.
        let lists = headers.get_all(ACCEPT).iter().map(|list| list.to_str());
        let lists: Vec<&str> =
            lists.collect::<Result<_, _>>().map_err(|_| Refusal::bad_request("header `accept` is not plain text"))?;
        if lists.is_empty() {
            return Ok(Self::Json);
        }
        let wanted = lists.iter().flat_map(|list| list.split(','));
        for kind in wanted.map(|part| part.split(';').next().unwrap_or_default().trim()) {
            if matches!(kind, "*/*" | "application/*") {
                return Ok(Self::Json);
            }
            if let Some((format, _)) = FORMATS.iter().find(|(_, name)| *name == kind) {
                return Ok(*format);
            }
        }
        let offered: Vec<&str> = FORMATS.iter().map(|(_, name)| *name).collect();
        let detail = format!("answers come as {}", offered.join(", "));
        Err(Refusal::new(Problem::new(406, "not-acceptable", "No such format", detail)))
    }

    fn media_type(self) -> &'static str {
        FORMATS.iter().find(|(format, _)| *format == self).map_or("application/json", |(_, name)| name)
    }
}

/// The response that carries `answer`.
///
/// # Errors
/// Where a value cannot be written in the format.
pub(crate) fn respond(answer: &Answer, format: Format) -> Result<Response, Refusal> {
    let unwritable = |e: ArrowError| {
        let detail = format!("the answer cannot be written in this format: {e}; accept another one");
        Refusal::new(Problem::new(406, "not-acceptable", "No such format", detail))
    };
    let body = match format {
        Format::Json => json(answer),
        Format::NdJson => ndjson(answer),
        Format::Csv => csv(answer),
        Format::Arrow => arrow_stream(answer),
    };
    let mut response = body.map_err(unwritable)?.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    facts_headers(headers, &answer.facts);
    Ok(response)
}

fn facts_headers(headers: &mut HeaderMap, facts: &AnswerFacts) {
    let list = |pairs: Vec<String>| pairs.join(", ");
    let missing: Vec<&str> = facts.coverage.missing.iter().map(|missing| missing.region.as_str()).collect();
    let coverage =
        if facts.coverage.full { "full".to_owned() } else { format!("partial; missing={}", missing.join(",")) };
    let plugins = facts.plugins.iter().map(|used| format!("{}={}", used.name, used.version)).collect();
    let values = [
        (header::PLUGINS, list(plugins)),
        (header::QUERY_ID, facts.query_id.clone()),
        (header::SERVED_BY_REGION, facts.served_by.clone()),
        (header::BORDER_BYTES, facts.border_bytes.to_string()),
        (header::COVERAGE, coverage),
        (header::AS_OF, as_of(facts)),
        (
            header::SUPPRESSED_GROUPS,
            list(facts.suppressed_groups.iter().map(|(region, groups)| format!("{region}={groups}")).collect()),
        ),
        (
            header::MINIMUM_ENTITIES,
            list(facts.minimum_entities.iter().map(|(region, least)| format!("{region}={least}")).collect()),
        ),
        (header::EPSILON, list(facts.epsilon.iter().map(|(region, epsilon)| format!("{region}={epsilon}")).collect())),
    ];
    for (name, value) in values {
        // Region ids and numbers are always valid header values.
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

/// Versions of homes, and moments of copies.
fn as_of(facts: &AnswerFacts) -> String {
    let homes = facts.as_of.iter().map(|(region, version)| format!("{region}={version}"));
    let copies = facts.coverage.stood_in.iter().map(|one| format!("{}={}", one.home, one.as_of));
    homes.chain(copies).collect::<Vec<_>>().join(", ")
}

fn json_error(error: serde_json::Error) -> ArrowError {
    ArrowError::JsonError(error.to_string())
}

fn json(answer: &Answer) -> Result<Vec<u8>, ArrowError> {
    let mut writer = JsonWriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
    answer.batches.iter().try_for_each(|batch| writer.write(batch))?;
    writer.finish()?;
    let rows = writer.into_inner();
    let mut body = serde_json::to_vec(&answer.facts).map_err(json_error)?;
    // The facts are an object, so the rows become its last member.
    body.pop();
    body.extend_from_slice(b",\"rows\":");
    body.extend_from_slice(if rows.is_empty() { b"[]" } else { &rows });
    body.push(b'}');
    Ok(body)
}

fn ndjson(answer: &Answer) -> Result<Vec<u8>, ArrowError> {
    let mut writer = JsonWriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
    answer.batches.iter().try_for_each(|batch| writer.write(batch))?;
    writer.finish()?;
    let mut body = writer.into_inner();
    serde_json::to_writer(&mut body, &serde_json::json!({"end": answer.facts})).map_err(json_error)?;
    body.push(b'\n');
    Ok(body)
}

fn csv(answer: &Answer) -> Result<Vec<u8>, ArrowError> {
    let mut writer = CsvWriterBuilder::new().with_header(true).build(Vec::new());
    let empty = arrow::array::RecordBatch::new_empty(std::sync::Arc::clone(&answer.schema));
    writer.write(&empty)?;
    answer.batches.iter().try_for_each(|batch| writer.write(batch))?;
    Ok(writer.into_inner())
}

fn arrow_stream(answer: &Answer) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &answer.schema)?;
    answer.batches.iter().try_for_each(|batch| writer.write(batch))?;
    writer.finish()?;
    writer.into_inner()
}
