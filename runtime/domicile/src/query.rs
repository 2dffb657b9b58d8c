//! `domicile query` and `domicile endpoint`.

use std::io::Read;

use domicile_wire::api::header as names;
use domicile_wire::client::full;
use http::{HeaderMap, Method};
use serde_json::Value;

use crate::args::{CoverageChoice, EndpointQuestion, ExplainMode, Question, Terms};
use crate::edge::{Edge, header};
use crate::explain;
use crate::output::{Failure, Output, counted, say, table, text};

pub(crate) async fn query(edge: &Edge, output: Output, question: Question) -> Result<(), Failure> {
    let mut sql = question.sql;
    if sql == "-" {
        sql.clear();
        std::io::stdin().read_to_string(&mut sql).map_err(|e| Failure::usage(format!("standard input: {e}")))?;
    }
    let mut headers = terms(&question.terms)?;
    header(&mut headers, "content-type", "application/sql")?;
    let path = match question.explain {
        None => "/v1/query",
        Some(ExplainMode::Plan) => "/v1/query/explain?mode=plan",
        Some(ExplainMode::Residency) => return explain::residency(edge, output, headers, sql).await,
    };
    let answer = edge.json(Method::POST, path, headers, full(sql)).await?;
    output.show(&answer, || show(&answer));
    Ok(())
}

pub(crate) async fn endpoint(edge: &Edge, output: Output, question: EndpointQuestion) -> Result<(), Failure> {
    let mut parameters = url::form_urlencoded::Serializer::new(String::new());
    for parameter in &question.parameters {
        let wrong = || Failure::usage(format!("`{parameter}` is not a parameter: write name=value"));
        let (name, value) = parameter.split_once('=').ok_or_else(wrong)?;
        parameters.append_pair(name, value);
    }
    let name: String = url::form_urlencoded::byte_serialize(question.name.as_bytes()).collect();
    let path = format!("/v1/endpoints/{name}?{}", parameters.finish());
    let answer = edge.json(Method::GET, &path, terms(&question.terms)?, full("")).await?;
    output.show(&answer, || show(&answer));
    Ok(())
}

fn terms(terms: &Terms) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    if let Some(purpose) = &terms.purpose {
        header(&mut headers, names::PURPOSE, purpose)?;
    }
    if let Some(homes) = &terms.homes {
        header(&mut headers, names::DATA_REGION, homes)?;
    }
    if let Some(timeout_ms) = terms.timeout_ms {
        header(&mut headers, names::QUERY_TIMEOUT, &timeout_ms.to_string())?;
    }
    if let Some(seconds) = terms.max_staleness {
        header(&mut headers, names::MAX_STALENESS, &seconds.to_string())?;
    }
    if matches!(terms.coverage, CoverageChoice::Partial) {
        header(&mut headers, names::REQUIRE_COVERAGE, "partial")?;
    }
    Ok(headers)
}

fn show(answer: &Value) {
    let entries = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let columns: Vec<String> = entries(&answer["columns"]).iter().map(|column| text(&column["name"])).collect();
    let row = |row: &Value| columns.iter().map(|column| text(&row[column.as_str()])).collect();
    let rows: Vec<Vec<String>> = entries(&answer["rows"]).iter().map(row).collect();
    table(&columns, &rows);
    let answered: Vec<String> = entries(&answer["coverage"]["answered"]).iter().map(text).collect();
    let answered =
        if answered.is_empty() { "no region: none is the home of such rows".to_owned() } else { answered.join(", ") };
    say!("");
    say!(
        "{} from {} in {:.0} ms; {} bytes crossed a border; query {}",
        counted(&answer["row_count"], "row"),
        answered,
        answer["elapsed_ms"].as_f64().unwrap_or_default(),
        answer["border_bytes"],
        text(&answer["query_id"]),
    );
    for one in entries(&answer["coverage"]["stood_in"]) {
        let [region, home, as_of] = ["region", "home", "as_of"].map(|name| text(&one[name]));
        say!("{region} answered for {home} from its copy, as of {as_of}");
    }
    for missing in entries(&answer["coverage"]["missing"]) {
        say!("missing: {} ({})", text(&missing["region"]), text(&missing["reason"]));
    }
    for (region, groups) in answer["suppressed_groups"].as_object().into_iter().flatten() {
        say!("up to {groups} groups were held back in {region}, which are too small or would give away one that is");
    }
    let least = answer["minimum_entities"].as_object().into_iter().flatten();
    let least: Vec<String> = least.map(|(region, least)| format!("{least} in {region}")).collect();
    if !least.is_empty() {
        say!("what is about fewer entities than these is left out: {}", least.join(", "));
    }
    for (region, epsilon) in answer["epsilon"].as_object().into_iter().flatten() {
        say!("numbers of {region} have noise (differential privacy, epsilon {epsilon})");
    }
}
